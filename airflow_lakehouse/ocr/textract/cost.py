"""What a batch would cost: an estimate, from Amazon's list prices for the first million pages a month in us-east-1.

https://aws.amazon.com/textract/pricing/ has the prices of other Regions; ``price_per_page`` overrides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.textract.settings import Settings

_DETECT: Final = 0.0015
_FORMS: Final = 0.05
_TABLES: Final = 0.015
_QUERIES_ALONE: Final = 0.015
_QUERIES_BESIDE: Final = 0.005
_ADAPTER: Final = 0.01
_SIGNATURES: Final = 0.0035
_LAYOUT: Final = 0.004


def price_per_page(settings: Settings) -> float:
    """Return US dollars a page.

    :param settings: of the batch.
    """
    parameters, options = settings.parameters, settings.options
    if options.price_per_page is not None:
        return options.price_per_page
    asked = set(parameters.features)
    if not asked:
        return _DETECT
    structure = _FORMS * ("FORMS" in asked) + _TABLES * ("TABLES" in asked)
    if "QUERIES" in asked:
        structure += (_QUERIES_BESIDE if structure else _QUERIES_ALONE) + _ADAPTER * bool(parameters.adapters)
    # Signatures and layout come with the others; alone, they have a price.
    return round(structure or _SIGNATURES * ("SIGNATURES" in asked) + _LAYOUT * ("LAYOUT" in asked), 6)

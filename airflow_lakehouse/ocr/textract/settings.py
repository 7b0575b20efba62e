"""How a batch is run, and everything a connection or a task says about Textract as one flat object."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.ocr.textract.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_IN_FLIGHT: Final = 100
"""Concurrent jobs of an account are "in the hundreds"; where Service Quotas does not tell, the window finds out."""
DEFAULT_TPS: Final = 2.0
"""Requests a second of one operation, where Service Quotas does not tell: the smallest quota seen is one or two."""

_POSITIVE: Final = ("document_seconds", "workers", "poll_seconds")


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch is run.

    :param max_in_flight: most jobs that run at once; the account's quota by default.
    :param start_tps: most Start requests a second; the account's quota by default.
    :param get_tps: most Get requests a second, of all batches of this process; the account's quota by default.
    :param max_pages: pages that may be paid for in this run; documents beyond stay for the next one.
    :param dry_run: count pages and estimate the cost; nothing is paid for or stored.
    :param skip_text_layer: documents whose pages all have a text layer to be trusted are read here, for nothing.
    :param max_failed_fraction: share of documents that may fail, 0 to 1, before the batch fails.
    :param job_attempts: jobs that are started for a document, in one run, as long as they end as FAILED.
    :param document_seconds: how long one document may take, from its first start.
    :param workers: requests and documents in hand at once.
    :param queue_url: SQS queue that gets the messages of ``topic_arn``.
    :param price_per_page: US dollars, for the estimate; Amazon's list price in us-east-1 by default.
    :param use_quotas: ask Service Quotas what the account may do.
    :param poll_seconds: shortest wait between two looks at one job; it grows with the time the job has taken.
    :raises ConfigurationError: when a value is out of its range.
    """

    max_in_flight: int | None = None
    start_tps: float | None = None
    get_tps: float | None = None
    max_pages: int | None = None
    dry_run: bool = False
    skip_text_layer: bool = False
    max_failed_fraction: float = 1.0
    job_attempts: int = 2
    document_seconds: float = 4 * 3600.0
    workers: int = 8
    queue_url: str = ""
    price_per_page: float | None = None
    use_quotas: bool = True
    poll_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in ("max_in_flight", "start_tps", "get_tps", "job_attempts", *_POSITIVE):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value!r}", legal="a number above 0")
        for name in ("max_pages", "price_per_page"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigurationError(f"{name} is {value!r}", legal="0 or more")
        if not 0 <= self.max_failed_fraction <= 1:
            raise ConfigurationError(f"max_failed_fraction is {self.max_failed_fraction!r}", legal="0 to 1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of Textract, and how.

    :param parameters: what.
    :param options: how.
    """

    parameters: Parameters = field(default_factory=Parameters)
    options: Options = field(default_factory=Options)

    @property
    def version(self) -> str:
        """What results are stored under: all that changes what is found."""
        return f"{self.parameters.version}{'-text' if self.options.skip_text_layer else ''}"

    @classmethod
    def of(cls, given: Mapping[str, Any] | None = None) -> Settings:
        """Return settings from one flat object, such as a connection has.

        :param given: fields of :class:`Parameters` and of :class:`Options`; empty ones take their default.
        :raises ConfigurationError: for a field that does not exist, or a value that is not legal.
        """
        known = legal()
        values = {name: value for name, value in (given or {}).items() if value not in (None, "", "None")}
        strangers = sorted(set(values) - set(known))
        if strangers:
            raise ConfigurationError(f"Textract has no setting {', '.join(strangers)}", legal=", ".join(known))
        asked = {name: value for name, value in values.items() if known[name] is Parameters}
        how = {name: _typed(name, value) for name, value in values.items() if known[name] is Options}
        return cls(Parameters.of(**asked), Options(**how))


def legal() -> dict[str, type]:
    """Return every field of the flat object, and what it is a field of."""
    return {one.name: cls for cls in (Parameters, Options) for one in fields(cls)}


def _typed(name: str, value: Any) -> Any:
    """Return a value that a template or a form may have made a text of."""
    declared = str(Options.__dataclass_fields__[name].type)
    if "str" in declared:
        return str(value)
    try:
        if declared == "bool":
            return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).strip().lower()]
        return int(value) if "int" in declared else float(value)
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{name} is {value!r}", legal=declared.replace(" | None", "")) from None

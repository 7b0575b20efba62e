"""What the account may do, where Service Quotas tells.

Quotas are per account, Region and operation, and can be raised:
https://docs.aws.amazon.com/textract/latest/dg/limits-quotas-explained.html. They are found by their names, because
their codes are nowhere listed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.textract.settings import DEFAULT_IN_FLIGHT, DEFAULT_TPS

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.textract.settings import Options

log = logging.getLogger(__name__)

SERVICE_CODE: Final = "textract"


@dataclass(frozen=True, slots=True)
class Quotas:
    """What may be asked of one API.

    :param in_flight: jobs at once.
    :param start_tps: Start requests a second.
    :param get_tps: Get requests a second.
    """

    in_flight: int = DEFAULT_IN_FLIGHT
    start_tps: float = DEFAULT_TPS
    get_tps: float = DEFAULT_TPS

    def under(self, options: Options) -> Quotas:
        """Return what a batch uses: what it is told, or the account's.

        :param options: of the batch.
        """
        return Quotas(
            options.max_in_flight or self.in_flight,
            options.start_tps or self.start_tps,
            options.get_tps or self.get_tps,
        )


def read_quotas(client: Any, api: str) -> Quotas:
    """Return the quotas of an API; the defaults for what the role may not read, or Service Quotas does not name.

    :param client: of Service Quotas.
    :param api: end of the operations' names.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=SERVICE_CODE)
        found = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    except (BotoCoreError, ClientError) as error:
        log.info("Service Quotas does not tell (%s); beginning with defaults", type(error).__name__)
        return Quotas()
    return quotas_named(found, api)


def quotas_named(found: dict[str, float], api: str) -> Quotas:
    """Return the quotas of an API among all of the service.

    :param found: name of a quota to its value.
    :param api: end of the operations' names.
    """
    start = _named(found, "transactionspersecond", f"start{api}".lower())
    get = _named(found, "transactionspersecond", f"get{api}".lower())
    jobs = [
        value
        for name, value in found.items()
        if api.lower() in _plain(name) and "transactions" not in _plain(name) and "job" in _plain(name)
    ]
    return Quotas(
        int(min(jobs)) if jobs and min(jobs) >= 1 else DEFAULT_IN_FLIGHT, start or DEFAULT_TPS, get or DEFAULT_TPS
    )


def _named(found: dict[str, float], *words: str) -> float | None:
    values = [value for name, value in found.items() if all(word in _plain(name) for word in words) and value > 0]
    return min(values) if values else None


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())

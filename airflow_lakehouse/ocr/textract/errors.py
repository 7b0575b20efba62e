"""What an error of the service means for a batch.

The codes are those of https://docs.aws.amazon.com/textract/latest/APIReference/CommonErrors.html and of the
operations' own pages.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from airflow_lakehouse.exceptions import ConfigurationError, JobError, LakehouseError
from airflow_lakehouse.ocr.textract import reasons


class Meaning(Enum):
    """What to do about an error."""

    WINDOW_FULL = "as many jobs run as the account may have; start fewer, never fail"
    THROTTLED = "too many requests a second; slow down and ask again"
    TRANSIENT = "the service or the network; ask again"
    DOCUMENT = "this document cannot be read, whoever asks"
    LOCATION = "this object cannot be reached; the document, or the role"
    EXPIRED = "the job and its results are no more"
    CONFIGURATION = "no document of the batch will fare better; stop"


_MEANINGS: Final = {
    "LimitExceededException": Meaning.WINDOW_FULL,
    "ProvisionedThroughputExceededException": Meaning.THROTTLED,
    "ThrottlingException": Meaning.THROTTLED,
    "Throttling": Meaning.THROTTLED,
    "TooManyRequestsException": Meaning.THROTTLED,
    "RequestLimitExceeded": Meaning.THROTTLED,
    "SlowDown": Meaning.THROTTLED,
    "InternalServerError": Meaning.TRANSIENT,
    "InternalServerErrorException": Meaning.TRANSIENT,
    "InternalFailure": Meaning.TRANSIENT,
    "InternalError": Meaning.TRANSIENT,
    "ServiceUnavailable": Meaning.TRANSIENT,
    "RequestTimeout": Meaning.TRANSIENT,
    "RequestTimeoutException": Meaning.TRANSIENT,
    "BadDocumentException": Meaning.DOCUMENT,
    "UnsupportedDocumentException": Meaning.DOCUMENT,
    "DocumentTooLargeException": Meaning.DOCUMENT,
    "InvalidS3ObjectException": Meaning.LOCATION,
    "NoSuchKey": Meaning.LOCATION,
    "NoSuchVersion": Meaning.LOCATION,
    "NoSuchBucket": Meaning.LOCATION,
    "404": Meaning.LOCATION,
    "403": Meaning.LOCATION,
    "InvalidJobIdException": Meaning.EXPIRED,
}

_REASONS: Final = {
    "BadDocumentException": reasons.BAD_DOCUMENT,
    "UnsupportedDocumentException": reasons.UNSUPPORTED_DOCUMENT,
    "DocumentTooLargeException": reasons.DOCUMENT_TOO_LARGE,
}
_SERVER_ERROR: Final = 500


def code_of(error: BaseException) -> str:
    """Return the service's code of an error, or the name of its class.

    :param error: what a client raised.
    """
    response = getattr(error, "response", None)
    code = (response or {}).get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else type(error).__name__


def reason_of(error: Exception) -> str:
    """Return the reason for which a document is rejected after an error.

    :param error: what the service answered.
    """
    return _REASONS[code_of(error)]


def meaning_of(error: Exception) -> Meaning | None:
    """Return what an error means; None for one that no client of AWS raises, which is a defect of ours.

    :param error: what was raised.
    """
    from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError, ParamValidationError

    if isinstance(error, ClientError):
        known = _MEANINGS.get(code_of(error))
        if known is not None:
            return known
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Meaning.TRANSIENT if status >= _SERVER_ERROR else Meaning.CONFIGURATION
    if isinstance(error, (NoCredentialsError, ParamValidationError)):
        return Meaning.CONFIGURATION
    if isinstance(error, (HTTPClientError, ConnectionError, TimeoutError)) or _is_botocore(error):
        return Meaning.TRANSIENT
    return None


def _is_botocore(error: Exception) -> bool:
    # A body that was cut off, an endpoint that cannot be reached: botocore has a class for each.
    from botocore.exceptions import BotoCoreError

    return isinstance(error, BotoCoreError)


def stopping(error: Exception) -> LakehouseError:
    """Return the error of ours for one that no document of the batch will fare better with.

    :param error: what a client raised.
    """
    code = code_of(error)
    if code == "IdempotentParameterMismatchException":
        return JobError(f"a token was used for two questions ({code})", remedy="report this as a defect")
    return ConfigurationError(
        f"Textract refuses what the whole batch needs ({code})",
        remedy="check the rights of the role, the keys, and the settings of Textract",
    )

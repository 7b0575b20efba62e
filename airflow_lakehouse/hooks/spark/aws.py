"""Calls to services of AWS as who watches a job needs them: patient, credentials renewed, errors of ours."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import (
    ConfigurationError,
    CredentialsError,
    EngineError,
    JobLostError,
    LakehouseError,
    QuotaError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 5.0
_CLIENT_SECONDS: Final = 900
"""How long a client is used: an edited connection counts after that, also in a triggerer that runs for weeks."""

_REFUSED: Final = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
)
_KINDS: Final[Mapping[type[LakehouseError], tuple[str, ...]]] = {
    ThrottledError: (
        *_REFUSED,
        "ServiceUnavailable",
        "InternalServerException",
        "InternalServiceException",
        "InternalError",
        "OperationTimeoutException",
    ),
    QuotaError: (
        "ServiceQuotaExceededException",
        "ConcurrentRunsExceededException",
        "ResourceNumberLimitExceededException",
        "LimitExceededException",
    ),
    CredentialsError: (
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "AccessDeniedException",
    ),
    JobLostError: ("ResourceNotFoundException", "EntityNotFoundException", "NoSuchKey", "NoSuchBucket", "404"),
    ConfigurationError: ("ValidationException", "InvalidInputException"),
}
"""Codes of errors; those of S3, EMR Serverless, Glue and CloudWatch Logs do not contradict one another."""
_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_REMEDIES: Final[Mapping[type[LakehouseError], str]] = {
    ThrottledError: "try again later, or poll less often",
    QuotaError: "try again when other jobs have ended, or have the quota raised",
    CredentialsError: "renew the credentials of the AWS connection, or give its role the permission",
    JobLostError: "look whether somebody deleted it",
    ConfigurationError: "mend runner_options",
    EngineError: "look at the service's status page, then try again",
}


@dataclass(frozen=True)
class Aws:
    """One account's services, through an Airflow connection.

    :param aws_conn_id: the connection; credentials are renewed as it says (assumed roles included).
    :param region: of the services; empty for the connection's.
    :param patience_seconds: how long a call is tried again that meets throttling, a quota or a broken connection.
    """

    aws_conn_id: str
    region: str = ""
    patience_seconds: float = 60.0

    def call(
        self,
        service: str,
        operation: str,
        arguments: Mapping[str, Any],
        done_already: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> dict[str, Any]:
        """Call an operation until it answers, as long as patience lasts.

        :param service: boto3's name of the service.
        :param operation: boto3's name of the operation.
        :param arguments: of the call.
        :param done_already: for an operation that must not be done twice and knows no client token: asked after an
            answer that leaves open whether it was; gives what the operation would have, or None where it was not done.
        :raises LakehouseError: what the service said, as the class for it.
        """
        deadline, waits = time.monotonic() + self.patience_seconds, 0
        renewed = False
        while True:
            try:
                answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
                if hasattr(answer.get("Body"), "read"):
                    # Here, where a connection that breaks off half way is one more lost answer.
                    answer = {**answer, "Body": answer["Body"].read()}
            except Exception as error:
                failed = _translated(service, operation, error)
                is_expired = _code(error) in _EXPIRED
                if is_expired and not renewed:
                    renewed = True
                    forget_clients()
                    continue
                left = deadline - time.monotonic()
                if not isinstance(failed, (ThrottledError, QuotaError)) or left <= 0:
                    raise failed from error
                # Full jitter: callers that were refused together must not come back together.
                limit = min(_FIRST_WAIT * 2**waits, _LONGEST_WAIT, left)
                time.sleep(random.uniform(0, limit))  # noqa: S311 - no secret depends on it
                waits += 1
                # Only a refusal says that nothing was done; after "internal error" the job may run.
                is_refused = _code(error) in _REFUSED or isinstance(failed, QuotaError)
                found = None if is_refused else done_already()
                if found is not None:
                    return found
            else:
                return answer

    def _client(self, service: str) -> Any:
        return _client(service, self.aws_conn_id, self.region, int(time.time() / _CLIENT_SECONDS))


def forget_clients() -> None:
    """Make new clients from now on, with the credentials there are now."""
    _client.cache_clear()


@lru_cache(maxsize=64)
def _client(service: str, aws_conn_id: str, region: str, _period: int) -> Any:
    """Return a client; shared, as to make one takes 50 ms, and five hundred watchers ask every few seconds."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from botocore.config import Config

    # How often and how long to try again is decided here, not by five retries inside each of ours.
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=30,
        max_pool_connections=32,
    )
    hook: Any = AwsGenericHook(aws_conn_id=aws_conn_id, client_type=service, region_name=region or None, config=config)
    return hook.conn


def code_of(error: LakehouseError) -> str:
    """Return the service's own code of an error that :meth:`Aws.call` raised; empty where it has none.

    :param error: as it was raised.
    """
    return _code(error.__cause__)


def _code(error: BaseException | None) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _translated(service: str, operation: str, error: Exception) -> LakehouseError:
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.exceptions import (
        CredentialRetrievalError,
        HTTPClientError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
    )

    if isinstance(error, LakehouseError):
        return error
    what, code = f"{service} {operation}", _code(error)
    if code:
        kind = next((kind for kind, codes in _KINDS.items() if code in codes), None)
        if kind is None:
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)  # type: ignore[attr-defined]
            kind = ThrottledError if status >= 500 or status == 429 else EngineError  # noqa: PLR2004 - HTTP's own
        message = str(error.response["Error"].get("Message", ""))  # type: ignore[attr-defined]
        return kind(f"{what}: {code}: {message}" if message else f"{what}: {code}", remedy=_REMEDIES[kind])
    if isinstance(error, (NoConnectionError, HTTPClientError)):
        return ThrottledError(f"{what}: no answer ({type(error).__name__})", remedy=_REMEDIES[ThrottledError])
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)):
        return CredentialsError(f"{what}: {error}", remedy=_REMEDIES[CredentialsError])
    if isinstance(error, (ParamValidationError, NoRegionError)):
        return ConfigurationError(f"{what}: {error}", remedy=_REMEDIES[ConfigurationError])
    return EngineError(f"{what} failed with {type(error).__name__}", remedy=_REMEDIES[EngineError])

"""How often Amazon is asked again when it refuses, by each of the clients that ask it.

S3 refuses for minutes while it takes a prefix apart (503 ``SlowDown``), and Glue counts the requests of a whole
account. Left to themselves, clients give up soon: Arrow and Amazon's client for Java ask three times, so where one
request in ten is refused, one in a thousand fails for good, and with it the run. PyIceberg asks Glue ten times, as all
do from here.

Each waits longer from try to try, up to twenty seconds:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

ATTEMPTS: Final = 10
ATTEMPTS_VARIABLE: Final = "AWS_MAX_ATTEMPTS"
"""Variable that Amazon's clients for Python and for Java read; who has set it keeps it."""
ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Variables that Amazon's clients find another S3 by, the first before the second."""
PYICEBERG: Final = {"s3.retry-strategy-impl": f"{__name__}.arrow_strategy"}
"""Properties of a catalog under which PyIceberg's file system asks so often."""


def attempts() -> int:
    """Return how often a request is made at most."""
    given = os.environ.get(ATTEMPTS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) else ATTEMPTS


def arrow_strategy() -> AwsStandardS3RetryStrategy:
    """Return what Arrow's file system does."""
    from pyarrow.fs import AwsStandardS3RetryStrategy

    return AwsStandardS3RetryStrategy(max_attempts=attempts())


def arrow_s3(region: str) -> S3FileSystem:
    """Return Arrow's file system for S3, as the environment says it is reached, that does so.

    :param region: of the bucket.
    """
    from pyarrow.fs import S3FileSystem

    # Arrow itself looks for it where it opens a URI, and not where it is told how often to try.
    endpoint = next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), None)
    return S3FileSystem(region=region, endpoint_override=endpoint, retry_strategy=arrow_strategy())


def s3_client() -> Any:
    """Return a client for S3 that does so."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": attempts()}))


def environ() -> dict[str, str]:
    """Return the variables under which Amazon's client for Java, which asks Glue on behalf of Spark, does so."""
    return {ATTEMPTS_VARIABLE: str(attempts())}

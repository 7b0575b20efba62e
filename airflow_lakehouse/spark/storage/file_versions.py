"""Reading a file in the version that was listed, or not at all.

Between the listing of a drop and the reading of its files, somebody may put another file in a place. Its rows would be
stored as those of the version that was listed, and a second time when it is listed itself.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SourceReadError
from airflow_lakehouse.spark.storage import aws_retries

if TYPE_CHECKING:
    from typing import BinaryIO


def changed(uri: str) -> SourceReadError:
    """Return the error for a file that is another now.

    :param uri: the file.
    """
    return SourceReadError(f"{uri} is not the file that was listed any more", remedy="run it again: it is listed anew")


def is_sha256(etag: str) -> bool:
    """Tell whether a version is the hash of the content: a local file's is, an object's own ETag is shorter.

    :param etag: version of a file.
    """
    return len(etag) == hashlib.sha256().digest_size * 2


class HashedVersion:
    """Bytes of a file, which must be those that were listed.

    :param uri: the file.
    :param stream: its bytes.
    :param sha256: of all of them, hexadecimal.
    """

    def __init__(self, uri: str, stream: BinaryIO, sha256: str) -> None:
        self._uri, self._stream, self._sha256 = uri, stream, sha256
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        :param size: at most so many.
        :raises SourceReadError: at the end, where the whole was not what was listed.
        """
        data = self._stream.read(size)
        self._digest.update(data)
        if not data and self._digest.hexdigest() != self._sha256:
            raise changed(self._uri)
        return data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class S3Version:
    """Bytes of one version of an object: S3 itself refuses when another has come in its place (``If-Match``).

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

    :param uri: ``s3://bucket/key``.
    :param etag: version, as it was listed.
    :raises FileNotFoundError: when there is no such object.
    :raises SourceReadError: when it has another version, or S3 does not answer.
    """

    def __init__(self, uri: str, etag: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            answer = _client(os.environ.get(_ENDPOINT, "")).get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"')
            self._body: Any = answer["Body"]
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(uri) from error
            raise (changed(uri) if code in ("PreconditionFailed", "412") else _unread(uri, code)) from error
        except BotoCoreError as error:
            raise _unread(uri, type(error).__name__) from error

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        :param size: at most so many.
        :raises OSError: when the body breaks off before its length.
        """
        from botocore.exceptions import BotoCoreError

        try:
            data: bytes = self._body.read(size)
        except BotoCoreError as error:
            raise OSError(type(error).__name__) from error
        return data

    def close(self) -> None:
        """Close the connection."""
        self._body.close()


_ENDPOINT: Final = "AWS_ENDPOINT_URL"


@lru_cache(maxsize=4)
def _client(endpoint: str) -> Any:
    """Return the client for an endpoint: to make one takes a tenth of a second, and a drop may hold thousands of files.

    :param endpoint: of the environment, which boto3 looks at by itself; another one is another client.
    """
    del endpoint
    return aws_retries.s3_client()


def _unread(uri: str, why: str) -> SourceReadError:
    return SourceReadError(f"{uri} cannot be opened ({why})", remedy="run it again")

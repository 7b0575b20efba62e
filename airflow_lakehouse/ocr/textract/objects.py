"""Small files with conditional writes: what results need of a folder, and what a ledger needs besides.

In S3 the condition is a header of the request (``If-None-Match``, ``If-Match``), checked by S3 itself:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. On this machine it is a lock.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.ocr.folder import Folder, LocalFolder
from airflow_lakehouse.ocr.textract.errors import code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABSENT: Final = ("NoSuchKey", "404", "NotFound")
_LOST: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", *_ABSENT)
"""Somebody else has written, is writing, or has deleted."""


class Objects(Folder, Protocol):
    """A folder whose files can be written on a condition."""

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's bytes and their version, or None where there is none.

        :param name: below the root.
        """

    def write_if(self, name: str, data: bytes, version: str | None) -> bool:
        """Write a file if it is still of a version, and tell whether it now holds these bytes.

        Two that write the same name at once are told apart: one of them is told that it has not.

        :param name: below the root.
        :param data: its bytes.
        :param version: of :meth:`read_version`; None where there was no file.
        """


class LocalObjects(LocalFolder):
    """A folder on this machine. The lock holds among the processes of one machine."""

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        """As :meth:`Objects.read_version`."""
        data = self.read(name)
        return None if data is None else (data, sha256(data).hexdigest())

    def write_if(self, name: str, data: bytes, version: str | None) -> bool:
        """As :meth:`Objects.write_if`."""
        with self._locked():
            found = self.read_version(name)
            if (found[1] if found else None) != version:
                return found is not None and found[0] == data
            self.write(name, data)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class S3Objects:
    """A folder in S3.

    :param client: boto3 client of S3.
    :param bucket: its bucket.
    :param prefix: keys begin with it.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def read(self, name: str) -> bytes | None:
        """As :meth:`Folder.read`."""
        found = self.read_version(name)
        return found[0] if found else None

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        """As :meth:`Objects.read_version`."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            return found["Body"].read(), found["ETag"]
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise

    def size(self, name: str) -> int | None:
        """As :meth:`Folder.size`."""
        from botocore.exceptions import ClientError

        try:
            return int(self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)["ContentLength"])
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Folder.write`."""
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def write_if(self, name: str, data: bytes, version: str | None) -> bool:
        """As :meth:`Objects.write_if`."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data, **condition)
        except ClientError as error:
            if code_of(error) not in _LOST:
                raise
            # The answer to a write that was done may be lost; the client's own retry then meets its condition unmet.
            return self.read(name) == data
        return True

    def delete(self, name: str) -> None:
        """As :meth:`Folder.delete`."""
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def names(self, folder: str) -> list[str]:
        """As :meth:`Folder.names`."""
        prefix = f"{self._prefix}{folder.strip('/')}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return sorted(item["Key"][len(prefix) :] for page in pages for item in page.get("Contents", ()))

    def uri(self, name: str) -> str:
        """As :meth:`Folder.uri`."""
        return f"s3://{self._bucket}/{self._prefix}{name}"


def open_objects(root: str, s3: Any) -> Objects:
    """Return the folder a path or URI names.

    :param root: a path, ``file://...`` or ``s3://bucket/prefix``.
    :param s3: returns a boto3 client of S3; called for S3 alone.
    :raises InputError: when it is somewhere else.
    """
    if root.startswith(("s3://", "s3a://")):
        bucket, _, prefix = root.partition("://")[2].partition("/")
        return S3Objects(s3(), bucket, prefix)
    if "://" in root and not root.startswith("file://"):
        raise InputError(f"cannot keep results in {root!r}", legal="a path, file://... or s3://bucket/prefix")
    return LocalObjects(Path(root.removeprefix("file://")).expanduser())

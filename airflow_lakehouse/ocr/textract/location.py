"""Where Textract finds the bytes that were looked at, and whether they are still those."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.textract.errors import Meaning, meaning_of

if TYPE_CHECKING:
    from pathlib import Path

_NULL_VERSION: Final = "null"
"""Version of objects that were written while their bucket kept no versions; writing again replaces them."""


@dataclass(frozen=True, slots=True)
class Location:
    """An object in S3, of one content.

    :param bucket: its bucket.
    :param key: its key.
    :param etag: of the content.
    :param version_id: in a bucket that keeps versions, else empty.
    """

    bucket: str
    key: str
    etag: str
    version_id: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Location:
        """Return a location from what :meth:`as_dict` gave.

        :param values: them.
        """
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return the location as JSON values."""
        return {"bucket": self.bucket, "key": self.key, "etag": self.etag, "version_id": self.version_id}

    def request(self) -> dict[str, Any]:
        """Return what Textract is sent. With the version, the job reads these bytes whatever is written later."""
        version = {"Version": self.version_id} if self.version_id else {}
        return {"S3Object": {"Bucket": self.bucket, "Name": self.key, **version}}

    def is_unchanged(self, s3: Any, *, when_gone: bool = False) -> bool:
        """Tell whether the object still has the content; of one version it always has.

        :param s3: boto3 client.
        :param when_gone: the answer for an object that is not there any more.
        """
        if self.version_id:
            return True
        try:
            found = s3.head_object(Bucket=self.bucket, Key=self.key)
        except Exception as error:
            if meaning_of(error) is Meaning.LOCATION:
                return when_gone
            raise
        return bool(unquoted(found["ETag"]) == self.etag)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``.

    :param uri: the URI.
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def is_taken(uri: str) -> bool:
    """Tell whether Textract takes an object by its name; it takes none with a ``#``.

    :param uri: of the document.
    """
    return bool(re.match(r"s3[an]?://", uri)) and "#" not in uri


def fetch(s3: Any, uri: str, path: Path) -> Location:
    """Copy an object to this machine, and return what exactly was copied.

    :param s3: boto3 client.
    :param uri: of the object.
    :param path: where to.
    """
    bucket, key = split_uri(uri)
    found = s3.get_object(Bucket=bucket, Key=key)
    with closing(found["Body"]) as body, path.open("wb") as target:
        for chunk in body.iter_chunks(1 << 20):
            target.write(chunk)
    version = found.get("VersionId") or ""
    return Location(bucket, key, unquoted(found["ETag"]), "" if version == _NULL_VERSION else version)


def unquoted(etag: str) -> str:
    """Return an ETag without the quotes S3 puts around it.

    :param etag: as S3 gives it.
    """
    return etag.strip('"')


def current_etag(s3: Any, uri: str) -> str:
    """Return the ETag that an object has now; empty where there is none, or the document is not in S3.

    :param s3: boto3 client.
    :param uri: of the document.
    """
    if not uri.startswith(("s3://", "s3a://")):
        return ""
    bucket, key = split_uri(uri)
    try:
        return unquoted(s3.head_object(Bucket=bucket, Key=key)["ETag"])
    except Exception as error:
        if meaning_of(error) is Meaning.LOCATION:
            return ""
        raise

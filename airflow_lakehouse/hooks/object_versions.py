"""New versions of the objects below an S3 prefix, found by listing from a cursor.

S3 cannot list what is new since a moment, so the prefix is listed and compared with the cursor. That is a moment, and
which versions up to it were taken already. The moment alone would lose some: a large object carries the time its
upload *began* (S3's user guide, "Working with object metadata"), and appears long after smaller and later ones.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.hooks.looking import MILLISECONDS, Finding, Look, iso, milliseconds
from airflow_lakehouse.hooks.raw_drop import day_of, is_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_VERSIONS: Final = 500
"""How many versions one finding names; the next look goes on behind them, so none is left out."""

_REMEMBERED: Final = 1000
"""How many versions a cursor remembers by their digest. Where more are new, its overlap is shorter than asked for."""

_DIGEST: Final = 12
_UNVERSIONED: Final = (None, "", "null")


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object.

    :param bucket: its bucket.
    :param key: its key.
    :param version_id: S3's id of the version; None in a bucket without versions, where the ETag tells two apart.
    :param etag: its ETag, without quotation marks.
    :param size: bytes.
    :param modified_ms: when it was written, in milliseconds since the epoch.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    modified_ms: int

    @property
    def uri(self) -> str:
        """Where it is; with its version, where there are versions, in the query."""
        version = "" if self.version_id in _UNVERSIONED else f"?versionId={quote(str(self.version_id))}"
        return f"s3://{self.bucket}/{self.key}{version}"

    @property
    def digest(self) -> str:
        """What a cursor remembers it by."""
        identity = f"{self.uri} {self.etag} {'' if self.version_id not in _UNVERSIONED else self.modified_ms}"
        return hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST]


def split_uri(prefix: str) -> tuple[str, str]:
    """Return bucket and key prefix of ``s3://bucket/prefix``.

    :param prefix: as users write it; the last folder is a whole folder, with or without a slash at its end.
    :raises InputError: when it is no place in S3.
    """
    if not prefix.startswith("s3://") or not prefix.removeprefix("s3://").strip("/"):
        raise InputError(f"versions of objects cannot be found in {prefix!r}", legal="s3://bucket/prefix")
    bucket, _, below = prefix.removeprefix("s3://").partition("/")
    return bucket, f"{below.strip('/')}/" if below.strip("/") else ""


def summarise(prefix: str, versions: Iterable[ObjectVersion]) -> dict[str, Any]:
    """Return what sensors and watchers tell of new versions.

    :param prefix: where they were looked for.
    :param versions: no more than :data:`MAX_VERSIONS`.
    """
    listed = list(versions)
    newest = max((version.modified_ms for version in listed), default=None)
    return {
        "prefix": prefix,
        "versions": [version.uri for version in listed],
        "objects": len(listed),
        "bytes": sum(version.size for version in listed),
        "dt": sorted({day for version in listed if (day := day_of(version.key))}),
        "newest": iso(newest),
    }


@dataclass(frozen=True)
class VersionsLook(Look):
    """Look for versions that are new since the cursor: what :func:`summarise` tells, and how many ``more`` there are.

    Deleted objects, markers and unfinished uploads (names that begin with a dot or an underscore) are no input.

    :param prefix: ``s3://bucket/prefix``.
    :param min_versions: how many there must be; fewer wait for more.
    :param max_versions: how many one finding names; the oldest come first, the others next time.
    :param since: what was written before this moment does not count; ISO 8601 or seconds since the epoch.
    :param lookback_seconds: without a cursor, what was written longer ago does not count; None takes all of it.
    :param overlap_seconds: how long an upload may take; what carries a time up to this long before the cursor is
        still new, unless it was taken.
    :param aws_conn_id: Airflow's AWS connection; None takes what boto3 finds.
    """

    prefix: str
    min_versions: int = 1
    max_versions: int = MAX_VERSIONS
    since: str | float | None = None
    lookback_seconds: float | None = None
    overlap_seconds: float = 86400.0
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:
        """List the prefix once."""
        bucket, below = split_uri(self.prefix)
        position = _Cursor.read(cursor, self._floor(cursor))
        new = [one for one in _list(bucket, below, self.aws_conn_id) if position.is_new(one)]
        new.sort(key=lambda one: (one.modified_ms, one.key, one.version_id or ""))
        taken = new[: int(self.max_versions)]
        found = {**summarise(self.prefix, taken), "more": len(new) - len(taken)}
        if len(new) < int(self.min_versions):
            return Finding(False, found, cursor)
        return Finding(True, found, position.behind(taken, float(self.overlap_seconds)))

    def _floor(self, cursor: dict[str, Any] | None) -> int:
        back = None if cursor or self.lookback_seconds is None else time.time() - float(self.lookback_seconds)
        return max(milliseconds(self.since) or 0, round((back or 0) * MILLISECONDS))


@dataclass(frozen=True, slots=True)
class _Cursor:
    """What was taken: all from before ``after_ms``, and of what is younger, what has its digest in ``taken``.

    :param after_ms: milliseconds since the epoch.
    :param taken: digest to the time of the version.
    """

    after_ms: int
    taken: dict[str, int]

    @classmethod
    def read(cls, cursor: dict[str, Any] | None, floor_ms: int) -> _Cursor:
        """Read it back.

        :param cursor: JSON values, as :meth:`behind` writes them.
        :param floor_ms: what is older was never asked for.
        """
        if not cursor:
            return cls(floor_ms, {})
        return cls(max(int(cursor["after_ms"]), floor_ms), dict(cursor["taken"]))

    def is_new(self, version: ObjectVersion) -> bool:
        """Tell whether a version has not been taken.

        :param version: one that is there.
        """
        return version.modified_ms >= self.after_ms and version.digest not in self.taken

    def behind(self, versions: list[ObjectVersion], overlap_seconds: float) -> dict[str, Any]:
        """Return the cursor behind some versions, as JSON values.

        :param versions: what is taken now.
        :param overlap_seconds: how long before the newest of them versions may still be new.
        """
        taken = {**self.taken, **{version.digest: version.modified_ms for version in versions}}
        newest = max(taken.values(), default=self.after_ms)
        after = max(self.after_ms, newest - round(overlap_seconds * MILLISECONDS))
        kept = sorted(((moment, digest) for digest, moment in taken.items() if moment >= after), reverse=True)
        if len(kept) > _REMEMBERED:
            # What is forgotten counts as taken, with all of its moment: never the newest, at which some may be left.
            after = max(after, min(kept[_REMEMBERED][0] + 1, newest))
        return {"after_ms": after, "taken": {digest: moment for moment, digest in kept if moment >= after}}


def _list(bucket: str, below: str, aws_conn_id: str | None) -> Iterator[ObjectVersion]:
    # Imported when used: boto3 and the provider cost a DAG parse 0.6 s.
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    client: Any = S3Hook(aws_conn_id=aws_conn_id).get_conn()
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=below):
        for entry in page.get("Versions", ()):
            key = entry["Key"]
            if key.endswith("/") or not is_input(key.removeprefix(below)):
                continue
            version = entry.get("VersionId")
            yield ObjectVersion(
                bucket,
                key,
                None if version in _UNVERSIONED else version,
                entry.get("ETag", "").strip('"'),
                entry["Size"],
                round(entry["LastModified"].timestamp() * MILLISECONDS),
            )

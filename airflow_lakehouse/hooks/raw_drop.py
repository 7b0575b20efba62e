"""Tell what lies in a raw drop, without opening a file.

The layout is ``<raw>/<kind>/dt=YYYY-MM-DD/`` or ``<raw>/<kind>/source=NAME/dt=.../``. Files below ``fhir`` and ``docs``
are counted as such, all the rest as ``other``: the loader tells it apart by content.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.days import Days, as_day
from airflow_lakehouse.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KINDS: Final = ("fhir", "docs")
OTHER: Final = "other"
LISTED_DAYS: Final = 400
"""How many days a finding names; XCom must stay small whatever the drop holds."""

_ABOVE_DAY = ("", "source=*/", "*/", "*/source=*/")
_DAY = re.compile(r"(?:^|/)dt=(\d{4}-\d\d-\d\d)/")


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file of a drop.

    :param path: below the drop's root, with slashes.
    :param size: bytes.
    :param modified: seconds since the epoch.
    """

    path: str
    size: int
    modified: float

    @property
    def kind(self) -> str:
        """What its folder says it is."""
        first = self.path.partition("/")[0]
        return first if first in KINDS else OTHER

    @property
    def day(self) -> str | None:
        """Its ``dt``, where the path has one."""
        found = _DAY.search(self.path)
        return found.group(1) if found else None


def summarise(raw: str, files: Iterable[RawFile]) -> dict[str, Any]:
    """Return counts that fit into an XCom: no file is named.

    :param raw: root of the drop.
    :param files: what was found below it.
    """
    kinds: dict[str, Counter[str]] = {}
    days: Counter[str] = Counter()
    for file in files:
        kinds.setdefault(file.kind, Counter()).update({"files": 1, "bytes": file.size})
        if file.day:
            days[file.day] += 1
    newest = sorted(days, reverse=True)[:LISTED_DAYS]
    return {
        "raw": raw,
        "files": sum(counts["files"] for counts in kinds.values()),
        "bytes": sum(counts["bytes"] for counts in kinds.values()),
        "kinds": {kind: dict(kinds[kind]) for kind in sorted(kinds)},
        "dt": sorted(newest),
        "dt_left_out": len(days) - len(newest),
    }


def list_drop(raw: str, dt: str | None = None, aws_conn_id: str | None = None) -> Iterator[RawFile]:
    """List a drop. What starts with a dot or an underscore (markers, unfinished uploads) is no input.

    :param raw: root of the drop: a path, ``file://...`` or ``s3://bucket/prefix``.
    :param dt: days, as :meth:`airflow_lakehouse.days.Days.parse` takes them; only their folders are listed then.
    :param aws_conn_id: Airflow's AWS connection for S3; None takes what boto3 finds on the machine.
    :raises InputError: when the place is of a kind that cannot be listed, or ``dt`` names no days.
    """
    days = Days.parse(dt) if dt else None
    if raw.startswith("s3://"):
        files = _list_s3(raw, days, aws_conn_id)
    elif "://" in raw and not raw.startswith("file://"):
        raise InputError(f"a raw drop cannot be read from {raw!r}", legal="a path, file:// or s3://")
    else:
        files = _list_local(Path(raw.removeprefix("file://")).expanduser(), days)
    return (file for file in files if not any(part.startswith((".", "_")) for part in file.path.split("/")))


def _list_local(root: Path, days: Days | None) -> Iterator[RawFile]:
    if root.is_file():
        yield _local_file(root, root.name)
        return
    tops = [root]
    if days:
        folders = (folder for above in _ABOVE_DAY for folder in root.glob(f"{above}dt={days.only or '*'}"))
        tops = [folder for folder in folders if _is_of(days, folder.name)]
    for top in tops:
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder, name)
                # A file can vanish between the listing and the look at it: writers rename temporary files.
                if path.is_file():
                    yield _local_file(path, path.relative_to(root).as_posix())


def _is_of(days: Days, folder: str) -> bool:
    """Tell whether a folder, ``dt=YYYY-MM-DD``, is that of one of these days."""
    return as_day(folder.removeprefix("dt=")) in days


def _local_file(path: Path, name: str) -> RawFile:
    status = path.stat()
    return RawFile(name, status.st_size, status.st_mtime)


def _list_s3(raw: str, days: Days | None, aws_conn_id: str | None) -> Iterator[RawFile]:
    # Imported when used: boto3 and the provider cost a DAG parse 0.6 s.
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    client: Any = S3Hook(aws_conn_id=aws_conn_id).get_conn()
    bucket, _, root = raw.removeprefix("s3://").partition("/")
    root = f"{root.rstrip('/')}/" if root.strip("/") else ""
    prefixes = [root]
    if days:
        # Day folders are two or three levels down; asking level by level spares listing every other day's keys.
        parents = [root, *_folders(client, bucket, root)]
        parents += [folder for parent in parents for folder in _folders(client, bucket, f"{parent}source=")]
        tops = list(dict.fromkeys(parents))
        prefixes = [f"{top}dt={days.only}/" for top in tops] if days.only else _days_below(client, bucket, tops, days)
    for prefix in prefixes:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):
                    modified = entry["LastModified"].timestamp()
                    yield RawFile(entry["Key"].removeprefix(root), entry["Size"], modified)


def _days_below(client: Any, bucket: str, tops: Iterable[str], days: Days) -> list[str]:
    found = [folder for top in tops for folder in _folders(client, bucket, f"{top}dt=")]
    return [folder for folder in found if _is_of(days, folder.rstrip("/").rpartition("/")[2])]


def _folders(client: Any, bucket: str, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]


def look_at_drop(
    raw: str,
    *,
    dt: str | None = None,
    min_files: int = 1,
    settle_seconds: float = 0.0,
    aws_conn_id: str | None = None,
) -> tuple[bool, dict[str, Any]]:
    """Tell whether a drop is ready to be read, and what is in it. One that does not exist is not ready.

    :param raw: root of the drop.
    :param dt: days, as :meth:`airflow_lakehouse.days.Days.parse` takes them; None takes all of them.
    :param min_files: how many files there must be.
    :param settle_seconds: how long no file may have changed; guards against a drop that is still being written.
    :param aws_conn_id: Airflow's AWS connection for S3.
    """
    files = list(list_drop(raw, dt, aws_conn_id))
    newest = max((file.modified for file in files), default=0.0)
    settled = not settle_seconds or time.time() - newest >= settle_seconds
    return len(files) >= min_files and settled, {**summarise(raw, files), "settled": settled}

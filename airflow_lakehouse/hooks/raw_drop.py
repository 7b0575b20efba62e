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
from airflow_lakehouse.hooks.looking import Finding, Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KINDS: Final = ("fhir", "docs")
OTHER: Final = "other"
LISTED_DAYS: Final = 400
"""How many days a finding names; XCom must stay small whatever the drop holds."""

QUIET_SECONDS: Final = 300.0
"""How long a folder without a marker must have been left alone before it counts as complete."""

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
        return day_of(self.path)


def day_of(path: str) -> str | None:
    """Return the ``dt`` of a path, where it has one.

    :param path: with slashes.
    """
    found = _DAY.search(path)
    return found.group(1) if found else None


def is_input(path: str) -> bool:
    """Tell whether a file is to be read: what starts with a dot or an underscore (markers, unfinished uploads) is not.

    :param path: below the drop's root, with slashes.
    """
    return not any(part.startswith((".", "_")) for part in path.split("/"))


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
    """List the input in a drop, see :func:`is_input`.

    :param raw: root of the drop: a path, ``file://...`` or ``s3://bucket/prefix``.
    :param dt: days, as :meth:`airflow_lakehouse.days.Days.parse` takes them; only their folders are listed then.
    :param aws_conn_id: Airflow's AWS connection for S3; None takes what boto3 finds on the machine.
    :raises InputError: when the place is of a kind that cannot be listed, or ``dt`` names no days.
    """
    return (file for file in _list_all(raw, Days.parse(dt) if dt else None, aws_conn_id) if is_input(file.path))


def _list_all(raw: str, days: Days | None, aws_conn_id: str | None) -> Iterator[RawFile]:
    if raw.startswith("s3://"):
        return _list_s3(raw, days, aws_conn_id)
    if "://" in raw and not raw.startswith("file://"):
        raise InputError(f"a raw drop cannot be read from {raw!r}", legal="a path, file:// or s3://")
    return _list_local(Path(raw.removeprefix("file://")).expanduser(), days)


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


@dataclass(frozen=True)
class RawDropLook(Look):
    """Look for files in a drop: what :func:`look_at_drop` tells.

    :param raw: root of the drop.
    :param dt: days, as :meth:`airflow_lakehouse.days.Days.parse` takes them; None takes all of them.
    :param min_files: how many files there must be.
    :param settle_seconds: how long no file may have changed.
    :param aws_conn_id: Airflow's AWS connection for S3.
    """

    raw: str
    dt: str | None = None
    min_files: int = 1
    settle_seconds: float = 0.0
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:  # noqa: ARG002 - nothing new is looked for
        """List the drop once."""
        return Finding(
            *look_at_drop(
                self.raw,
                dt=self.dt,
                min_files=self.min_files,
                settle_seconds=self.settle_seconds,
                aws_conn_id=self.aws_conn_id,
            )
        )


@dataclass(frozen=True)
class RawPartitionLook(Look):
    """Look for a day of a drop that is there and complete.

    Found are ``files``, ``bytes``, ``folders`` (each with files, bytes, complete) and ``missing`` kinds. A folder is
    one ``dt=`` folder, of a kind or a source. All that are there must be complete, and of each kind that is asked for
    there must be one.

    :param raw: root of the drop.
    :param dt: the day, ``YYYY-MM-DD``.
    :param kinds: kinds that must be there, such as ``["fhir"]``; by default any will do.
    :param marker: name of the file that says a folder is complete, such as ``_SUCCESS``; None goes by the quiet period.
    :param quiet_seconds: without a marker: how long no file of a folder may have changed.
    :param min_files: how many files there must be in all.
    :param aws_conn_id: Airflow's AWS connection for S3.
    """

    raw: str
    dt: str
    kinds: list[str] | None = None
    marker: str | None = None
    quiet_seconds: float = QUIET_SECONDS
    min_files: int = 1
    aws_conn_id: str | None = None

    def look(self, cursor: dict[str, Any] | None = None) -> Finding:  # noqa: ARG002 - nothing new is looked for
        """List the day's folders once."""
        days = Days.parse(self.dt)
        if days.only is None:
            raise InputError(f"{self.dt!r} is not one day", legal="YYYY-MM-DD")
        folders: dict[str, list[RawFile]] = {}
        for file in _list_all(self.raw, days, self.aws_conn_id):
            found = _DAY.search(file.path)
            if found and found.group(1) == str(days.only):
                folders.setdefault(file.path[: found.end()], []).append(file)
        told = {folder: self._tell(folder, files) for folder, files in sorted(folders.items())}
        missing = [kind for kind in self.kinds or () if not any(folder.startswith(f"{kind}/") for folder in told)]
        files, size = (sum(one[what] for one in told.values()) for what in ("files", "bytes"))
        complete = not missing and bool(told) and all(one["complete"] for one in told.values())
        listed = dict(list(told.items())[:LISTED_DAYS])
        found_there = {"raw": self.raw, "dt": self.dt, "files": files, "bytes": size, "folders": listed}
        return Finding(complete and files >= int(self.min_files), {**found_there, "missing": missing})

    def _tell(self, folder: str, files: list[RawFile]) -> dict[str, Any]:
        inputs = [file for file in files if is_input(file.path)]
        if self.marker:
            complete = any(file.path == f"{folder}{self.marker}" for file in files)
        else:
            # Hidden files count here: an upload under way writes to one.
            newest = max(file.modified for file in files)
            complete = bool(inputs) and time.time() - newest >= float(self.quiet_seconds)
        return {"files": len(inputs), "bytes": sum(file.size for file in inputs), "complete": complete}

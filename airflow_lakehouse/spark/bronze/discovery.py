"""Which files a drop holds, which version each has, and which parser reads it.

Works for the laid-out drop (``fhir/dt=2026-01-15/*``, ``docs/...``, optionally ``source=NAME/``), for any other
folder and for a single file alike: the layout gives ``dt`` and ``source_system``, the content gives the parser.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from airflow_lakehouse.days import as_day
from airflow_lakehouse.exceptions import InputError, SourceReadError
from airflow_lakehouse.parsing.model import SourceFile
from airflow_lakehouse.spark.bronze.scope import Scope
from airflow_lakehouse.spark.storage import aws_retries, files

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.profile import Profile

UNKNOWN: Final = "unknown"
"""Stands for the parser of a file that none claims."""
UNKNOWN_VERSION: Final = "1"

_DT: Final = re.compile(r"(?:^|/)dt=([^/]*)/")
_SOURCE: Final = re.compile(r"(?:^|/)source=([^/]+)/")
_MARKERS: Final = ("_", ".")


@dataclass(frozen=True, slots=True)
class Found:
    """One file and who reads it.

    :param file: the file.
    :param parser: name of its parser, or :data:`UNKNOWN`.
    :param parser_version: version of that parser.
    """

    file: SourceFile
    parser: str
    parser_version: str


def discover(profile: Profile, registry: Registry, scope: Scope | None = None) -> list[Found]:
    """List a drop, in order of URI.

    :param profile: the lakehouse; names the drop.
    :param registry: the parsers.
    :param scope: which part of it.
    :raises InputError: when the drop does not exist, cannot be read or holds no file.
    """
    scope = scope or Scope()
    raw = profile.raw
    if not raw:
        raise InputError("no raw drop was named", remedy="give a folder or a file")
    # By name: a listing of many pages may tell an object twice, which would then be loaded twice.
    listed = {file.uri: file for file in list_files(raw, scope, profile.textract_uri)}
    found = [claim(file, registry) for file in listed.values()]
    if not found:
        raise _nothing(raw, scope)
    return found


def _nothing(raw: str, scope: Scope) -> InputError:
    """Return the error of a drop in which there is no file for a run; it tells which days there are."""
    if scope.dt is None:
        return InputError(f"{raw} holds no file", legal="a folder with files in it, or one file", remedy=_LAYOUT)
    days = sorted({day for uri, relative, *_ in _list(raw) if (day := _day_of(uri, relative)[0])})
    there = f"{len(days)} days from {days[0]} to {days[-1]}" if days else "none"
    return InputError(f"{raw} holds no file for dt={scope.dt!r}", legal=f"days there are: {there}", remedy=_LAYOUT)


_LAYOUT: Final = "put files below <raw>/fhir/dt=YYYY-MM-DD/ or <raw>/docs/dt=YYYY-MM-DD/, or name another folder"


def list_files(raw: str, scope: Scope, textract: str = "") -> Iterator[SourceFile]:
    """Yield the files of a drop without asking who reads them.

    :param raw: root of the drop, or one file.
    :param scope: which part of it.
    :param textract: handed to every file.
    :raises InputError: when the drop does not exist or cannot be read.
    """
    results = files.folder_uri(textract) if textract else ""
    days = scope.days
    only = str(days.only) if days and days.only else None
    for uri, relative, size, etag in _list(raw):
        if results and uri.startswith(results):
            # An OCR root below the drop: what engines have read is no drop of its own.
            continue
        dt, day_given = _day_of(uri, relative)
        if days and day_given and (as_day(dt) if dt else None) not in days:
            continue
        version = etag or _version(uri)
        if not version:
            continue
        source = _SOURCE.search(relative) or _SOURCE.search(uri)
        yield SourceFile(
            uri=uri,
            etag=version,
            size=size,
            dt=dt or only,
            source_system=source[1] if source else (scope.source_system or "default"),
            textract=textract,
        )


def _list(raw: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield URI, path below the drop, size and, where the listing tells it, the version of each file."""
    return _list_local(raw) if files.local_path(raw) else _list_remote(raw)


def _list_local(raw: str) -> Iterator[tuple[str, str, int, str]]:
    root = files.local_path(raw) or Path(raw)
    if root.is_file():
        yield files.file_uri(root), root.name, root.stat().st_size, ""
        return
    if not root.is_dir():
        raise InputError(f"the raw drop {root} does not exist", legal="a folder, a file or s3://bucket/prefix")
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith(_MARKERS))
        for name in sorted(names):
            path = Path(folder) / name
            size = None if name.startswith(_MARKERS) else _size(path)
            if size is not None:
                yield files.file_uri(path), files.spelled(path.relative_to(root)), size, ""


def _size(path: Path) -> int | None:
    """Return the size of a file; None for what is none, or is gone since its folder was listed."""
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None


def _version(uri: str) -> str:
    """Return the version of a local file; empty where it is gone before anybody knew what it held."""
    try:
        return _sha256(uri)
    except FileNotFoundError:
        return ""


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read: {error.strerror}", remedy="mend its permissions") from error


def _list_remote(raw: str) -> Iterator[tuple[str, str, int, str]]:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = raw.removeprefix("s3://").partition("/")
    pages = aws_retries.s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    try:
        for item in (item for page in pages for item in page.get("Contents", ())):
            relative = item["Key"].removeprefix(prefix).lstrip("/")
            if not any(part.startswith(_MARKERS) for part in relative.split("/")) and not item["Key"].endswith("/"):
                yield f"s3://{bucket}/{item['Key']}", relative, item["Size"], item["ETag"].strip('"')
    except (ClientError, BotoCoreError) as error:
        told = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise SourceReadError(
            f"{raw} cannot be listed ({told})", remedy="run it again, or mend access to it"
        ) from error


def claim(file: SourceFile, registry: Registry) -> Found:
    """Return a file with who reads it; one that is gone since it was listed is nobody's.

    :param file: the file.
    :param registry: the parsers.
    """
    try:
        parser = registry.claim(file, files.read_head(file.uri, file.etag))
    except FileNotFoundError:
        parser = None
    return Found(file, parser.name, parser.version) if parser else Found(file, UNKNOWN, UNKNOWN_VERSION)


def is_unchanged(file: SourceFile) -> bool:
    """Tell whether a file still is there, in the version it was loaded in.

    :param file: the file.
    """
    return bool(sizes([(file.uri, file.etag)]))


def sizes(versions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the bytes of those file versions that still are where they were; one listing a remote folder.

    :param versions: URI and version of each.
    """
    wanted = set(versions)
    folders = {uri.rpartition("/")[0] for uri, _ in wanted if files.local_path(uri) is None}
    found = {(uri, etag): size for folder in sorted(folders) for uri, _, size, etag in _list_remote(folder)}
    here = {key: found[key] for key in wanted if key in found}
    for uri, etag in wanted:
        path = files.local_path(uri)
        size = _size(path) if path is not None else None
        if size is not None and _version(uri) == etag:
            here[uri, etag] = size
    return here


def _day_of(uri: str, relative: str) -> tuple[str | None, bool]:
    """Return the day the path names, and whether the path has a partition for days at all."""
    found = _DT.search(relative) or _DT.search(uri)
    if found is None:
        return None, False
    # dt=2026-13-45 is no day: the file loads without one rather than being lost or failing the run.
    return (found[1] if as_day(found[1]) else None), True


def _sha256(uri: str) -> str:
    try:
        with files.open_raw(uri) as stream:
            return hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()
    except PermissionError as error:
        raise InputError(f"{uri} cannot be read", remedy="mend its permissions, or take it out of the drop") from error

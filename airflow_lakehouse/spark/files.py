"""Opening what a URI names, on this machine or in S3, without Spark."""

from __future__ import annotations

import gzip
import io
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from airflow_lakehouse.exceptions import InputError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

HEAD_BYTES: Final = 65_536
"""How much of a file a parser sees to decide whether it is its."""
STAGING: Final = "_staging"
"""Folder in the warehouse, with one folder a run, removed when the run ends."""
STAGED: Final = {"compression": "zstd", "parquet.enable.dictionary": "false"}
"""Options of Parquet files that are read once and thrown away: no time is spent on finding what repeats."""
_ABANDONED_SECONDS: Final = 3 * 24 * 3600
GZIP_MAGIC: Final = b"\x1f\x8b"


def local_path(uri: str) -> Path | None:
    """Return the path a URI names on this machine, or None for another scheme.

    :param uri: a path, ``file://...`` or another URI.
    """
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri).expanduser().absolute()


def file_uri(path: Path) -> str:
    """Return the URI of a path, spelled as the path is.

    Percent signs would make ``dt=2026-01-15`` into ``dt%3D2026-01-15``: no reader would find the file by it, and no
    DocumentReference either.

    :param path: absolute.
    """
    return f"file://{path.as_posix()}"


def filesystem(uri: str) -> tuple[FileSystem, str]:
    """Return the Arrow file system of a URI and the path in it.

    :param uri: ``s3://...`` or ``file://...``.
    :raises InputError: when the scheme is not known.
    """
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    try:
        found, path = FileSystem.from_uri(uri)
    except ArrowInvalid as error:
        raise InputError(f"cannot open {uri!r}", legal="a path, file://... or s3://bucket/prefix") from error
    return found, path


def open_raw(uri: str) -> BinaryIO:
    """Open a file as it is.

    :param uri: where it is.
    """
    path = local_path(uri)
    if path is not None:
        return path.open("rb", buffering=1 << 20)
    store, name = filesystem(uri)
    return cast("BinaryIO", io.BufferedReader(store.open_input_stream(name), 1 << 20))


class _Gzip(gzip.GzipFile):
    """A gzip stream that closes what it reads from; the standard one leaves a stream that was handed in open."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(fileobj=stream)
        self._stream = stream

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._stream.close()


def open_unzipped(uri: str) -> BinaryIO:
    """Open a file, unzipped where its first bytes say gzip, whatever its name says.

    :param uri: where it is.
    """
    stream = open_raw(uri)
    if cast("io.BufferedReader", stream).peek(2)[:2] == GZIP_MAGIC:
        return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", _Gzip(stream)), 1 << 20))
    return stream


def read_head(uri: str) -> bytes:
    """Return the first 64 KiB of a file, unzipped; what can be had of a broken gzip.

    :param uri: where it is.
    """
    with open_unzipped(uri) as stream:
        try:
            return stream.read(HEAD_BYTES)
        except (EOFError, OSError):
            return b""


def delete_folder(uri: str) -> None:
    """Delete a folder and what is in it; one that does not exist is fine.

    :param uri: where it is.
    """
    path = local_path(uri)
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)
        return
    store, name = filesystem(uri)
    try:
        store.delete_dir(name)
    except FileNotFoundError:
        return


def clear_abandoned(warehouse_uri: str) -> None:
    """Delete what runs that were killed have left in :data:`STAGING`, once no run can still be using it.

    :param warehouse_uri: root of the warehouse.
    """
    from pyarrow.fs import FileSelector, LocalFileSystem

    path = local_path(warehouse_uri)
    store, name = (LocalFileSystem(), str(path)) if path is not None else filesystem(warehouse_uri)
    root = f"{name.rstrip('/')}/{STAGING}"
    newest: dict[str, float] = {}
    for info in store.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        run = info.path.removeprefix(f"{root}/").split("/")[0]
        newest[run] = max(newest.get(run, 0.0), info.mtime.timestamp() if info.mtime else 0.0)
    for run, touched in newest.items():
        # S3 keeps no time for a folder: one in which nothing is dated is left alone.
        if 0 < touched < time.time() - _ABANDONED_SECONDS:
            delete_folder(f"{warehouse_uri}/{STAGING}/{run}")

"""Opening what a URI names, on this machine or in S3, without Spark."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from airflow_lakehouse.exceptions import InputError, SourceReadError
from airflow_lakehouse.spark.storage import aws_retries
from airflow_lakehouse.spark.storage.file_versions import HashedVersion, S3Version, is_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyarrow.fs import FileSystem

HEAD_BYTES: Final = 65_536
"""How much of a file a parser sees to decide whether it is its."""
STAGING: Final = "_staging"
"""Folder with one folder a run, removed when the run ends (``staging_root`` in ``spark.engine.job_session``)."""
STAGED: Final = {"compression": "zstd", "parquet.enable.dictionary": "false"}
"""Options of Parquet files that are read once and thrown away: no time is spent on finding what repeats."""
_BUFFER_BYTES: Final = 1 << 20
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
_BYTE: Final = re.compile("%([89A-F][0-9A-F])")
GZIP_MAGIC: Final = b"\x1f\x8b"


def local_path(uri: str) -> Path | None:
    """Return the path a URI names on this machine, or None for another scheme.

    :param uri: a path, ``file://...`` or another URI.
    """
    if uri.startswith("file://"):
        path = Path(uri.removeprefix("file://"))
        return path if not _BYTE.search(uri) or path.exists() else Path(_BYTE.sub(_byte, str(path)))
    return None if "://" in uri else Path(uri).expanduser().absolute()


def file_uri(path: Path) -> str:
    """Return the URI of a path, spelled as the path is.

    Percent signs would make ``dt=2026-01-15`` into ``dt%3D2026-01-15``: no reader would find the file by it, and no
    DocumentReference either.

    A byte of a name that is not UTF-8, which no text column can hold, is spelled ``%FC``.

    :param path: absolute.
    """
    return f"file://{spelled(path)}"


def spelled(path: Path) -> str:
    """Return a path as it is spelled in a URI.

    :param path: a path, or a part of one.
    """
    return _NOT_UTF8.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", path.as_posix())


def _byte(found: re.Match[str]) -> str:
    return os.fsdecode(bytes.fromhex(found[1]))


def folder_uri(uri: str) -> str:
    """Return the URI of a folder with a slash at its end, such that the URIs of what is in it begin with it.

    :param uri: a path, ``file://...`` or another URI.
    """
    path = local_path(uri)
    return f"{(file_uri(path) if path is not None else uri).rstrip('/')}/"


def filesystem(uri: str, properties: Mapping[str, str] | None = None) -> tuple[FileSystem, str]:
    """Return the Arrow file system of a URI and the path in it.

    :param uri: ``s3://...`` or ``file://...``.
    :param properties: of the catalog, for what lies in its warehouse: where they say how S3 is reached, as with
        ``s3.endpoint``, PyIceberg's own reading of them holds. Without them, the environment alone says it.
    :raises InputError: when the scheme is not known.
    """
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, S3FileSystem

    scheme, _, path = uri.partition("://")
    if scheme in ("s3", "s3a") and any(name.startswith(("s3.", "client.")) for name in properties or ()):
        from pyiceberg.io.pyarrow import PyArrowFileIO

        return PyArrowFileIO(dict(properties or {})).fs_by_scheme(scheme, path.partition("/")[0]), path
    try:
        found, path = FileSystem.from_uri(uri)
    except ArrowInvalid as error:
        raise InputError(f"cannot open {uri!r}", legal="a path, file://... or s3://bucket/prefix") from error
    is_plain = isinstance(found, S3FileSystem) and "?" not in uri
    return (aws_retries.arrow_s3(found.region) if is_plain else found), path


class _Source(io.RawIOBase):
    """Bytes of a file, in which a failing disk or network cannot be taken for what is wrong with the file itself."""

    def __init__(self, uri: str, stream: BinaryIO) -> None:
        super().__init__()
        self._uri, self._stream = uri, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise SourceReadError(f"{self._uri} broke off while it was read ({type(error).__name__})") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        super().close()
        self._stream.close()


class _Unzipped(io.RawIOBase):
    """Content of a gzip stream; where it is cut off or broken, what came before, then the end."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream, self._gzip = stream, gzip.GzipFile(fileobj=stream)
        self.failure = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.failure:
            return 0
        try:
            # One read of the stream below: a second one that fails would take the bytes of the first with it.
            data = self._gzip.read1(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.failure = type(error).__name__
            # To its end all the same: only then is it known whether this is the file that was listed.
            while self._stream.read(_BUFFER_BYTES):
                pass
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        super().close()
        self._gzip.close()
        self._stream.close()


def open_raw(uri: str, etag: str = "") -> BinaryIO:
    """Open a file as it is.

    :param uri: where it is.
    :param etag: version it must have, as it was listed; empty for any.
    :raises FileNotFoundError: when there is none.
    :raises SourceReadError: from this call or from its reads, when the disk or the network fails, or the file has
        another version.
    """
    path = local_path(uri)
    try:
        if path is not None:
            stream: Any = path.open("rb", buffering=0)
        elif etag and not is_sha256(etag):
            stream = S3Version(uri, etag)
        else:
            store, name = filesystem(uri)
            stream = store.open_input_stream(name)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SourceReadError(f"{uri} cannot be opened ({error.strerror or type(error).__name__})") from error
    stream = HashedVersion(uri, stream, etag) if is_sha256(etag) else stream
    return cast("BinaryIO", io.BufferedReader(_Source(uri, stream), _BUFFER_BYTES))


def open_unzipped(uri: str, etag: str = "") -> BinaryIO:
    """Open a file, unzipped where its first bytes say gzip, whatever its name says.

    A gzip that is cut off ends where it is cut; :func:`gzip_failure` tells.

    :param uri: where it is.
    :param etag: see :func:`open_raw`.
    """
    stream = open_raw(uri, etag)
    if cast("io.BufferedReader", stream).peek(2)[:2] == GZIP_MAGIC:
        return cast("BinaryIO", io.BufferedReader(_Unzipped(stream), _BUFFER_BYTES))
    return stream


def gzip_failure(stream: BinaryIO) -> str:
    """Return the name of the error that ended a gzip before its end; empty for a whole one.

    :param stream: from :func:`open_unzipped`, read to its end.
    """
    raw = getattr(stream, "raw", None)
    return raw.failure if isinstance(raw, _Unzipped) else ""


def read_head(uri: str, etag: str = "") -> bytes:
    """Return the first 64 KiB of a file, unzipped; what can be had of a broken gzip.

    :param uri: where it is.
    :param etag: see :func:`open_raw`.
    """
    with open_unzipped(uri, etag) as stream:
        return stream.read(HEAD_BYTES)


def delete_folder(uri: str, properties: Mapping[str, str] | None = None) -> None:
    """Delete a folder and what is in it; one that does not exist is fine.

    :param uri: where it is.
    :param properties: see :func:`filesystem`.
    """
    path = local_path(uri)
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)
        return
    store, name = filesystem(uri, properties)
    with suppress(FileNotFoundError):
        store.delete_dir(name)


def list_below(folder: str, properties: Mapping[str, str] | None = None) -> Iterator[tuple[str, int, float]]:
    """Yield path below the folder, bytes and time of writing of every file in it and in the folders in it.

    The time is in seconds since 1970; 0 where the store keeps none.

    :param folder: a path or URI; one that does not exist holds nothing.
    :param properties: see :func:`filesystem`.
    """
    from pyarrow.fs import FileSelector, FileType, LocalFileSystem

    path = local_path(folder)
    store, name = (LocalFileSystem(), path.as_posix()) if path is not None else filesystem(folder, properties)
    root = name.rstrip("/")
    for info in store.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        if info.type == FileType.File:
            written = info.mtime.timestamp() if info.mtime else 0.0
            yield info.path.removeprefix(f"{root}/"), info.size or 0, written

"""Small files by name below one root, on this machine or in an object store."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

from airflow_lakehouse.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyarrow.fs import FileSystem


class Folder(Protocol):
    """Files below one root. Names use ``/``; a file appears whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none.

        :param name: below the root.
        """

    def size(self, name: str) -> int | None:
        """Return how many bytes a file has, or None where there is none.

        :param name: below the root.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of an older one.

        :param name: below the root.
        :param data: its bytes.
        """

    def delete(self, name: str) -> None:
        """Delete a file; nothing happens where there is none.

        :param name: below the root.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder, without their paths; none where it does not exist.

        :param folder: below the root.
        """

    def uri(self, name: str) -> str:
        """Return where a file is.

        :param name: below the root.
        """


class LocalFolder:
    """A folder on this machine.

    :param root: its path; made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def read(self, name: str) -> bytes | None:
        """As :meth:`Folder.read`."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, name: str) -> int | None:
        """As :meth:`Folder.size`."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Folder.write`: to a file beside it, then renamed, so that a killed run leaves no half of one."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def delete(self, name: str) -> None:
        """As :meth:`Folder.delete`."""
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """As :meth:`Folder.names`."""
        path = self.root / folder
        return sorted(entry.name for entry in path.iterdir() if entry.is_file()) if path.is_dir() else []

    def uri(self, name: str) -> str:
        """As :meth:`Folder.uri`."""
        return f"file://{(self.root / name).as_posix()}"


class ArrowFolder:
    """A folder in any store Arrow opens. Object stores write whole objects, so nothing needs renaming.

    :param store: the file system.
    :param root: path in it.
    :param base: URI of the root.
    """

    def __init__(self, store: FileSystem, root: str, base: str) -> None:
        self._store = store
        self._root = root.rstrip("/")
        self._base = base.rstrip("/")

    def read(self, name: str) -> bytes | None:
        """As :meth:`Folder.read`."""
        try:
            with self._store.open_input_stream(f"{self._root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """As :meth:`Folder.size`."""
        return cast("int | None", self._store.get_file_info(f"{self._root}/{name}").size)

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Folder.write`."""
        path = f"{self._root}/{name}"
        self._store.create_dir(path.rpartition("/")[0], recursive=True)
        with self._store.open_output_stream(path) as stream:
            stream.write(data)

    def delete(self, name: str) -> None:
        """As :meth:`Folder.delete`."""
        with suppress(FileNotFoundError):
            self._store.delete_file(f"{self._root}/{name}")

    def names(self, folder: str) -> list[str]:
        """As :meth:`Folder.names`."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        return sorted(info.base_name for info in self._store.get_file_info(selector) if info.type == FileType.File)

    def uri(self, name: str) -> str:
        """As :meth:`Folder.uri`."""
        return f"{self._base}/{name}"


def open_folder(root: str) -> Folder:
    """Return the folder a path or URI names.

    :param root: a path, ``file://...`` or ``s3://bucket/prefix``.
    :raises InputError: when the scheme is not known.
    """
    path = _local_path(root)
    if path is not None:
        return LocalFolder(path)
    store, name = _store(root)
    return ArrowFolder(store, name, root)


@contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Give a path to a file's bytes on this machine: its own, or that of a copy for the time of the block.

    :param uri: a path, ``file://...`` or ``s3://bucket/key``.
    :raises InputError: when the scheme is not known.
    :raises OSError: when the file cannot be read.
    """
    path = _local_path(uri)
    if path is not None:
        yield path
        return
    store, name = _store(uri)
    with tempfile.TemporaryDirectory(prefix="lakehouse-ocr-") as folder:
        copy = Path(folder) / "document"
        with store.open_input_stream(name) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield copy


def _local_path(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri).expanduser().absolute()
    parts = urlsplit(uri)
    return Path(uri.removeprefix("file://")) if parts.scheme == "file" else None


def _store(uri: str) -> tuple[FileSystem, str]:
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    try:
        store, name = FileSystem.from_uri(uri)
    except ArrowInvalid as error:
        raise InputError(f"cannot open {uri!r}", legal="a path, file://... or s3://bucket/prefix") from error
    return store, name

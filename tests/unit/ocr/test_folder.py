from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyarrow.fs import LocalFileSystem

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.ocr.folder import ArrowFolder, Folder, LocalFolder, local_copy, open_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["local", "arrow"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Give the same folder through this machine's own calls and through Arrow's."""
    if request.param == "local":
        return LocalFolder(tmp_path)
    return ArrowFolder(LocalFileSystem(), str(tmp_path), f"file://{tmp_path}")


def test_every_kind_of_folder_behaves_alike(folder: Folder) -> None:
    """Files are written whole, replaced, listed and read back; absent ones are None."""
    assert folder.read("a/1") is None
    assert folder.names("a") == []
    folder.write("a/1", b"old")
    folder.write("a/1", b"new")
    folder.write("a/document.json", b"{}")
    assert folder.read("a/1") == b"new"
    assert folder.names("a") == ["1", "document.json"]
    assert folder.uri("a/1").startswith("file:///")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails leaves neither a half file nor a temporary one."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        LocalFolder(tmp_path).write("taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_unknown_scheme_is_refused() -> None:
    """A typing mistake in a URI is named."""
    with pytest.raises(InputError, match=r"ftq://x"):
        open_folder("ftq://x")


def test_a_local_file_is_not_copied(tmp_path: Path) -> None:
    """A document on this machine is read where it is, also with blanks and umlauts in its name."""
    path = tmp_path / "Brief für Frau Müller.pdf"
    path.write_bytes(b"x")
    with local_copy(f"file://{path}") as found:
        assert found == path

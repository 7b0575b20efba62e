"""Files that change or vanish between the listing of a drop and the reading of its files."""

from __future__ import annotations

import gzip
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import SourceReadError
from airflow_lakehouse.spark.bronze import discovery
from airflow_lakehouse.spark.bronze.scope import Scope
from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("content", [b"", b"x" * 3_000_000, gzip.compress(b"y" * 100), gzip.compress(b"z" * 99)[:-5]])
def test_a_file_is_read_in_the_version_that_was_listed(tmp_path: Path, content: bytes) -> None:
    """Read to its end it is what was listed, or an error: whole, zipped, or a gzip that is cut off."""
    path = tmp_path / "file"
    path.write_bytes(content)
    uri, etag = files.file_uri(path), sha256(content).hexdigest()
    with files.open_unzipped(uri, etag) as stream:
        stream.read()
    with pytest.raises(SourceReadError), files.open_unzipped(uri, sha256(b"other").hexdigest()) as stream:
        stream.read()


def test_a_file_that_vanishes_while_a_drop_is_listed_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone before anybody knew what it held, it is no file of the drop; the others are."""
    for name in "ab":
        (tmp_path / name).write_text(name)
    original = discovery._sha256

    def digest(uri: str) -> str:
        (tmp_path / "a").unlink(missing_ok=True)
        return original(uri)

    monkeypatch.setattr(discovery, "_sha256", digest)
    listed = discovery.list_files(str(tmp_path), Scope())
    assert [file.uri for file in listed] == [f"file://{tmp_path}/b"]

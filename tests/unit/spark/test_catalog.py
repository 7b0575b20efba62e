"""The catalog without Spark: a table whose metadata is lost, and runs that make one catalog at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import TableLostError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.iceberg.create import create_table
from airflow_lakehouse.spark.storage.catalog import find_catalog, find_table, get_table, load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import PARTIAL, create_local_catalog
from airflow_lakehouse.tables import NAMESPACES, ops

if TYPE_CHECKING:
    from collections.abc import Callable

_TABLE = ops.INGESTED_FILES


@pytest.mark.parametrize(
    ("lose", "how"), [(Path.unlink, "gone"), (lambda path: path.write_text("{}"), "broken")], ids=["gone", "broken"]
)
def test_a_table_whose_metadata_is_lost_is_named(tmp_path: Path, lose: Callable[[Path], object], how: str) -> None:
    """Row 36 of the fault matrix, as far as it is told: which table, what happened, and what to do; not "no table"."""
    profile = Profile(str(tmp_path / "warehouse"))
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    create_table(catalog, _TABLE)
    metadata = Path(get_table(catalog, _TABLE.identifier).metadata_location.removeprefix("file://"))
    kept = metadata.read_text()
    lose(metadata)
    with pytest.raises(TableLostError, match=rf"'ops.ingested_files' is {how}.*backup"):
        find_table(catalog, _TABLE.identifier)
    metadata.write_text(kept)
    assert find_table(catalog, _TABLE.identifier) is not None


def test_first_runs_at_once_make_one_catalog(tmp_path: Path) -> None:
    """Of runs that look for a catalog and then create it none fails; nor does one that looks on meanwhile.

    Whoever finds a catalog finds all of it: of two that miss its tables, both make them and one fails.
    """
    for number in range(10):
        profile = Profile(str(tmp_path / f"warehouse{number}"))

        def look(profile: Profile = profile) -> set[str]:
            while (catalog := find_catalog(profile)) is None:
                pass
            return {name for (name,) in catalog.list_namespaces()}

        with ThreadPoolExecutor(8) as pool:
            looks = [pool.submit(look) for _ in range(4)]
            for made in [pool.submit(create_local_catalog, profile) for _ in range(4)]:
                made.result()
            assert [seen.result() for seen in looks] == [set(NAMESPACES)] * 4
        assert [path.name for path in profile.warehouse_dir.iterdir() if path.name.endswith(PARTIAL)] == []


def test_a_catalog_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    """A run that was killed while it made the catalog is in nobody's way."""
    profile = Profile(str(tmp_path / "warehouse"))
    profile.warehouse_dir.mkdir()
    profile.catalog_file.with_name(f"{profile.catalog_file.name}{PARTIAL}").write_bytes(
        b"SQLite format 3\x00 and no more"
    )
    assert find_catalog(profile) is None
    create_local_catalog(profile)
    assert {name for (name,) in load_pyiceberg(profile).list_namespaces()} == set(NAMESPACES)

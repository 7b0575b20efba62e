"""The catalog without Spark: a table whose metadata is lost, and runs that make one catalog at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import TableLostError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.catalog import create_local_catalog, find_table, get_table, load_pyiceberg
from airflow_lakehouse.spark.create import create_table
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
    """Of two runs that look for a catalog and then create it, neither fails."""
    profile = Profile(str(tmp_path / "warehouse"))
    with ThreadPoolExecutor(8) as pool:
        for made in [pool.submit(create_local_catalog, profile) for _ in range(8)]:
            made.result()
    assert {name for (name,) in load_pyiceberg(profile).list_namespaces()} == set(NAMESPACES)

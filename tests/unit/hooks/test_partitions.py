"""A partition is judged by Iceberg's metadata, on real tables in a real catalog."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.partitions import look_at, look_for
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "bronze.bronze_fhir_patient"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a lakehouse with a table that has two rows on one day and one without a day."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import BucketTransform, IdentityTransform
    from pyiceberg.types import DateType, NestedField, StringType

    profile = Profile(str(tmp_path / "wh"))
    create_local_catalog(profile)
    schema = Schema(NestedField(1, "resource_id", StringType()), NestedField(2, "dt", DateType()))
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "dt"), PartitionField(1, 1001, BucketTransform(2), "id_bucket")
    )
    catalog = load_pyiceberg(profile)
    for name in (TABLE, "gold.gold_extra"):
        table = catalog.create_table(name, schema, partition_spec=spec)
    rows = [("a", date(2026, 1, 15)), ("b", date(2026, 1, 15)), ("c", None)]
    columns = {"resource_id": [row[0] for row in rows], "dt": pa.array([row[1] for row in rows], pa.date32())}
    table = catalog.load_table(TABLE)
    table.append(pa.table(columns))
    return profile


def test_rows_of_a_partition_are_counted(profile: Profile) -> None:
    """Rows of the day asked for are counted, with the snapshot they were read in."""
    found = look_for(load_pyiceberg(profile), "bronze_fhir_patient", {"dt": "2026-01-15"})
    assert (found.table, found.rows) == (TABLE, 2)
    snapshot = load_pyiceberg(profile).load_table(TABLE).current_snapshot()
    assert snapshot is not None
    assert found.snapshot_id == snapshot.snapshot_id
    assert found.snapshot_time
    assert found.snapshot_time.endswith("+00:00")


def test_files_of_an_earlier_spec_are_looked_into(profile: Profile) -> None:
    """A file from before the table was partitioned so holds rows of several partitions: these alone are counted."""
    table = load_pyiceberg(profile).load_table(TABLE)
    with table.update_spec() as update:
        # PyIceberg cannot write a table with two fields of one column.
        update.remove_field("id_bucket").add_identity("resource_id")
    later = pa.table({"resource_id": ["a", "d"], "dt": pa.array([date(2026, 1, 15)] * 2, pa.date32())})
    table.append(later)
    assert look_at(load_pyiceberg(profile), TABLE, {"resource_id": "a"}).rows == 2
    assert look_at(load_pyiceberg(profile), TABLE, {"resource_id": "d"}).rows == 1
    assert look_at(load_pyiceberg(profile), TABLE, {"dt": "2026-01-15", "resource_id": "b"}).rows == 1


def test_rows_without_a_day_are_a_partition(profile: Profile) -> None:
    """None asks for the rows whose partition value is null."""
    assert look_for(load_pyiceberg(profile), TABLE, {"dt": None}).rows == 1


def test_another_day_is_empty(profile: Profile) -> None:
    """A partition that does not exist holds no row and no file."""
    found = look_for(load_pyiceberg(profile), TABLE, {"dt": "2026-01-16"})
    assert (found.rows, found.files) == (0, 0)
    assert found.snapshot_id


def test_deleted_rows_do_not_count(profile: Profile) -> None:
    """A partition whose rows were all deleted is not ready."""
    load_pyiceberg(profile).load_table(TABLE).delete("dt = '2026-01-15'")
    assert look_for(load_pyiceberg(profile), TABLE, {"dt": "2026-01-15"}).rows == 0


def test_a_missing_table_is_not_ready(profile: Profile) -> None:
    """No table, no namespace, no catalog: nothing there yet, and no error."""
    assert look_for(load_pyiceberg(profile), "bronze_fhir_encounter", {"dt": "2026-01-15"}).snapshot_id is None
    assert look_for(load_pyiceberg(profile), "nowhere.at_all", {"dt": "2026-01-15"}).rows == 0
    assert look_for(None, TABLE, {"dt": "2026-01-15"}).rows == 0


@pytest.mark.parametrize("partition", [{"resource_id": "a"}, {}, {"dt": "2026-01-15", "ward": "7"}])
def test_only_partition_columns_are_legal(profile: Profile, partition: dict[str, str]) -> None:
    """Another column would be waited for in vain; the message says which are legal."""
    with pytest.raises(ConfigurationError, match="Legal: dt"):
        look_for(load_pyiceberg(profile), TABLE, partition)


def test_tables_defined_elsewhere_bring_their_own_columns(profile: Profile) -> None:
    """For a table this package does not define, its own metadata says what is legal; an empty one is not ready."""
    assert look_for(load_pyiceberg(profile), "gold_extra", {"dt": "2026-01-15"}).rows == 0
    catalog = load_pyiceberg(profile)
    catalog.load_table("gold.gold_extra").append(pa.table({"resource_id": ["a"], "dt": pa.array([None], pa.date32())}))
    with pytest.raises(ConfigurationError, match="Legal: dt"):
        look_for(load_pyiceberg(profile), "gold_extra", {"resource_id": "a"})


def test_a_value_that_does_not_fit_is_refused(profile: Profile) -> None:
    """A value that is no date is said to be none, instead of never matching."""
    with pytest.raises(ConfigurationError, match="dt='yesterday'"):
        look_for(load_pyiceberg(profile), TABLE, {"dt": "yesterday"})


def test_a_table_without_a_namespace_is_refused(profile: Profile) -> None:
    """A bare name that is no table of ours must say where it is."""
    with pytest.raises(ConfigurationError, match="namespace"):
        look_for(load_pyiceberg(profile), "patients", {"dt": "2026-01-15"})

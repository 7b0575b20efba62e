"""Tables whose metadata file is lost, and put back; no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_lakehouse.cli import main
from airflow_lakehouse.exceptions import TableLostError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.restore import lost_tables, restore
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.table import Table as IcebergTable

_NAME = "gold.t"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Return a lakehouse with one table of three commits, a row each."""
    profile = Profile(str(tmp_path / "warehouse"))
    create_local_catalog(profile)
    table = load_pyiceberg(profile).create_table(_NAME, pa.schema([("id", pa.int64())]))
    for number in (1, 2, 3):
        _append(table, number)
    return profile


def _append(table: IcebergTable, number: int) -> None:
    table.append(pa.table({"id": pa.array([number], pa.int64())}))


def _head(profile: Profile) -> Path:
    return _path(load_pyiceberg(profile).load_table(_NAME).metadata_location)


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _ids(profile: Profile) -> list[int]:
    return sorted(load_pyiceberg(profile).load_table(_NAME).scan().to_arrow()["id"].to_pylist())


@pytest.mark.parametrize(
    "lose", [Path.unlink, lambda path: path.write_text("{}"), lambda path: path.write_bytes(b"\x00")]
)
def test_a_table_is_as_before_its_last_commit(profile: Profile, lose: Callable[[Path], object]) -> None:
    """Row 36: gone, broken or garbled, the metadata is put back from the file before; commits go on on top of it."""
    lose(_head(profile))
    assert [(table.name, bool(table.metadata)) for table in lost_tables(load_pyiceberg(profile))] == [(_NAME, True)]
    assert [table.name for table in restore(profile)] == [_NAME]
    assert _ids(profile) == [1, 2]
    assert restore(profile) == []
    _append(load_pyiceberg(profile).load_table(_NAME), 4)
    assert _ids(profile) == [1, 2, 4]


def test_the_newest_whole_file_is_taken(profile: Profile) -> None:
    """With the file before gone too, the one before that; a broken one is passed over; with none, nothing is done."""
    head = _head(profile)
    files = sorted(head.parent.glob("*.metadata.json"))
    assert files[-1] == head
    head.unlink()
    files[-2].write_text("{")
    restore(profile)
    assert _ids(profile) == [1]

    for file in files:
        file.unlink(missing_ok=True)
    with pytest.raises(TableLostError, match=r"gold[.]t.*backup"):
        restore(profile)


def test_a_commit_that_failed_is_not_what_was_before(profile: Profile) -> None:
    """A newer file that no catalog has named, of a commit that lost, is not taken for the table."""
    table = load_pyiceberg(profile).load_table(_NAME)
    head, kept = _head(profile), _head(profile).read_text()
    table.delete("id = 1")
    failed = _path(load_pyiceberg(profile).load_table(_NAME).metadata_location)
    stray = failed.with_name(failed.name.replace("00004", "00009"))
    failed.rename(stray)
    head.write_text(kept)
    restore(profile)
    assert _ids(profile) == [1, 2, 3]


def test_snapshots_that_have_expired_do_not_come_back(profile: Profile) -> None:
    """The lost commit was an expiry: what it took is not named again, and everything that is named can be read."""
    table = load_pyiceberg(profile).load_table(_NAME)
    first = table.snapshots()[0]
    table.maintenance.expire_snapshots().by_id(first.snapshot_id).commit()
    _path(first.manifest_list).unlink()
    _head(profile).unlink()
    restore(profile)
    table = load_pyiceberg(profile).load_table(_NAME)
    assert [one.snapshot_id for one in table.snapshots()] == [
        one.snapshot_id for one in table.snapshots() if _path(one.manifest_list).exists()
    ]
    assert _ids(profile) == [1, 2, 3]


def test_doctor_tells_and_mends(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """`lakehouse doctor --warehouse` names the table and the way; with `--restore` it is put back."""
    where = ["doctor", "--warehouse", profile.warehouse]
    _head(profile).unlink()
    main(where)
    assert "missing tables: the metadata is gone or broken of gold.t" in capsys.readouterr().out
    main([*where, "--restore"])
    assert "ok      tables: put back: gold.t" in capsys.readouterr().out
    assert main(["doctor", "--restore"]) == 2

"""Files that change, vanish, come twice or are poison, and records that come late: each becomes what the rules say."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.exceptions import SourceReadError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze import batch, discovery, ledger_rows
from airflow_lakehouse.spark.jobs import JobArguments, run_job
from airflow_lakehouse.testing.reference import ReferenceLakehouse
from tests.faults.helpers import (
    SPARK,
    deletion,
    ids,
    load_and_compare,
    observation,
    patient,
    to_bronze,
    to_silver,
    version,
)
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.spark.engine.connect_server import Server

pytestmark = SPARK


def _bundle(*resources: dict[str, Any]) -> bytes:
    entries = [{"resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


def _first_day(raw: Path) -> None:
    # Row 22: one id twice in a Bundle, with nothing to tell which is newer.
    twice = (patient("twice", gender="male"), patient("twice", gender="female"))
    write_lines(raw / "22.json", _bundle(*twice, observation("a"), observation("b")))
    write_lines(raw / "23.ndjson", patient("late", gender="male", **version(9)))
    write_lines(raw / "24.ndjson", *(patient(name, **version(3)) for name in ("gone", "back", "stays")))
    write_lines(raw / "19/first.ndjson", patient("copied", gender="male"))
    poison = [b'{"resourceType":"Patient","id":"n","x":NaN}', b'{"resourceType":"Patient","id":"cut']
    deep = b'{"resourceType":"Basic","id":"d","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    latin = b'{"resourceType":"Patient","id":"l","x":"M\xfcller"}'
    lines: list[dict[str, Any] | bytes] = [
        patient("n1"),
        *poison,
        deep,
        latin,
        b'{"resourceType":"patient"}',
        patient("n2"),
    ]
    write_lines(raw / "20/lines.ndjson", *lines)
    (raw / "20/empty.ndjson").write_bytes(b"")
    (raw / "20/mark.ndjson").write_bytes(b"\xef\xbb\xbf" + json.dumps(patient("marked")).encode())
    # 64 MB in a few KB, most of them blank: what a file becomes unzipped is no reason to hold it back, or to fail.
    bomb = json.dumps(patient("bomb")).encode() + b"\n" + (b" " * 1023 + b"\n") * 65_536
    (raw / "20/bomb.ndjson.gz").write_bytes(gzip.compress(bomb, mtime=0))


def _second_day(raw: Path) -> None:
    write_lines(raw / "23b.ndjson", patient("late", gender="female", **version(2)))
    write_lines(raw / "24b.json", json.dumps(deletion("Patient/gone", "Patient/back")).encode())
    (raw / "19/again.ndjson").write_bytes((raw / "19/first.ndjson").read_bytes())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, lakehouse_engine: Server) -> Profile:
    """Return a lakehouse after three days, each compared with the reference."""
    folder = tmp_path_factory.mktemp("inputs")
    profile, expected = Profile(str(folder / "warehouse"), raw=str(folder / "drop")), ReferenceLakehouse()
    _first_day(folder / "drop")
    load_and_compare(profile, expected)
    _second_day(folder / "drop")
    load_and_compare(profile, expected)
    write_lines(folder / "drop/24c.ndjson", patient("back", **version(4)))
    load_and_compare(profile, expected)
    return profile


def test_the_same_content_under_two_names(loaded: Profile) -> None:
    """Row 19: a file delivered again under another name is recorded as a file of its own, and is one row in silver."""
    files = [row for row in read_rows(loaded, "ops.ingested_files") if "/19/" in row["source_uri"]]
    assert len({row["source_uri"] for row in files}) == 2
    assert len({row["source_etag"] for row in files}) == 1
    assert sum(row["resource_id"] == "copied" for row in read_rows(loaded, "bronze_fhir_patient")) == 2
    assert sum(row["patient_id"] == "copied" for row in read_rows(loaded, "silver_dim_patient")) == 1


def test_poison_costs_its_own_record_alone(loaded: Profile) -> None:
    """Row 20: each bad record is in quarantine with its place and reason; neighbours load, and the counts add up."""
    rejects = [row for row in read_rows(loaded, "bronze_quarantine") if "/20/" in row["source_uri"]]
    reasons = sorted((Path(row["source_uri"]).name, row["position"], row["reason"]) for row in rejects)
    assert reasons == [
        ("empty.ndjson", 0, "EMPTY_FILE"),
        ("lines.ndjson", 2, "NOT_A_JSON_NUMBER"),
        ("lines.ndjson", 3, "TRUNCATED_JSON"),
        ("lines.ndjson", 4, "TOO_DEEP"),
        ("lines.ndjson", 5, "INVALID_UTF8"),
        ("lines.ndjson", 6, "NO_RESOURCE_TYPE"),
    ]
    assert {"n1", "n2", "marked", "bomb"} <= ids(loaded)


def test_one_id_twice_in_a_bundle(loaded: Profile) -> None:
    """Row 22: which of the two wins follows from their text, not from who read them first; silver has one row."""
    (held,) = [row for row in read_rows(loaded, "silver_dim_patient") if row["patient_id"] == "twice"]
    bodies = [row for row in read_rows(loaded, "bronze_fhir_patient") if row["resource_id"] == "twice"]
    assert held["source_row"] == max(bodies, key=lambda row: row["body_sha256"])["source_row"]


def test_a_late_record_takes_nothing_back(loaded: Profile) -> None:
    """Row 23: a version that is older than silver's arrives later, and changes nothing."""
    (held,) = [row for row in read_rows(loaded, "silver_dim_patient") if row["patient_id"] == "late"]
    assert (held["gender"], held["version_id"]) == ("male", "9")


def test_a_deletion_then_a_later_version(loaded: Profile) -> None:
    """Row 24: a deletion takes what was there, a later version brings it back, and nothing else goes."""
    assert ids(loaded) & {"gone", "back", "stays"} == {"back", "stays"}


@pytest.fixture
def drop(warehouse: Profile, tmp_path: Path) -> Profile:
    """Return a profile whose drop holds two files."""
    write_lines(tmp_path / "drop/1.ndjson", patient("p"))
    write_lines(tmp_path / "drop/2.ndjson", patient("q"))
    return warehouse.with_raw(str(tmp_path / "drop"))


def _after_listing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let something happen to the drop after it was listed, before its files are read."""
    original = batch.load_batch

    def load_batch(*args: Any) -> None:
        change()
        original(*args)

    monkeypatch.setattr(batch, "load_batch", load_batch)


def test_a_file_overwritten_after_it_was_listed(drop: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 17: the load fails and keeps nothing of it; the next one lists anew, and no row has the wrong version."""
    path = Path(drop.raw or "") / "1.ndjson"
    with monkeypatch.context() as patched:
        _after_listing(patched, lambda: write_lines(path, patient("p", gender="male"), patient("r")))
        with pytest.raises(SourceReadError, match="run it again"):
            to_bronze(drop)
    assert read_rows(drop, "bronze_fhir_patient") == []
    load_and_compare(drop, ReferenceLakehouse())
    assert ids(drop) == {"p", "q", "r"}


@pytest.mark.parametrize("is_claimed", [True, False], ids=["before it is read", "before it is claimed"])
def test_a_file_that_vanishes_after_it_was_listed(
    drop: Profile, monkeypatch: pytest.MonkeyPatch, *, is_claimed: bool
) -> None:
    """Row 18: the run is green, its neighbours load, and the file is in quarantine; when it is back, it is replayed."""
    path = Path(drop.raw or "") / "1.ndjson"
    content = path.read_bytes()
    original = discovery.claim

    def claim(file: Any, registry: Any) -> Any:
        path.unlink(missing_ok=True)
        return original(file, registry)

    with monkeypatch.context() as patched:
        if is_claimed:
            _after_listing(patched, path.unlink)
        else:
            patched.setattr(discovery, "claim", claim)
        result = to_bronze(drop)
    assert (result.status, result.quarantine) == ("complete", {"VANISHED": 1})
    assert ids(drop, "bronze_fhir_patient", "resource_id") == {"q"}

    path.write_bytes(content)
    run_job("replay_quarantine", JobArguments(drop))
    assert ids(drop, "bronze_fhir_patient", "resource_id") == {"p", "q"}
    assert read_rows(drop, "bronze_quarantine") == []


def test_an_older_version_that_is_back(drop: Profile) -> None:
    """A, B, A under one name: silver says what the file in the drop says, whoever else names its patients meanwhile."""
    expected, path = ReferenceLakehouse(), Path(drop.raw or "") / "1.ndjson"
    first = path.read_bytes()
    load_and_compare(drop, expected)
    write_lines(path, patient("p", gender="female"), patient("new"))
    load_and_compare(drop, expected)
    path.write_bytes(first)
    result = to_bronze(drop)
    assert (result.status, result.files["returned"], result.records["read"]) == ("complete", 1, 0)
    load_and_compare(drop, expected)
    assert {row["patient_id"]: row["gender"] for row in read_rows(drop, "silver_dim_patient")} == {"p": None, "q": None}
    assert to_bronze(drop).status == to_silver(drop).status == "unchanged"


@pytest.mark.parametrize(("first", "second"), [(0, -2), (2, 0)], ids=["behind", "ahead"])
def test_clocks_that_do_not_agree(drop: Profile, monkeypatch: pytest.MonkeyPatch, first: int, second: int) -> None:
    """Row 31: of two workers the second is two hours late, or the first two hours early; the newer file wins."""
    expected = ReferenceLakehouse()
    _load_at(monkeypatch, first, drop, expected)
    write_lines(Path(drop.raw or "") / "1.ndjson", patient("p", gender="female"))
    _load_at(monkeypatch, second, drop, expected)
    assert {row["gender"] for row in read_rows(drop, "silver_dim_patient") if row["patient_id"] == "p"} == {"female"}


def _load_at(monkeypatch: pytest.MonkeyPatch, hours: int, profile: Profile, expected: ReferenceLakehouse) -> None:
    """Load with a clock that is so many hours ahead."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz or UTC) + timedelta(hours=hours)

    with monkeypatch.context() as patched:
        patched.setattr(ledger_rows, "datetime", Skewed)
        load_and_compare(profile, expected)

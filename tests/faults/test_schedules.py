"""Random schedules of drops, overwrites, returns, deletions, runs, kills and storms, judged by the reference model.

``FAULT_SCHEDULES=100 pytest tests/faults/test_schedules.py`` (or ``make schedules``) tries other ones each time: as
many on this machine, and a fifth as many on Glue and S3, for as long as it takes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.testing.reference import Differences, DropFile, ReferenceLakehouse, compare, read_drop
from tests.faults.dying import KilledError, dying, raise_killed
from tests.faults.helpers import SPARK, deletion, lines, observation, patient, to_bronze, to_silver, version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_lakehouse.testing.aws_shape import AwsShape
    from tests.faults.conftest import AwsLakehouse

pytestmark = [*SPARK, pytest.mark.timeout(0)]
_VARIABLE: Final = "FAULT_SCHEDULES"
_ASKED: Final = int(os.environ.get(_VARIABLE, "0"))
USUAL: Final = 1
"""Schedules a usual run draws, the written-out one aside; the README names their number."""
USUAL_ON_GLUE: Final = 2
"""The same for storms on Glue, which are no part of a usual run."""
_FILES: Final = ("dt=2026-01-01/a", "dt=2026-01-01/b", "source=north/dt=2026-01-02/c", "dt=2026-01-02/d")

Resource = dict[str, Any] | bytes


class Place(Protocol):
    """Where a lakehouse is."""

    @property
    def profile(self) -> Profile:
        """Its profile."""

    def drop(self, name: str, *resources: Resource) -> None:
        """Put a file into its drop."""

    def files(self) -> list[DropFile]:
        """Return the files of its drop."""

    def storm(self, kind: str, *, strength: float) -> None:
        """Let the services it needs misbehave in some way; nothing on a machine that needs none."""

    def calm(self) -> None:
        """End all that."""


@dataclass
class Lakehouse:
    """A lakehouse, and what it must hold."""

    place: Place
    expected: ReferenceLakehouse = field(default_factory=ReferenceLakehouse)
    held: dict[int, list[list[Resource]]] = field(default_factory=dict)
    """File to what it has held, oldest first."""

    def run(self, job: str, point: str, times: int) -> None:
        """Run a job, which may be killed at a point or fail in a storm, and tell the reference what came of it."""
        profile = self.place.profile
        files = self.place.files()
        if not files:
            return
        start = to_bronze if job == "bronze" else to_silver
        try:
            if point:
                with dying(point, times, raise_killed):
                    start(profile)
            else:
                start(profile)
        except (KilledError, LakehouseError):
            self._tell_what_was_begun(files)
        else:
            if job == "bronze":
                self.expected.run(files)

    def _tell_what_was_begun(self, files: list[DropFile]) -> None:
        """Ask the ledger how far a run came that did not end: which files it wrote down, and which it had loaded."""
        self.place.calm()
        known = Ledger(load_pyiceberg(self.place.profile)).entries()
        self.expected.see(file for file in files if (file.uri, file.etag) in known)
        loaded = {key for key, row in known.items() if row["state"] != DISCOVERED}
        self.expected.run(file for file in files if (file.uri, file.etag) in loaded)


@dataclass
class Drop:
    """A file is put into the drop, or another is put in its place."""

    file: int
    resources: list[Resource]

    def do(self, lakehouse: Lakehouse) -> None:
        """Write it."""
        lakehouse.held.setdefault(self.file, []).append(self.resources)
        lakehouse.place.drop(f"fhir/{_FILES[self.file]}.ndjson", *self.resources)


@dataclass
class Back:
    """A file is put back as it was before it was last overwritten, if it was."""

    file: int

    def do(self, lakehouse: Lakehouse) -> None:
        """Write it."""
        versions = lakehouse.held.get(self.file, [])
        if len(versions) > 1:
            Drop(self.file, versions[-2]).do(lakehouse)


@dataclass
class Run:
    """A run begins; with a point, it is killed when it has come there for the given time."""

    job: str
    point: str = ""
    times: int = 1

    def do(self, lakehouse: Lakehouse) -> None:
        """Run."""
        lakehouse.run(self.job, self.point, self.times)


@dataclass
class Storm:
    """S3 and Glue misbehave until a run has failed of it, or the schedule ends."""

    kind: str
    strength: float

    def do(self, lakehouse: Lakehouse) -> None:
        """Begin."""
        lakehouse.place.storm(self.kind, strength=self.strength)


Step = Drop | Back | Run | Storm


@dataclass
class OnThisMachine:
    """A lakehouse in a folder."""

    folder: Path

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return Profile(str(self.folder / "warehouse"), raw=str(self.folder / "drop"))

    def drop(self, name: str, *resources: Resource) -> None:
        """Put a file into its drop."""
        path = self.folder / "drop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines(*resources))

    def files(self) -> list[DropFile]:
        """Return the files of its drop."""
        return read_drop(self.folder / "drop")

    def storm(self, kind: str, *, strength: float) -> None:
        """There is nothing to misbehave."""

    def calm(self) -> None:
        """There is nothing to end."""


@dataclass
class OnGlue:
    """A lakehouse in S3 and Glue."""

    aws: AwsLakehouse

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return self.aws.profile

    def drop(self, name: str, *resources: Resource) -> None:
        """Put a file into its drop."""
        with self._in_good_weather():
            self.aws.drop(name, *resources)

    def files(self) -> list[DropFile]:
        """Return the files of its drop."""
        with self._in_good_weather():
            return read_drop(self.profile.raw or "")

    def _in_good_weather(self) -> AbstractContextManager[object]:
        """Lead who fills the drop, and who judges, past the proxy."""
        return mock.patch.dict(os.environ, AWS_ENDPOINT_URL=self.aws.s3.upstream)

    def storm(self, kind: str, *, strength: float) -> None:
        """Let S3 and Glue refuse, lose answers, cut bodies, or be outrun."""
        if kind == "throttle":
            self.aws.s3.throttle(strength, methods=["GET", "POST"])
            self.aws.glue.throttle(strength)
        elif kind == "lose":
            self.aws.s3.lose_responses(strength, methods=["PUT"], keys="/warehouse/")
            self.aws.glue.lose_responses(strength, keys="[.](Update|Create)Table$")
        elif kind == "cut":
            self.aws.s3.truncate(strength, methods=["GET"], keys="/drop/fhir/")
        else:
            self.aws.glue.outrun(times=round(10 * strength))

    def calm(self) -> None:
        """End all that."""
        self.aws.s3.stop()
        self.aws.glue.stop()


def _versioned(number: int | None) -> dict[str, Any]:
    return version(number) if number else {}


_VERSIONS = st.one_of(st.none(), st.integers(1, 9)).map(_versioned)
_PATIENTS = st.builds(
    lambda id_, gender, meta: patient(f"p{id_}", gender=gender, **meta),
    st.integers(0, 2),
    st.sampled_from(["male", "female", "other"]),
    _VERSIONS,
)
_OBSERVATIONS = st.builds(
    lambda id_, whose, hour, status, meta: observation(f"o{id_}", f"p{whose}", hour, status=status, **meta),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(10, 11),
    st.sampled_from(["final", "final", "entered-in-error"]),
    _VERSIONS,
)
_DELETIONS = st.builds(
    lambda url, at: deletion(url, **({"timestamp": f"2026-01-{at:02d}T12:00:00Z"} if at else {})),
    st.sampled_from(["Patient/p0", "Patient/p1", "Observation/o0", "Observation/o1"]),
    st.one_of(st.none(), st.integers(1, 9)),
)
_BAD: Final = b'{"resourceType":"Patient","id":x}'
_DROPS = st.builds(
    Drop,
    st.integers(0, len(_FILES) - 1),
    st.lists(st.one_of(_PATIENTS, _OBSERVATIONS, _OBSERVATIONS, _DELETIONS, st.just(_BAD)), min_size=2, max_size=6),
)
_CHANGES = st.one_of(_DROPS, _DROPS, st.builds(Back, st.integers(0, len(_FILES) - 1)))
_RUNS = st.one_of(
    st.builds(Run, st.sampled_from(["bronze", "silver"])),
    st.builds(Run, st.just("bronze"), st.sampled_from(["written down", "merged", "counted"]), st.integers(1, 2)),
    st.builds(Run, st.just("silver"), st.just("conformed"), st.integers(1, 4)),
)
_STORMS = st.builds(Storm, st.sampled_from(["throttle", "lose", "cut", "outrun"]), st.sampled_from([0.1, 0.2, 0.3]))
_SCHEDULES = st.lists(st.one_of(_CHANGES, _RUNS), min_size=4, max_size=9)
_STORMY = st.lists(st.one_of(_CHANGES, _RUNS, _STORMS), min_size=4, max_size=8)

_EVERYTHING: Final[list[Step]] = [
    Drop(0, [patient("p0", **version(3)), patient("p1"), observation("o0", "p0"), observation("o1", "p0"), _BAD]),
    Run("bronze", "merged", 1),
    # What the killed run has half loaded is overwritten before anybody could load the rest.
    Drop(0, [patient("p0", gender="male", **version(2)), observation("o0", "p0", 11)]),
    Run("bronze"),
    Run("silver", "conformed", 2),
    Drop(1, [deletion("Patient/p0"), patient("p1", **version(5)), observation("o1", "p1", 11)]),
    Run("bronze", "counted"),
    Run("bronze"),
    Run("silver"),
    Drop(3, [patient("p0", **version(4)), deletion("Observation/o0", timestamp="2026-01-09T12:00:00Z")]),
    Back(0),
    Run("bronze"),
]
_EVERY_STORM: Final[list[Step]] = [
    Storm("lose", 0.3),
    Drop(0, [patient("p0", **version(3)), observation("o0", "p0"), _BAD]),
    Run("bronze", "merged", 1),
    Drop(0, [patient("p0", gender="male", **version(2)), observation("o0", "p0", 11)]),
    Storm("outrun", 0.3),
    Run("bronze"),
    Storm("cut", 0.3),
    Drop(1, [deletion("Patient/p0"), patient("p1", **version(5)), observation("o1", "p1", 11)]),
    Storm("throttle", 0.2),
    Run("bronze"),
    Run("silver", "conformed", 2),
]


class _Tally:
    """What was tried, and what was found."""

    def __init__(self) -> None:
        self.schedules: Counter[str] = Counter()
        self.lost = self.doubled = 0

    def add(self, catalog: str, found: Differences) -> None:
        """Count a schedule that was tried to its end."""
        self.schedules[catalog] += 1
        self.lost += len(found.lost)
        self.doubled += len(found.doubled)

    def __str__(self) -> str:
        where = ", ".join(f"{catalog} {count}" for catalog, count in sorted(self.schedules.items()))
        return f"{self.schedules.total()} schedules, {self.lost} lost, {self.doubled} doubled ({where})"


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[_Tally]:
    """Return the counts of all schedules, which are printed at the end if there were any."""
    counts = _Tally()
    yield counts
    if counts.schedules:
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n{counts}\n")


def _tried(number: int) -> settings:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=not _ASKED,
        database=None,
        # A schedule takes half a minute: the first that fails is told as it is.
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def _try(place: Place, schedule: list[Step]) -> Differences:
    """Do a schedule, then what must make it right: one more file, and one run of each job in good weather."""
    lakehouse = Lakehouse(place)
    for step in schedule:
        step.do(lakehouse)
    place.calm()
    for step in (Drop(2, [patient("p0")]), Run("bronze"), Run("silver")):
        step.do(lakehouse)
    return compare(place.profile, lakehouse.expected)


@_tried(_ASKED or USUAL)
@example(schedule=_EVERYTHING)
@given(schedule=_SCHEDULES)
def test_no_schedule_loses_or_doubles_a_record(
    tmp_path_factory: pytest.TempPathFactory, tally: _Tally, schedule: list[Step]
) -> None:
    """Whatever is dropped, overwritten, deleted, run and killed in whatever order, the next run makes it right."""
    found = _try(OnThisMachine(tmp_path_factory.mktemp("schedule")), schedule)
    tally.add("SQLite", found)
    assert not found, f"{found} after {schedule}"


@pytest.mark.thorough
@_tried(max(1, _ASKED // 5) if _ASKED else USUAL_ON_GLUE)
@example(schedule=_EVERY_STORM)
@given(schedule=_STORMY)
def test_no_storm_loses_or_doubles_a_record(
    aws: AwsLakehouse, aws_session: AwsShape, tally: _Tally, schedule: list[Step]
) -> None:
    """The same on Glue and S3, which refuse, lose answers, cut bodies and are outrun meanwhile."""
    place = OnGlue(replace(aws, profile=aws_session.lakehouse()))
    found = _try(place, schedule)
    tally.add("Glue", found)
    assert not found, f"{found} after {schedule}"

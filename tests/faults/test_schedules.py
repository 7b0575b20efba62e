"""Random schedules of drops, overwrites, deletions, runs and kills, judged by the reference model.

``FAULT_SCHEDULES=200 pytest tests/faults/test_schedules.py`` tries more of them, for as long as it takes.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from airflow_lakehouse.profile import Profile
from airflow_lakehouse.testing.reference import Differences, ReferenceLakehouse, compare, read_drop
from tests.faults.dying import KilledError, dying, raise_killed
from tests.faults.helpers import SPARK, deletion, observation, patient, to_bronze, to_silver, version
from tests.spark.helpers import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = SPARK
_VARIABLE: Final = "FAULT_SCHEDULES"
_ASKED: Final = int(os.environ.get(_VARIABLE, "0"))
_USUAL: Final = 5
_USUAL_SECONDS: Final = 60
"""After so long, no further schedule is begun."""
_FILES: Final = ("dt=2026-01-01/a", "dt=2026-01-01/b", "source=north/dt=2026-01-02/c", "dt=2026-01-02/d")

Resource = dict[str, Any] | bytes


@dataclass
class Drop:
    """A file is put into the drop, or another is put in its place."""

    file: int
    resources: list[Resource]

    def do(self, lakehouse: Lakehouse) -> None:
        """Write it."""
        write_lines(lakehouse.raw / f"fhir/{_FILES[self.file]}.ndjson", *self.resources)


@dataclass
class Run:
    """A run begins; with a point, it is killed when it has come there for the given time."""

    job: str
    point: str = ""
    times: int = 1

    def do(self, lakehouse: Lakehouse) -> None:
        """Run, and tell the reference what was loaded, or only seen."""
        files = read_drop(lakehouse.raw)
        if not files:
            return
        job = to_bronze if self.job == "bronze" else to_silver
        told = lakehouse.expected.run
        try:
            if self.point:
                with dying(self.point, self.times, raise_killed):
                    job(lakehouse.profile)
            else:
                job(lakehouse.profile)
        except KilledError:
            told = lakehouse.expected.see
        if self.job == "bronze":
            told(files)


@dataclass
class Lakehouse:
    """A lakehouse, and what it must hold."""

    folder: Path
    expected: ReferenceLakehouse = field(default_factory=ReferenceLakehouse)

    @property
    def raw(self) -> Path:
        """Its drop."""
        return self.folder / "drop"

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return Profile(str(self.folder / "warehouse"), raw=str(self.raw))


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
_RUNS = st.one_of(
    st.builds(Run, st.sampled_from(["bronze", "silver"])),
    st.builds(Run, st.just("bronze"), st.sampled_from(["written down", "merged", "counted"]), st.integers(1, 2)),
    st.builds(Run, st.just("silver"), st.just("conformed"), st.integers(1, 4)),
)
_SCHEDULES = st.lists(st.one_of(_DROPS, _RUNS), min_size=4, max_size=9)

_EVERYTHING: Final[list[Drop | Run]] = [
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
    Run("bronze"),
]


class _Tally:
    """What was tried, and what was found."""

    def __init__(self) -> None:
        self.schedules = self.lost = self.doubled = 0
        self.started = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether the time of a usual run is over."""
        return not _ASKED and time.monotonic() - self.started > _USUAL_SECONDS

    def add(self, found: Differences) -> None:
        """Count a schedule."""
        self.schedules += 1
        self.lost += len(found.lost)
        self.doubled += len(found.doubled)


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[_Tally]:
    """Return the counts of all schedules, which are printed at the end."""
    counts = _Tally()
    yield counts
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"\n{counts.schedules} schedules, {counts.lost} lost, {counts.doubled} doubled\n")


@settings(
    max_examples=_ASKED or _USUAL,
    deadline=None,
    derandomize=not _ASKED,
    database=None,
    # A schedule takes half a minute: the first that fails is told as it is.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@example(schedule=_EVERYTHING)
@given(schedule=_SCHEDULES)
def test_no_schedule_loses_or_doubles_a_record(
    tmp_path_factory: pytest.TempPathFactory, tally: _Tally, schedule: list[Drop | Run]
) -> None:
    """Whatever is dropped, overwritten, deleted, run and killed in whatever order, the next run makes it right."""
    if tally.is_late:
        return
    lakehouse = Lakehouse(tmp_path_factory.mktemp("schedule"))
    for step in [*schedule, Drop(2, [patient("p0")]), Run("bronze"), Run("silver")]:
        step.do(lakehouse)
    found = compare(lakehouse.profile, lakehouse.expected)
    tally.add(found)
    assert not found, f"{found} after {schedule}"

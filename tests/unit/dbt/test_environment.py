"""The managed environment: where it is, that one is made once, and what happens where it cannot be made."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_lakehouse.dbt import environment
from airflow_lakehouse.dbt.environment import ENVIRONMENT_VARIABLE, ensure_environment, environment_path
from airflow_lakehouse.exceptions import SetupError


def test_default_path_changes_with_the_lock_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another lock file makes another environment; the one in use is never changed under a running task."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    first = environment_path()
    other = tmp_path / "requirements.lock"
    other.write_text("")
    monkeypatch.setattr(environment, "LOCK_FILE", other)
    assert first.name.startswith("dbt-")
    assert environment_path().name != first.name


def test_lock_file_names_no_index_and_fits_every_python() -> None:
    """The lock is usable behind any index, and holds dbt 1.11 with Spark's client and no JVM."""
    lines = environment.LOCK_FILE.read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    names = {line.split("==")[0]: line for line in lines}
    assert names["dbt-core"].startswith("dbt-core==1.11.")
    assert names["dbt-spark"].startswith("dbt-spark==1.11.")
    assert names["pyspark-client"].startswith("pyspark-client==4.1.")
    assert "pyspark" not in names


def test_somebodys_own_environment_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """LAKEHOUSE_DBT_ENV may point at any environment with dbt; it is not rebuilt."""
    dbt = tmp_path / "bin" / "dbt"
    dbt.parent.mkdir()
    dbt.write_text("#!/bin/sh\n")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert ensure_environment().dbt == dbt


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """A wrong path must not cost somebody a folder."""
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(SetupError, match="holds no dbt"):
        ensure_environment(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_closed_network_gets_the_way_round_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an index the error says how to bring an environment along, and a later try starts afresh."""
    for name, value in (("UV_OFFLINE", "1"), ("UV_CACHE_DIR", str(tmp_path / "cache")), ("PIP_NO_INDEX", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SetupError) as caught:
        ensure_environment(tmp_path / "env")
    assert "lakehouse dbt-env --path" in str(caught.value)
    assert ENVIRONMENT_VARIABLE in str(caught.value)
    assert not environment._is_ready(tmp_path / "env")


def test_two_tasks_at_once_make_one_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second waits for the first and uses what it made; a real environment, from an empty lock file."""
    empty = tmp_path / "requirements.lock"
    empty.write_text("")
    monkeypatch.setattr(environment, "LOCK_FILE", empty)
    made: list[Path] = []
    make = environment._make

    def counted(target: Path) -> None:
        made.append(target)
        make(target)

    monkeypatch.setattr(environment, "_make", counted)
    target = tmp_path / "env"
    with ThreadPoolExecutor(2) as pool:
        found = [task.result() for task in [pool.submit(ensure_environment, target) for _ in range(2)]]
    assert made == [target]
    assert found[0] == found[1]
    assert found[0].dbt.read_text().startswith("#!/bin/sh\nexec ")


def test_half_made_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run killed in the middle leaves an environment that the next run replaces."""
    empty = tmp_path / "requirements.lock"
    empty.write_text("")
    monkeypatch.setattr(environment, "LOCK_FILE", empty)
    target = tmp_path / "env"
    target.mkdir()
    (target / environment._STAMP).write_text(environment._BUILDING)
    (target / "left-over").write_text("")
    assert ensure_environment(target).dbt.exists()
    assert not (target / "left-over").exists()
    assert (target / "bin" / "python").resolve() == Path(sys.executable).resolve()

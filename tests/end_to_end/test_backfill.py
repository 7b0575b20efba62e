"""The DAG of docs/how-to/backfill.md, run for real over days, a range, and silver that somebody changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.cli.airflow_home import AirflowHome, stop_jobs
from airflow_lakehouse.cli.show import read_rows
from airflow_lakehouse.spark.storage.catalog import get_table, load_pyiceberg

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "backfill.md"
RUN = """
import datetime, json, sys
from airflow_lakehouse.cli.dag_run import load_dag
dag = load_dag("nightly")
for day, conf in json.loads(sys.argv[1]):
    date = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
    print("STATE", dag.test(logical_date=date, run_conf=conf).state)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AirflowHome]:
    """Return an Airflow with the page's DAG and three days of a patient, the last of which is the newest version."""
    home = AirflowHome(tmp_path / "home")
    for day in (15, 16, 17):
        folder = home.root / "raw" / "fhir" / f"dt=2026-01-{day}"
        folder.mkdir(parents=True)
        meta = {"lastUpdated": f"2026-01-{day}T00:00:00Z"}
        one = {"resourceType": "Patient", "id": "p", "meta": meta, "address": [{"city": f"City {day}"}]}
        (folder / "p.ndjson").write_text(json.dumps(one) + "\n" + json.dumps({**one, "id": f"p{day}"}) + "\n")
    (tmp_path / "dags").mkdir()
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "dags" / "nightly.py").write_text(block)
    home.prepare()
    yield home
    stop_jobs(home.jobs)


def _python(home: AirflowHome, *arguments: str) -> str:
    environ = {**home.environ(), "AIRFLOW__CORE__DAGS_FOLDER": str(home.root.parent / "dags")}
    with (home.logs / "dag.log").open("ab") as log:
        done = subprocess.run(
            [sys.executable, *arguments], env=environ, stdout=subprocess.PIPE, stderr=log, check=False
        )
    assert done.returncode == 0, (home.logs / "dag.log").read_text()[-2000:]
    return done.stdout.decode()


def _states(home: AirflowHome, *runs: tuple[str, dict[str, Any]]) -> list[str]:
    return re.findall(r"^STATE (\w+)", _python(home, "-c", RUN, json.dumps(runs)), re.MULTILINE)


def _cities(home: AirflowHome) -> dict[str, str]:
    return {row["patient_id"]: row["city"] for row in read_rows(home.profile, "silver_dim_patient")}


@pytest.mark.thorough
def test_days_a_range_and_silver_made_anew(home: AirflowHome) -> None:
    """Later days before earlier ones give the newest version; a run for a range repairs what its days name alone."""
    assert _states(home, ("2026-01-17", {}), ("2026-01-15", {})) == ["success", "success"]
    assert _cities(home) == {"p": "City 17", "p17": "City 17", "p15": "City 15"}
    assert {str(row["dt"]) for row in read_rows(home.profile, "bronze_fhir_patient")} == {"2026-01-15", "2026-01-17"}

    table = get_table(load_pyiceberg(home.profile), "silver_dim_patient")
    rows = table.scan().to_arrow()
    table.overwrite(rows.from_pylist([row | {"city": "Nowhere"} for row in rows.to_pylist()], rows.schema))
    conf = {"dt": "2026-01-15..2026-01-16", "full": True}
    assert _states(home, ("2026-01-18", conf)) == ["success"]
    # 17 is not among the days; p is named by the first, and still is what the last says.
    assert _cities(home) == {"p": "City 17", "p15": "City 15", "p16": "City 16", "p17": "Nowhere"}

    listed = re.search(r"^airflow (backfill create .*--dry-run)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    told = _python(home, "-m", "airflow", *listed[1].split())
    assert len(re.findall(r"2026-01-\d\d", told)) >= 28
    assert os.environ["AIRFLOW_HOME"] != str(home.airflow)

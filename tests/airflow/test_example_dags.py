"""The example DAGs parse cleanly, quickly, and without what is optional."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from airflow_lakehouse.resources import resource_dir
from tests.airflow.dags import load_dags


def _run_python(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip().splitlines()[-1]


def test_every_example_dag_parses() -> None:
    """No file is broken, and the pipeline's stages come in order."""
    folder = resource_dir("example_dags")
    dags = load_dags(folder)
    # dbt imports files of this name as its own plugins.
    assert not list(folder.glob("dbt_*.py"))
    dag = dags["lakehouse"]
    assert [task.task_id for task in dags["lakehouse_maintenance"].tasks] == ["maintain"]
    assert [task.task_id for task in dags["lakehouse_on_new_objects"].topological_sort()] == ["bronze", "silver"]
    assert "lakehouse_on_new_commits" in dags
    order = [task.task_id for task in dag.topological_sort()]
    assert order[:5] == ["detect", "bronze", "read_documents", "documents", "silver"]
    if find_spec("cosmos") is None:
        assert order[5:] == ["gold"]
        return
    assert all(name.startswith("gold.") for name in order[5:])
    models = [task for task in dag.tasks if task.task_id.endswith(".run")]
    assert len(models) == 4
    assert all(task.retries for task in models)


def test_without_cosmos_the_dag_still_parses() -> None:
    """Airflow lists the examples of every provider; one that needs an extra must not show up as broken."""
    code = (
        # Airflow first: it loads Cosmos' own provider entry point, which is there as long as Cosmos is installed.
        "import sys; from airflow_lakehouse._compat import DAG, Param, task; sys.modules['cosmos'] = None;"
        f"sys.path.insert(0, {str(resource_dir('example_dags'))!r});"
        "import lakehouse_dag; print(lakehouse_dag.models.operator.task_id)"
    )
    assert _run_python(code) == "gold"


def test_parsing_pulls_in_no_engine_and_is_quick() -> None:
    """A scheduler parses the file every half minute: no Spark, no OCR, no dbt, and not long."""
    code = (
        "import sys, time; from airflow_lakehouse._compat import DAG, BaseSensorOperator, Param, task;"
        f"sys.path.insert(0, {str(resource_dir('example_dags'))!r});"
        "start = time.process_time(); import lakehouse_dag; seconds = time.process_time() - start;"
        "heavy = [n for n in ('pyspark', 'pyiceberg', 'pyarrow', 'onnxruntime', 'dbt') if n in sys.modules];"
        "print(heavy, round(seconds, 2))"
    )
    heavy, _, seconds = _run_python(code).rpartition(" ")
    assert heavy == "[]"
    # 1.1 s on an idle machine, 0.9 of them Cosmos; the bound is for one that is busy.
    assert float(seconds) < 4


def test_the_pipeline_stays_readable() -> None:
    """The example is the first thing a user reads: it fits on one screen."""
    lines = Path(resource_dir("example_dags") / "lakehouse_dag.py").read_text().splitlines()
    assert 30 <= len(lines) <= 60

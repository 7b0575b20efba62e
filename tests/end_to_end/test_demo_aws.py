"""``lakehouse demo --profile aws``: the same DAG with S3, Glue, Textract and EMR Serverless from this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.thorough, pytest.mark.timeout(1500)]


def test_the_same_dag_runs_where_aws_would_be(tmp_path: Path) -> None:
    """Every Spark job of the DAG is a run of the application, and what comes of it is what the laptop shows."""
    command = [sys.executable, "-m", "airflow_lakehouse.cli", "demo", "--profile", "aws", "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1400)
    log = (tmp_path / "logs" / "demo.log").read_text()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    started = re.findall(r"Started (\w+) as job \w+ on runner (\w+)", log)
    assert {runner for _, runner in started} == {"emr_serverless"}
    assert [job for job, _ in started] == ["raw_to_bronze", "raw_to_bronze", "bronze_to_silver"]
    rows = dict(re.findall(r"^(\w+) +([\d,]+)$", done.stdout, re.MULTILINE))
    assert rows["bronze_docs_pages"] == "8"
    assert int(rows["gold_docs_quality"].replace(",", "")) > 0

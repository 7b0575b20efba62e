"""An Airflow of its own in one folder: configuration, metadata database, logs, and the ``lakehouse`` connection.

``lakehouse demo`` and ``lakehouse up`` work in such a home. Nothing of it touches an Airflow the user already has::

    <home>/
      airflow/     AIRFLOW_HOME: configuration, SQLite database, logs of tasks
      raw/         sample input, unless the user gives a drop
      warehouse/   tables, and catalog.db
      jobs/        one directory a Spark job
      logs/        what the processes print
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from airflow_lakehouse.exceptions import InputError, SetupError
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.resources import resource_dir

DAG_ID: Final = "lakehouse"


@dataclass(frozen=True)
class AirflowHome:
    """One home.

    :param root: its folder.
    :param raw: the user's drop; None for sample input.
    :param lakehouse: where its tables are, when that is not the folder.
    """

    root: Path
    raw: Path | None = None
    lakehouse: Profile | None = None

    @property
    def airflow(self) -> Path:
        """Airflow's own folder."""
        return self.root / "airflow"

    @property
    def database(self) -> Path:
        """Airflow's metadata database."""
        return self.airflow / "airflow.db"

    @property
    def jobs(self) -> Path:
        """Where the Spark jobs of this home are."""
        return self.root / "jobs"

    @property
    def logs(self) -> Path:
        """Where the processes write what they print."""
        return self.root / "logs"

    @property
    def profile(self) -> Profile:
        """What the ``lakehouse`` connection says."""
        return self.lakehouse or Profile(str(self.root / "warehouse"), str(self.raw or self.root / "raw"))

    def environ(self) -> dict[str, str]:
        """Return the environment of every process of this home."""
        connection = {"conn_type": "lakehouse", "extra": self.profile.as_dict()}
        # Settings of an Airflow the user runs elsewhere must not reach this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
        return {
            **kept,
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(resource_dir("example_dags")),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(os.cpu_count() or 2),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _address(self.database),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.airflow / "logs"),
            # This handles patient data: nobody outside is told that it runs.
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "DO_NOT_TRACK": "1",
            "AIRFLOW_CONN_LAKEHOUSE": json.dumps(connection),
            "LAKEHOUSE_JOBS_DIR": str(self.jobs),
            "PYTHONUNBUFFERED": "1",
        }

    def prepare(self) -> None:
        """Make the folders and the database.

        :raises InputError: when the folder cannot be written.
        :raises SetupError: when Airflow is not installed or its database cannot be made.
        """
        try:
            for folder in (self.airflow, self.jobs, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.root} cannot be written: {error.strerror}", remedy="give another --home"
            ) from error
        if not self.database.exists():
            shutil.copyfile(self._migrated_template(), self.database)

    def forget_runs(self) -> None:
        """Start with an empty metadata database; tables and logs stay."""
        for name in ("airflow.db", "airflow.db-wal", "airflow.db-shm"):
            (self.airflow / name).unlink(missing_ok=True)

    def _migrated_template(self) -> Path:
        """Return an empty, migrated database. Migrating takes ten seconds; a copy takes none."""
        template = self.airflow / f"empty-{_airflow_version()}.db"
        if template.exists():
            return template
        partial = template.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        log = self.logs / "migrate.log"
        environ = {**self.environ(), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _address(partial)}
        with log.open("w") as output:
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            done = subprocess.run(command, env=environ, stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise SetupError("Airflow's database could not be made", remedy=f"read {log}")
        partial.replace(template)
        return template


def _address(database: Path) -> str:
    # Five processes share the file. After SQLite's own five seconds a busy machine fails a task that had done its work.
    return f"sqlite:///{database}?timeout=60"


def stop_jobs(jobs: Path) -> int:
    """Stop the Spark jobs of a home that still run.

    :param jobs: :attr:`AirflowHome.jobs`.
    :return: how many there were.
    """
    from airflow_lakehouse.hooks.spark.local import LocalRunner

    runner, stopped = LocalRunner(root=jobs, grace_seconds=5), 0
    for directory in jobs.glob("*/job.json"):
        handle = runner.find(directory.parent.name)
        if handle and runner.status(handle).is_active:
            runner.cancel(handle)
            stopped += 1
    return stopped


def default_home() -> Path:
    """Return the home of the demo: ``.lakehouse/demo`` at the root of a checkout, else where the user is."""
    checkout = Path(__file__).resolve().parents[2]
    root = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return root / ".lakehouse" / "demo"


def check_raw(raw: Path | None) -> None:
    """Refuse a drop that is not there.

    :param raw: the user's drop, if any.
    :raises InputError: when there is nothing at the path.
    """
    if raw is not None and not raw.exists():
        raise InputError(f"there is no raw drop at {raw}", legal="a folder or a file")


def write_sample_input(home: AirflowHome) -> None:
    """Fill the home's drop with sample input, unless it is there from an earlier time.

    :param home: a home without a drop of the user's.
    """
    raw = home.root / "raw"
    if raw.is_dir():
        return
    from airflow_lakehouse.cli.sample import write_sample

    partial = home.root / "raw.partial"
    # Written aside and renamed: an interrupted run must not leave half a drop that later runs take for the whole.
    shutil.rmtree(partial, ignore_errors=True)
    write_sample(partial)
    partial.rename(raw)


def _airflow_version() -> str:
    try:
        return version("apache-airflow-core")
    except ModuleNotFoundError:
        raise SetupError(
            "Airflow is not installed", remedy="make setup, or pip install 'airflow-lakehouse[local]'"
        ) from None

"""Run jobs through spark-submit: on a standalone cluster, YARN or Kubernetes.

With ``deploy_mode="client"`` the driver is a process of this machine, watched as
:class:`~airflow_lakehouse.hooks.spark.local.LocalRunner` watches its own: it outlives the worker that started it. With
``cluster`` it is a process of the cluster (:mod:`airflow_lakehouse.hooks.spark.masters`), which is asked after it from
any machine; what the job is given and reports lies below ``scripts``.

https://spark.apache.org/docs/4.1.0/submitting-applications.html
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_lakehouse.exceptions import ConfigurationError, SetupError
from airflow_lakehouse.hooks.spark.kept_bundle import kept_bundle
from airflow_lakehouse.hooks.spark.local import LocalRunner
from airflow_lakehouse.hooks.spark.masters import Cluster, master_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.hooks.spark.base import JobHandle, JobStatus

CLIENT: Final = "client"
CLUSTER: Final = "cluster"
_PY_FILES: Final = "spark.submit.pyFiles"


@dataclass(frozen=True)
class SparkSubmitRunner:
    """Jobs on a cluster that spark-submit knows.

    :param master: ``spark://host:7077``, ``yarn`` or ``k8s://https://host:6443``.
    :param deploy_mode: where the driver runs: ``client``, this machine; ``cluster``, on YARN and Kubernetes.
    :param conf: Spark settings, such as ``spark.executor.memory``. No secret: they are seen in the list of processes.
    :param spark_home: directory of the Spark whose spark-submit is used; by default ``SPARK_HOME``, else that of the
        installed pyspark.
    :param jars: jars of Iceberg and of the catalog, as paths or URIs; by default those of this machine, for the
        installed pyspark.
    :param scripts: folder that this machine and the cluster reach, for ``cluster``: ``s3://...``.
    :param aws_conn_id: connection for it, where it is in S3.
    :param resource_manager: address of YARN's, ``http://host:8088``, for ``cluster``.
    :param entry_point: path or URI of another script than this package's own.
    :param root: directory of the jobs' directories, see :class:`LocalRunner`.
    :param grace_seconds: how long a cancelled job may take to end by itself.
    """

    name: ClassVar[str] = "spark_submit"
    master: str = ""
    deploy_mode: str = CLIENT
    conf: dict[str, str] = field(default_factory=dict)
    spark_home: str = ""
    jars: tuple[str, ...] | None = None
    scripts: str = ""
    aws_conn_id: str = "aws_default"
    resource_manager: str = ""
    entry_point: str = ""
    root: Path | None = None
    grace_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Take what JSON makes of paths and tuples, too; refuse what no job could be started with."""
        object.__setattr__(self, "root", Path(self.root) if self.root else None)
        object.__setattr__(self, "jars", None if self.jars is None else tuple(self.jars))
        if not self.master:
            raise ConfigurationError(
                "spark_submit was given no master",
                legal="spark://host:7077, yarn, k8s://https://host:6443",
                remedy=_SET,
            )
        if self.deploy_mode not in (CLIENT, CLUSTER):
            raise ConfigurationError(f"deploy_mode is {self.deploy_mode!r}", legal=f"{CLIENT}, {CLUSTER}", remedy=_SET)
        if self.deploy_mode == CLUSTER:
            master_of(self.master, self.resource_manager, self.conf)
            if not self.scripts:
                raise ConfigurationError(
                    "a driver on the cluster needs 'scripts'", legal="a folder both reach, s3://..."
                )

    @property
    def is_near(self) -> bool:
        """Whether to look at a job asks no service."""
        return self.deploy_mode == CLIENT

    def options(self) -> dict[str, Any]:
        """Return what builds this runner again, as JSON values."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        jars = None if self.jars is None else list(self.jars)
        return {**given, "root": str(self.root) if self.root else None, "jars": jars, "conf": dict(self.conf)}

    def submit(self, job: str, arguments: Mapping[str, Any], token: str) -> JobHandle:
        """Start a job, or return the one that was started under the token.

        :param job: name of the job.
        :param arguments: JSON values for it.
        :param token: 8 to 64 hexadecimal digits.
        :raises SetupError: when there is no spark-submit, or a jar is missing.
        :raises EngineError: when the job cannot be started.
        """
        if self.deploy_mode == CLUSTER:
            return self._cluster().submit(job, arguments, token)
        found = self.find(token)
        if found is not None:
            return found
        profile = arguments.get("profile") or {}
        # Single-file parsers come with the bundle; twice, they would be two of one name.
        given = {**arguments, "profile": {**profile, "parsers": []}} if profile else arguments
        command = self._client_command(kept_bundle(self.root, profile.get("parsers") or ()))
        return self._named(self._processes(command).submit(job, given, token))

    def find(self, token: str) -> JobHandle | None:
        """Return the job that was started under a token, or None.

        :param token: as given to :meth:`submit`.
        """
        if self.deploy_mode == CLUSTER:
            return self._cluster().find(token)
        found = self._processes().find(token)
        return self._named(found) if found else None

    def status(self, handle: JobHandle) -> JobStatus:
        """Tell where a job stands.

        :param handle: the job.
        """
        return self._side(handle).status(handle)

    def cancel(self, handle: JobHandle) -> None:
        """Stop a job, driver and executors.

        :param handle: the job.
        """
        self._side(handle).cancel(handle)

    def follow_logs(self, handle: JobHandle, position: int) -> tuple[list[str], int]:
        """Return this package's own log lines since a position; of a driver on the cluster its manager has the log.

        :param handle: the job.
        :param position: bytes already read.
        """
        return self._side(handle).follow_logs(handle, position)

    def result(self, handle: JobHandle) -> dict[str, Any]:
        """Return what a job that succeeded reported.

        :param handle: the job.
        """
        return self._side(handle).result(handle)

    def links(self, handle: JobHandle) -> dict[str, str]:
        """Return where YARN shows a job; nothing for other masters.

        :param handle: the job.
        """
        return self._cluster().links(handle) if self.deploy_mode == CLUSTER else {}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether there is a spark-submit and its jars, and jobs can be kept."""
        try:
            binary = self._binary()
            self._jars()
        except SetupError as error:
            return False, str(error)
        fine, said = self._processes().test_connection()
        return fine, f"{binary} submits to {self.master}; {said}" if fine else said

    def _side(self, handle: JobHandle) -> LocalRunner | Cluster:
        """Return what watches a job: a job of a machine has its host."""
        return self._processes() if handle.host else self._cluster()

    def _named(self, handle: JobHandle) -> JobHandle:
        return replace(handle, runner=self.name)

    def _processes(self, command: tuple[str, ...] = ()) -> LocalRunner:
        return LocalRunner(self.root, command, self.grace_seconds)

    def _client_command(self, bundle: Path) -> tuple[str, ...]:
        from airflow_lakehouse.spark import jobs

        # env becomes the command it starts, so the process that is watched is spark-submit's own.
        environment = ("/usr/bin/env", f"{_ON_CLUSTER}=1", f"PYSPARK_DRIVER_PYTHON={sys.executable}")
        script = self.entry_point or str(Path(jobs.__file__).with_name("__main__.py"))
        return (*environment, *self._submit(CLIENT, {_PY_FILES: str(bundle)}), script)

    def _submit(self, mode: str, conf: Mapping[str, str]) -> tuple[str, ...]:
        """Return spark-submit with its options, as far as before the script."""
        settings = {**self.conf, **conf}
        jars = self._jars()
        return (
            str(self._binary()),
            *("--master", self.master, "--deploy-mode", mode),
            *(("--jars", ",".join(jars)) if jars else ()),
            # A JDBC driver is only found by a catalog where Java itself was started with it.
            *(("--driver-class-path", ":".join(jars)) if jars and mode == CLIENT else ()),
            *(part for name, value in sorted(settings.items()) for part in ("--conf", f"{name}={value}")),
        )

    def _cluster(self) -> Cluster:
        return Cluster(
            self.name,
            master_of(self.master, self.resource_manager, self.conf),
            lambda conf: self._submit(CLUSTER, conf),
            self.scripts,
            self.aws_conn_id,
            self.entry_point,
        )

    def _binary(self) -> Path:
        from airflow_lakehouse.spark.engine import jars

        home = self.spark_home or os.environ.get("SPARK_HOME")
        if home is None and (found := shutil.which("spark-submit")) and not _has_pyspark():
            return Path(found)
        path = (Path(home) if home else jars.spark_home()) / "bin" / "spark-submit"
        if not path.is_file():
            raise SetupError(f"there is no {path}", remedy="set spark_home in runner_options, or SPARK_HOME")
        return path

    def _jars(self) -> tuple[str, ...]:
        from airflow_lakehouse.spark.engine import jars

        if self.jars is not None:
            return self.jars
        # Of another Spark than the installed one nothing is known: it brings its own, or the options name them.
        is_own = not self.spark_home and not os.environ.get("SPARK_HOME") and _has_pyspark()
        return tuple(map(str, jars.engine_jars())) if is_own else ()


_SET: Final = "set it in runner_options"
_ON_CLUSTER: Final = "LAKEHOUSE_ON_CLUSTER"


def _has_pyspark() -> bool:
    from importlib.util import find_spec

    return find_spec("pyspark") is not None

"""Code that is not this package's, run as a job: a function or a script of the user's own.

A function is called with a session on the lakehouse as its first argument. A script runs as ``__main__`` with the
names ``spark`` and ``arguments`` in it, and whatever it leaves in the name ``result`` is what it reports. Either way a
report is a small JSON object: it goes into Airflow's database, and no rows belong there.
"""

from __future__ import annotations

import importlib
import json
import linecache
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError, JobFailedError
from airflow_lakehouse.spark.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import SparkSession

REPORT_BYTES: Final = 16 * 1024
"""How large a report may be, as JSON: Airflow keeps it in a row of its database."""
_SHOWN: Final = "<job>"
_ADDRESS: Final = "SPARK_REMOTE"


@dataclass(frozen=True)
class UserCode:
    """A function or a script, as JSON values.

    :param function: ``module:name`` where the module can be imported by the job; with ``source``, the name alone.
    :param script: path or URI of a script; with ``source``, only what it is called.
    :param source: text of the code, shipped with the job.
    :param args: positional arguments of the function, after the session; also what a script finds in ``sys.argv``.
    :param kwargs: named arguments of the function; also what a script finds as ``arguments``.
    :raises ConfigurationError: when it names neither or both.
    """

    function: str = ""
    script: str = ""
    source: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", tuple(self.args))
        if bool(self.function) == bool(self.script):
            raise ConfigurationError("a job of your own is a function or a script", legal="one of the two")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UserCode:
        """Build it from JSON values.

        :param values: fields of this class.
        :raises ConfigurationError: for a field that does not exist.
        """
        legal = [one.name for one in fields(cls)]
        strangers = sorted(set(values) - set(legal))
        if strangers:
            raise ConfigurationError(f"code of a job has no {', '.join(strangers)}", legal=", ".join(legal))
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "args": list(self.args)}

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.function.rpartition(":")[2] or PurePosixPath(self.script).name

    def run(self, spark: SparkSession) -> dict[str, Any]:
        """Run it.

        :param spark: a session on the lakehouse.
        :return: what it reports; an object that JSON can hold.
        :raises ConfigurationError: when there is no such function or script.
        :raises JobFailedError: when what it reports is none, or too much.
        """
        with _as_default(spark):
            report = self._function()(spark, *self.args, **self.kwargs) if self.function else self._run_script(spark)
        return _checked(self.name, report)

    def _function(self) -> Callable[..., Any]:
        module_name, _, name = self.function.rpartition(":")
        if self.source:
            found = self._execute({"__name__": "airflow_lakehouse_job"}).get(name)
        else:
            found = getattr(self._module(module_name), name, None)
        if not callable(found):
            raise ConfigurationError(f"there is no function {self.function!r}", legal="module:function")
        return _undecorated(found)

    def _module(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and not name.startswith(error.name):
                raise
            raise ConfigurationError(
                f"module {name!r} cannot be imported where the job runs",
                remedy="install it there, or give the function itself, so that its source goes with the job",
            ) from error

    def _run_script(self, spark: SparkSession) -> Any:
        given = sys.argv
        sys.argv = [self.name, *map(str, self.args)]
        try:
            names = self._execute({"__name__": "__main__", "spark": spark, "arguments": dict(self.kwargs)})
        finally:
            sys.argv = given
        return names.get("result")

    def _execute(self, names: dict[str, Any]) -> dict[str, Any]:
        """Execute the source, and return its names. Its lines are kept, so that a traceback shows them."""
        source = self.source or _read(self.script)
        shown = f"{_SHOWN}/{self.name}"
        linecache.cache[shown] = (len(source), None, source.splitlines(keepends=True), shown)
        exec(compile(source, shown, "exec", dont_inherit=True), names)  # noqa: S102 - it is what the user asked for
        return names


def place_of(error: BaseException) -> str:
    """Return where in shipped code an error was raised, as ``name, line 12``; empty where it was elsewhere.

    :param error: with its traceback.
    """
    found, frame = "", error.__traceback__
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if file.startswith(_SHOWN):
            found = f"{file.removeprefix(_SHOWN + '/')}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return found


@contextmanager
def _as_default(spark: SparkSession) -> Iterator[None]:
    """Let code that asks for a session by ``SparkSession.builder.getOrCreate()`` have the one there is.

    With Spark Connect it asks for an address first, and then takes the session that is active, whatever that was.
    """
    if not type(spark).__module__.startswith("pyspark.sql.connect") or _ADDRESS in os.environ:
        yield
        return
    os.environ[_ADDRESS] = "sc://localhost"
    try:
        yield
    finally:
        os.environ.pop(_ADDRESS, None)


def _undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function below a decorator of Airflow's, whose call would make a task of it."""
    return getattr(function, "function", None) or function


def _read(uri: str) -> str:
    path = files.local_path(uri)
    try:
        if path is not None:
            return path.read_text(encoding="utf-8")
        filesystem, inner = files.filesystem(uri)
        with filesystem.open_input_stream(inner) as stream:
            return bytes(stream.read()).decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no script {uri!r} where the job runs") from error


def _checked(name: str, report: Any) -> dict[str, Any]:
    if report is None:
        return {}
    if not isinstance(report, dict):
        raise JobFailedError(f"{name} reported a {type(report).__name__}", legal="a dict, or nothing")
    try:
        text = json.dumps(report, allow_nan=False)
    except (TypeError, ValueError) as error:
        # The error's own text would show the value.
        raise JobFailedError(f"{name} reported what is not JSON", legal="numbers, texts, lists and dicts") from error
    if len(text) > REPORT_BYTES:
        raise JobFailedError(
            f"{name} reported {len(text)} bytes",
            legal=f"{REPORT_BYTES}",
            remedy="write rows to a table, and report counts",
        )
    return dict(json.loads(text))

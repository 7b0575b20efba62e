"""What a user gives as a job, as what a runner can ship: a name, or the source of a function or a script."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import CodeType

_FUNCTION: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_FUTURE: Final = "from __future__ import annotations"
USER_CODE: Final = "user_code"
"""Name of the job that runs them."""


def resolve(job: str | Callable[..., Any]) -> tuple[str, dict[str, Any] | None]:
    """Return the name of the job to submit, and its code if it is of the user's own.

    :param job: one of ours, a function, ``module:function``, or the path or URI of a script.
    :raises ConfigurationError: when it is none of these.
    """
    from airflow_lakehouse.spark.jobs import JOBS

    if not isinstance(job, str):
        return USER_CODE, ship(job)
    if job in JOBS and job != USER_CODE:
        return job, None
    if _FUNCTION.fullmatch(job):
        return USER_CODE, {"function": job}
    if job.endswith(".py"):
        # One on this machine goes with the job: no cluster has the folder of the DAGs.
        path = Path(job.removeprefix("file://")).expanduser()
        here = (
            {"source": path.read_text(encoding="utf-8")}
            if "://" not in job.removeprefix("file://") and path.is_file()
            else {}
        )
        return USER_CODE, {"script": job, **here}
    ours = ", ".join(name for name in JOBS if name != USER_CODE)
    raise ConfigurationError(
        f"job {job!r} is not known", legal=f"{ours}; module:function; a function; the path or URI of a script (.py)"
    )


def ship(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function as its source, which stands alone: its module is a DAG file that no cluster has.

    :param function: a plain function.
    :raises ConfigurationError: when it uses names of its module, or its source cannot be had.
    """
    name = getattr(function, "__name__", "")
    if not inspect.isfunction(function) or not name.isidentifier():
        raise ConfigurationError(
            f"{function!r} cannot be shipped", legal="a function made with def, or 'module:function'"
        )
    borrowed = sorted({*function.__code__.co_freevars, *_globals(function.__code__)} - {name, *dir(builtins)})
    if borrowed:
        raise ConfigurationError(
            f"function {name!r} uses {', '.join(borrowed)} of the module around it, which does not go with it",
            legal="a function that stands alone",
            remedy="import or define them inside it, or hand them in as arguments; or install its module where the job"
            f" runs and give 'module:{name}'",
        )
    try:
        lines, first = inspect.getsourcelines(function)
    except OSError as error:
        raise ConfigurationError(
            f"the source of function {name!r} cannot be found", legal="'module:function'"
        ) from error
    source = textwrap.dedent("".join(lines))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    above = definition.lineno - 1
    # As many lines above it as in its file: a traceback names the line its author knows. Decorators stay behind.
    padding = "\n" * max(1, first + above - 1)
    return {"function": name, "source": _FUTURE + padding + "".join(source.splitlines(keepends=True)[above:])}


def with_arguments(code: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return code with what it is called with.

    :param code: from :func:`resolve` or :func:`ship`.
    :param args: positional arguments.
    :param kwargs: named arguments.
    :raises ConfigurationError: when JSON cannot hold them.
    """
    given = {"args": list(args), "kwargs": dict(kwargs)}
    try:
        json.dumps(given)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the arguments of {code.get('function') or code.get('script')} are not JSON",
            legal="numbers, texts, lists, dicts",
        ) from error
    return {**code, **given}


def _globals(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            yield instruction.argval
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _globals(constant)

"""Code of the user's own: what can be shipped, what it becomes, and what it reports."""

from __future__ import annotations

import json
import re
import textwrap
import traceback
from pathlib import Path
from typing import Any

import pytest

from airflow_lakehouse.exceptions import ConfigurationError, JobFailedError
from airflow_lakehouse.operators import shipped_code
from airflow_lakehouse.spark.user_code import REPORT_BYTES, UserCode, place_of

SESSION: Any = object()
LIMIT = 3


def count(spark: Any, *, up_to: int = 2) -> dict[str, Any]:
    """Return a report that shows what the function was given."""
    import math

    def square(number: int) -> float:
        return math.pow(number, 2)

    return {"sum": sum(square(number) for number in range(up_to)), "session": spark is not None}


def borrow(spark: Any) -> dict[str, int]:
    """Use a name of this module, which no job has."""
    return {"limit": LIMIT}


def fail(spark: Any) -> None:
    """Raise an error whose text is a patient's."""
    raise ValueError("Jane Roe")


def _run(code: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Run code as a job does: after it went through JSON."""
    return UserCode.from_dict(json.loads(json.dumps(shipped_code.with_arguments(code, args, kwargs)))).run(SESSION)


def test_a_function_travels_as_its_source() -> None:
    """Arguments and inner functions work, and nothing of its module is needed where it runs."""
    name, code = shipped_code.resolve(count)
    assert name == "user_code"
    assert code is not None
    assert _run(code, up_to=4) == {"sum": 14.0, "session": True}
    assert _run(code) == {"sum": 1.0, "session": True}


def test_a_function_that_needs_its_module_is_refused_before_anything_starts() -> None:
    """The message names what it uses and what to do; a closure is refused likewise."""
    with pytest.raises(ConfigurationError, match=r"'borrow' uses LIMIT .*module:borrow"):
        shipped_code.resolve(borrow)
    outer = 7

    def inner(spark: Any) -> dict[str, int]:
        return {"outer": outer}

    with pytest.raises(ConfigurationError, match="uses outer"):
        shipped_code.resolve(inner)
    for odd in (print, lambda _spark: None):
        with pytest.raises(ConfigurationError, match="cannot be shipped"):
            shipped_code.resolve(odd)


def test_a_failure_names_the_line_of_the_authors_file() -> None:
    """The line is that of this file, so that its author finds it; the error's text is not passed on by its place."""
    _, code = shipped_code.resolve(fail)
    assert code is not None
    with pytest.raises(ValueError, match="Jane Roe") as failed:
        _run(code)
    expected = next(
        n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "raise ValueError" in line
    )
    assert place_of(failed.value) == f"fail, line {expected}"
    shown = "".join(traceback.format_exception(failed.value))
    assert 'raise ValueError("Jane Roe")' in shown


def test_a_named_function_is_imported_where_the_job_runs() -> None:
    """``module:function`` ships no source; a module that is not there is said with the remedy."""
    _, code = shipped_code.resolve("collections:OrderedDict")
    assert code == {"function": "collections:OrderedDict"}
    with pytest.raises(ConfigurationError, match="'no_such_module' cannot be imported where the job runs"):
        _run({"function": "no_such_module:run"})
    with pytest.raises(ConfigurationError, match="no function 'json:absent'"):
        _run({"function": "json:absent"})


def test_a_script_finds_its_session_and_arguments(tmp_path: Path) -> None:
    """A script of this machine goes with the job; it runs as ``__main__`` and reports what it leaves in ``result``."""
    script = tmp_path / "report.py"
    script.write_text(
        textwrap.dedent("""
            import sys

            def main():
                return {"main": __name__, "argv": sys.argv, "session": spark is not None, **arguments}

            if __name__ == "__main__":
                result = main()
        """)
    )
    name, code = shipped_code.resolve(str(script))
    assert name == "user_code"
    assert code is not None
    script.unlink()
    found = _run(code, "first", day="2026-01-15")
    assert found == {"main": "__main__", "argv": ["report.py", "first"], "session": True, "day": "2026-01-15"}


def test_a_script_elsewhere_is_read_by_the_job(tmp_path: Path) -> None:
    """A URI is handed on as it is; a script that is not there is said."""
    assert shipped_code.resolve("s3://bucket/jobs/report.py") == ("user_code", {"script": "s3://bucket/jobs/report.py"})
    with pytest.raises(ConfigurationError, match="no script"):
        _run({"script": str(tmp_path / "absent.py")})


@pytest.mark.parametrize("job", ["raw_to_brnze", "user_code", "", "a b:c", "script.sh"])
def test_what_is_no_job_is_refused_with_what_is(job: str) -> None:
    """A typing error fails before anything starts, and the message says what there is."""
    with pytest.raises(ConfigurationError, match="raw_to_bronze"):
        shipped_code.resolve(job)


def test_our_own_jobs_ship_nothing() -> None:
    """A job of the package is called by its name."""
    assert shipped_code.resolve("raw_to_bronze") == ("raw_to_bronze", None)


def test_arguments_are_json() -> None:
    """What cannot be shipped is refused before anything starts, without showing it."""
    with pytest.raises(ConfigurationError, match="arguments of count are not JSON") as refused:
        shipped_code.with_arguments({"function": "count"}, [], {"what": {"Jane Roe"}})
    assert "Jane" not in str(refused.value)


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("['Jane Roe']", "reported a list"),
        ("{'rows': object()}", "is not JSON"),
        ("{'rate': float('nan')}", "is not JSON"),
        (f"{{'text': 'x' * {REPORT_BYTES}}}", "write rows to a table"),
    ],
)
def test_a_report_is_small_and_json(report: str, why: str) -> None:
    """Rows do not fit; and what does not is not quoted."""
    with pytest.raises(JobFailedError, match=re.escape(why)) as refused:
        _run({"function": "report", "source": f"def report(spark):\n    return {report}\n"})
    assert "Jane" not in str(refused.value)


def test_code_names_one_thing() -> None:
    """Neither, both, or a field there is not, is refused."""
    for wrong in ({}, {"function": "a:b", "script": "c.py"}, {"function": "a:b", "lines": 3}):
        with pytest.raises(ConfigurationError):
            UserCode.from_dict(wrong)

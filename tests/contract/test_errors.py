"""Every error of the package, found by walking the tree, keeps what it says when it crosses a process."""

from __future__ import annotations

import importlib
import pickle
import re
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages

import pytest

import airflow_lakehouse
from airflow_lakehouse.exceptions import LakehouseError

_DEFINES_AN_ERROR = re.compile(r"^class \w+\(.*(?:Error|Exception)", re.MULTILINE)


def _every_error() -> list[type[LakehouseError]]:
    for found in walk_packages(airflow_lakehouse.__path__, "airflow_lakehouse."):
        spec = find_spec(found.name)
        # Only where one is defined: importing all of Airflow takes longer than all the other sweeps together.
        if spec and spec.origin and _DEFINES_AN_ERROR.search(Path(spec.origin).read_text(encoding="utf-8")):
            importlib.import_module(found.name)
    pending, seen = [LakehouseError], []
    while pending:
        error = pending.pop()
        seen.append(error)
        pending += error.__subclasses__()
    return sorted(set(seen), key=lambda error: f"{error.__module__}.{error.__qualname__}")


@pytest.mark.parametrize("error", _every_error(), ids=lambda error: error.__name__)
def test_an_error_survives_pickling(error: type[LakehouseError]) -> None:
    """Airflow and Spark carry exceptions between processes; message, legal values and remedy must arrive."""
    sent = error("7 was given", legal="1 to 5", remedy="give less")
    received = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own bytes
    assert type(received) is error
    assert str(received) == str(sent) == "7 was given. Legal: 1 to 5. Remedy: give less."
    assert (received.message, received.legal, received.remedy) == ("7 was given", "1 to 5", "give less")


@pytest.mark.parametrize("error", _every_error(), ids=lambda error: error.__name__)
def test_an_error_has_an_exit_code_of_the_contract(error: type[LakehouseError]) -> None:
    """Scripts tell a failure, a usage error and a failed check apart by the exit code."""
    assert error.exit_code in (1, 2, 3)


def test_the_tree_is_drawn_whole() -> None:
    """The drawing at the head of the module shows every error there is."""
    drawing = importlib.import_module("airflow_lakehouse.exceptions").__doc__ or ""
    absent = [error.__name__ for error in _every_error() if error.__name__ not in drawing]
    assert not absent

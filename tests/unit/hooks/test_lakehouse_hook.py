"""The ``lakehouse`` connection becomes a profile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the connection's extra."""

    def set_extra(**extra: Any) -> LakehouseHook:
        value = json.dumps({"conn_type": "lakehouse", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", value)
        return LakehouseHook()

    return set_extra


def test_the_extra_is_the_profile(connect: Any) -> None:
    """Every field of a profile can be said in the connection, and arrives."""
    profile = Profile("s3://bucket/wh", "s3://bucket/raw", "s3://bucket/ocr", "glue", ocr="none", region="eu-north-1")
    assert connect(**profile.as_dict()).get_profile() == profile


def test_what_the_form_gives_as_text_is_read(connect: Any) -> None:
    """The connection form knows only text: lists and objects are read from it."""
    hook = connect(warehouse="/wh", parsers="a.py, b.py", catalog_properties='{"s3.endpoint": "http://x"}', raw="")
    profile = hook.get_profile()
    assert profile.parsers == ("a.py", "b.py")
    assert profile.catalog_properties == {"s3.endpoint": "http://x"}
    assert profile.raw is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"raw": "/raw"}, "names no warehouse"),
        ({"warehouse": "/wh", "wharehouse": "/x"}, "wharehouse"),
        ({"warehouse": "/wh", "runner": "mainframe"}, "mainframe"),
        ({"warehouse": "/wh", "catalog_properties": "{"}, "JSON"),
    ],
)
def test_a_wrong_connection_is_named(connect: Any, extra: dict[str, Any], message: str) -> None:
    """The message says which connection is wrong, what is wrong with it and what to do."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        connect(**extra).get_profile()
    assert "'lakehouse'" in str(caught.value)
    assert caught.value.remedy or caught.value.legal


def test_an_absent_connection_says_how_to_make_it() -> None:
    """A connection nobody made is a configuration error with the way out."""
    with pytest.raises(ConfigurationError, match="airflow connections add"):
        LakehouseHook("nobody_made_this").get_profile()


def test_the_connection_can_be_tested(connect: Any, tmp_path: Path) -> None:
    """The form's test tells a new warehouse, one that answers, and a raw drop that is absent."""
    hook = connect(warehouse=str(tmp_path / "wh"))
    assert hook.test_connection()[0] is True
    assert "is new" in hook.test_connection()[1]
    create_local_catalog(hook.get_profile())
    assert hook.test_connection() == (True, "catalog answers, 4 namespaces.")
    assert sorted(hook.get_catalog().list_namespaces()) == [("bronze",), ("gold",), ("ops",), ("silver",)]
    answer = connect(warehouse=str(tmp_path / "wh"), raw=str(tmp_path / "absent")).test_connection()
    assert answer[0] is False
    assert "absent" in answer[1]
    assert connect(warehouse="s3://x").test_connection()[0] is False
    runner = {"runner": "spark_connect", "runner_options": {"url": "sc://127.0.0.1:9"}}
    answer = connect(warehouse=str(tmp_path / "wh"), **runner).test_connection()
    assert answer[0] is False
    assert "no Spark Connect server answers at 127.0.0.1:9" in answer[1]

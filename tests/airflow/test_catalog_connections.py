"""Airflow connections lead to PyIceberg catalogs, and go on doing so when their credentials change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.exceptions import UnauthorizedError

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks import iceberg
from airflow_lakehouse.hooks.iceberg import aws_properties, open_catalog, read_catalog
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from tests.airflow.conftest import CONN_ID, Place, aws_connection, connect, rows, sql_catalog
from tests.airflow.rest_catalog import rest_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog

    from tests.airflow.rest_catalog import RestCatalogServer


@pytest.fixture(autouse=True)
def _nothing_open() -> None:
    iceberg._session.cache_clear()
    iceberg._opened.cache_clear()


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[RestCatalogServer]:
    """Run a REST catalog with one table."""
    catalog = sql_catalog(tmp_path / "rest")
    catalog.create_namespace("ops")
    Place(catalog, "ops").table()
    with rest_catalog(catalog) as server:
        yield server


def _rows(catalog: Catalog | None) -> str:
    assert catalog is not None
    return str(catalog.load_table("ops.events").metadata.table_uuid)


def test_an_open_catalog_is_kept_until_something_changes(
    rest: RestCatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred sensors share one; a token rotated in the connection opens another one, unasked."""
    connect(monkeypatch, CONN_ID, conn_type="iceberg", host=rest.address, password=rest.token)
    assert open_catalog(CONN_ID) is open_catalog(CONN_ID)
    first = open_catalog(CONN_ID)
    rest.token = "rotated"
    connect(monkeypatch, CONN_ID, conn_type="iceberg", host=rest.address, password="rotated")
    assert open_catalog(CONN_ID) is not first
    assert read_catalog(CONN_ID, None, _rows)
    assert rest.refused == 0


def test_a_client_gets_its_tokens_itself(rest: RestCatalogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Login and password are an OAuth2 client; a token that has expired since is replaced, and the look goes on."""
    address = rest.address.removeprefix("http://")
    host, _, port = address.partition(":")
    client = {"login": rest.client[0], "password": rest.client[1]}
    connect(monkeypatch, CONN_ID, conn_type="http", host=host, port=int(port), **client)
    assert read_catalog(CONN_ID, None, _rows)
    rest.expire()
    assert read_catalog(CONN_ID, None, _rows)
    assert rest.issued >= 2


def test_what_has_expired_is_opened_anew_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials refused twice are no longer expired but wrong; the error is the service's own."""
    sql_catalog(tmp_path / "sql")
    connect(monkeypatch, CONN_ID, conn_type="sqlite", host=f"{tmp_path}/sql/catalog.db")
    seen: list[Any] = []

    def refuse(catalog: Catalog | None) -> None:
        seen.append(catalog)
        raise UnauthorizedError("no")

    with pytest.raises(UnauthorizedError):
        read_catalog(CONN_ID, None, refuse)
    assert len(seen) == 2
    assert seen[0] is not seen[1]


def test_an_assumed_role_is_renewed(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys handed to PyIceberg expire with the role's session: before they do, botocore renews them, and we reopen.

    A session of fifteen minutes is one that botocore renews whenever it is asked.
    """
    role = {"role_arn": "arn:aws:iam::000000000000:role/lakehouse", "assume_role_kwargs": {"DurationSeconds": 900}}
    aws_connection(monkeypatch, "assumed", aws_endpoint, **role)
    first, second = aws_properties("assumed"), aws_properties("assumed")
    assert first["client.session-token"]
    assert first["client.session-token"] != second["client.session-token"]
    assert first["glue.endpoint"] == first["s3.endpoint"] == aws_endpoint
    # One session all the while: a role assumed for every look would be throttled.
    assert iceberg._session.cache_info().misses == 1
    assert open_catalog("assumed") is not open_catalog("assumed")
    keys = aws_properties("aws_default")
    assert keys == aws_properties("aws_default")
    assert "client.session-token" not in keys


def test_a_lakehouse_on_glue_names_its_aws_connection(
    glue_place: Place, bucket: str, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the lakehouse connection itself, so that no sensor has to; where boto3 alone would find nothing."""
    glue_place.table().append(rows(1))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    extra = {"warehouse": f"s3://{bucket}/warehouse", "catalog": "glue", "region": "us-east-1"}
    connect(monkeypatch, "lakehouse", conn_type="lakehouse", extra={**extra, "aws_conn_id": "aws_default"})
    hook = LakehouseHook()
    assert hook.get_profile().catalog_properties == {}
    table = hook.get_catalog().load_table(glue_place.name("events"))
    assert table.scan().count() == 1
    assert "test" not in str(hook.test_connection())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"conn_type": "ftp", "host": "h"}, "names no Iceberg catalog"),
        ({"conn_type": "iceberg"}, "names no host"),
        ({"conn_type": "iceberg", "host": "h", "extra": {"aws_conn_id": "absent"}}, "no connection 'absent'"),
    ],
)
def test_what_leads_nowhere_is_said(fields: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a mistake somebody can mend, and named as such."""
    connect(monkeypatch, CONN_ID, **fields)
    with pytest.raises(ConfigurationError, match=told):
        open_catalog(CONN_ID)
    with pytest.raises(ConfigurationError, match="no connection 'nowhere'"):
        open_catalog("nowhere")


def test_a_database_is_addressed_with_what_it_needs() -> None:
    """Passwords with any character in them reach the database, and the driver is named."""
    from airflow_lakehouse._compat import Connection

    there = Connection(conn_id="pg", conn_type="postgres", host="db", port=5432, schema="lake")
    there.login, there.password = "u", "p@ss/w:rd"
    assert iceberg._address(there, None) == {
        "type": "sql",
        "uri": "postgresql+psycopg2://u:p%40ss%2Fw%3Ard" + "@db:5432/lake",
    }

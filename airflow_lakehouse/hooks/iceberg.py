"""An Iceberg catalog through PyIceberg, from any connection Airflow may have for it. Spark takes no part.

======================== ===================== ======================================================================
type of connection       catalog               what is taken from it
======================== ===================== ======================================================================
``lakehouse``            the profile's         :class:`~airflow_lakehouse.hooks.lakehouse.LakehouseHook`
``aws``                  Glue                  credentials, region, role and endpoint, by the amazon provider
``iceberg``, ``http``    REST                  host: URI; login and password: OAuth2 client; password alone: token
``sqlite``, ``postgres`` SQL                   the database
======================== ===================== ======================================================================

Further properties of the catalog, as PyIceberg names them, are in the connection's extra; ``catalog_name`` is its name.

PyIceberg takes access keys and tokens as fixed properties, which expire. So nobody keeps a catalog: each look asks
here, where connection and credentials are read anew (botocore renews those of an assumed role a quarter of an hour
before they expire), and gets the catalog that is open, or another one if anything has changed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_lakehouse._compat import AirflowNotFoundException, BaseHook
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.profile import CONN_TYPE, read_profile
from airflow_lakehouse.profile import CATALOG_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse._compat import Connection

_T = TypeVar("_T")

_REST: Final = ("iceberg", "http", "https")
_SQL: Final = {"sqlite": "sqlite", "postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2"}
_OPEN: Final = 32
"""How many catalogs and sessions a process keeps; the longest unused are closed."""

_EXPIRED: Final = (
    "ExpiredToken",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClient",
    "UnauthorizedError",
    "AuthorizationExpired",
)
"""What services and PyIceberg call credentials that are no longer good."""


def read_catalog(conn_id: str, aws_conn_id: str | None, read: Callable[[Catalog | None], _T]) -> _T:
    """Read something of a catalog. Credentials that turn out to have expired are read anew, once.

    :param conn_id: connection of the catalog.
    :param aws_conn_id: Airflow's AWS connection for Glue and S3; None takes what the catalog's own connection says, or
        what boto3 finds.
    :param read: what to do with it; None stands for a local warehouse that is still to be made.
    :raises ConfigurationError: when a connection is absent, or is of a type that names no catalog.
    """
    try:
        return read(open_catalog(conn_id, aws_conn_id))
    except Exception as error:
        if not _has_expired(error):
            raise
        _session.cache_clear()
        _opened.cache_clear()
        return read(open_catalog(conn_id, aws_conn_id))


def open_catalog(conn_id: str, aws_conn_id: str | None = None) -> Catalog | None:
    """Return a catalog that is good for the next minutes; ask again for the next look.

    :param conn_id: connection of the catalog.
    :param aws_conn_id: Airflow's AWS connection; see :func:`read_catalog`.
    :raises ConfigurationError: when a connection is absent, or is of a type that names no catalog.
    """
    connection = _connection(conn_id)
    extra = dict(connection.extra_dejson)
    aws = aws_conn_id or extra.pop("aws_conn_id", None)
    if connection.conn_type == CONN_TYPE:
        return _of_profile(conn_id, aws)
    name = str(extra.pop("catalog_name", CATALOG_NAME))
    if connection.conn_type == "aws":
        # Its extra is of boto3's settings; none of them is the catalog's.
        return _opened(name, _sorted({"type": "glue", **aws_properties(conn_id)}))
    properties = {key: str(value) for key, value in extra.items()}
    credentials = aws_properties(aws) if aws else {}
    return _opened(name, _sorted({**_address(connection, properties.get("type")), **credentials, **properties}))


def aws_properties(aws_conn_id: str) -> dict[str, str]:
    """Return the credentials of an AWS connection as PyIceberg's properties, good for at least ten minutes.

    Keys, profiles, assumed roles (also by SAML or web identity) and endpoints are the amazon provider's matter.

    :param aws_conn_id: Airflow's AWS connection.
    :raises ConfigurationError: when there is no such connection, or it leads to no credentials.
    """
    connection = _connection(aws_conn_id)
    session, endpoints = _session(aws_conn_id, connection.login, connection.password, connection.extra)
    credentials = session.get_credentials()
    if credentials is None:
        raise ConfigurationError(
            f"connection {aws_conn_id!r} leads to no AWS credentials", remedy="set keys, a profile or a role in it"
        )
    frozen = credentials.get_frozen_credentials()
    found = {
        "client.access-key-id": frozen.access_key,
        "client.secret-access-key": frozen.secret_key,
        "client.session-token": frozen.token,
        "client.region": session.region_name,
        **endpoints,
    }
    return {name: value for name, value in found.items() if value}


@lru_cache(maxsize=_OPEN)
def _session(
    aws_conn_id: str, login: str | None, password: str | None, extra: str | None
) -> tuple[Any, dict[str, str | None]]:
    """Open a session; it renews its credentials itself. What the connection says is an argument, so that an edit shows.

    Made anew for each look, it would assume its role each time.
    """
    del login, password, extra
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    hook: Any = AwsGenericHook(aws_conn_id=aws_conn_id)
    endpoints = {f"{name}.endpoint": hook.conn_config.get_service_endpoint_url(name) for name in ("glue", "s3")}
    return hook.get_session(), endpoints


@lru_cache(maxsize=_OPEN)
def _opened(name: str, properties: tuple[tuple[str, str], ...]) -> Catalog:
    # Imported when used: this pulls pyarrow in, which a DAG parse must not pay for.
    from pyiceberg.catalog import load_catalog

    return load_catalog(name, **dict(properties))


def _sorted(properties: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(properties.items()))


def _of_profile(conn_id: str, aws_conn_id: str | None) -> Catalog | None:
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, pyiceberg_properties

    profile = read_profile(conn_id)
    if profile.catalog == "sqlite":
        # Its file may be another one under the same name by the next look, so it is not kept open.
        return load_pyiceberg(profile) if profile.catalog_file.is_file() else None
    if aws_conn_id:
        credentials = aws_properties(aws_conn_id)
        profile = replace(profile, catalog_properties={**credentials, **profile.catalog_properties})
    return _opened(CATALOG_NAME, _sorted(pyiceberg_properties(profile)))


def _address(connection: Connection, kind: str | None) -> dict[str, str]:
    """Return what a connection's own fields say, as properties of the catalog."""
    if kind == "glue":
        return {}
    if connection.conn_type in _SQL:
        from sqlalchemy.engine import URL

        url = URL.create(
            _SQL[connection.conn_type],
            username=connection.login or None,
            password=connection.password or None,
            # The host of a SQLite connection is its file.
            **({"database": connection.host} if connection.conn_type == "sqlite" else _server(connection)),
        )
        return {"type": "sql", "uri": url.render_as_string(hide_password=False)}
    if connection.conn_type in _REST:
        uri = _rest_uri(connection)
        return {"type": "rest", "uri": uri, **_secret(connection, uri)}
    raise ConfigurationError(
        f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, which names no Iceberg catalog",
        legal=", ".join((CONN_TYPE, "aws", *_REST, *_SQL)),
    )


def _server(connection: Connection) -> dict[str, Any]:
    return {"host": connection.host, "port": connection.port, "database": connection.schema or None}


def _rest_uri(connection: Connection) -> str:
    host = (connection.host or "").rstrip("/")
    if not host:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} names no host", legal="https://catalog.example.org"
        )
    scheme = "https" if connection.conn_type == "iceberg" else connection.schema or connection.conn_type
    address = host if "://" in host else f"{scheme}://{host}"
    return f"{address}:{connection.port}" if connection.port else address


def _secret(connection: Connection, uri: str) -> dict[str, str]:
    # A line's end that came along when it was pasted makes a header nobody can send.
    password = (connection.password or "").strip()
    if connection.login and password:
        # Named, as PyIceberg asks: its own guess is deprecated, and wrong where the URI has no slash at its end.
        issuer = {"oauth2-server-uri": f"{uri}/v1/oauth/tokens"}
        return {"credential": f"{connection.login}:{password}", **issuer}
    return {"token": password} if password else {}


def _connection(conn_id: str) -> Connection:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"there is no connection {conn_id!r}", remedy=f"airflow connections add {conn_id} ..."
        ) from error


def _has_expired(error: BaseException) -> bool:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    # PyArrow's file system gives Amazon's error code in the text of an OSError, and nowhere else.
    text = str(error) if isinstance(error, OSError) else ""
    return any(word in told for word in _EXPIRED for told in (code, type(error).__name__, text))

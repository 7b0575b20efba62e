"""What is said about a raw drop, on this machine and in S3."""

from __future__ import annotations

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.hooks import raw_drop
from airflow_lakehouse.hooks.raw_drop import look_at_drop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "fhir/dt=2026-01-15/Patient.ndjson": 10,
    "fhir/source=north/dt=2026-01-16/Patient.ndjson": 20,
    "docs/dt=2026-01-15/letter.pdf": 30,
    "labs/dt=2026-01-16/results.csv": 40,
    "loose.json": 50,
}
MARKERS = ("fhir/dt=2026-01-15/_SUCCESS", ".hidden", "docs/_temporary/part.pdf")


def _fill(root: Path) -> str:
    for name, size in {**FILES, **dict.fromkeys(MARKERS, 1)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return str(root)


class _ListingServer(ThreadingHTTPServer):
    """As much of S3 as listing needs: ListObjectsV2 with prefix, delimiter and pages of two keys."""

    requests: list[str]

    class Handler(BaseHTTPRequestHandler):
        """Answers GET /bucket?list-type=2."""

        server: _ListingServer

        def do_GET(self) -> None:
            """List."""
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
            self.server.requests.append(prefix)
            keys = sorted(f"drop/{name}" for name in (*FILES, *MARKERS) if f"drop/{name}".startswith(prefix))
            folders = set()
            if delimiter:
                folders = {prefix + key[len(prefix) :].split("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]}
                keys = [key for key in keys if "/" not in key[len(prefix) :]]
            start = int(query.get("continuation-token", "0"))
            page, more = keys[start : start + 2], len(keys) > start + 2
            body = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{FILES.get(key.removeprefix('drop/'), 1)}</Size>"
                "<LastModified>2026-01-16T00:00:00.000Z</LastModified></Contents>"
                for key in page
            )
            body += "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
            token = f"<NextContinuationToken>{start + 2}</NextContinuationToken>" if more else ""
            answer = (
                "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
                f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{body}</ListBucketResult>"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[_ListingServer]:
    """Serve the listing on the loopback address and point boto3 at it."""
    server = _ListingServer(("127.0.0.1", 0), _ListingServer.Handler)
    server.requests = []
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


ALL: dict[str, Any] = {
    "files": 5,
    "bytes": 150,
    "kinds": {
        "docs": {"files": 1, "bytes": 30},
        "fhir": {"files": 2, "bytes": 30},
        "other": {"files": 2, "bytes": 90},
    },
    "dt": ["2026-01-15", "2026-01-16"],
    "dt_left_out": 0,
    "settled": True,
}
ONE_DAY = {
    "files": 2,
    "bytes": 60,
    "kinds": {"fhir": {"files": 1, "bytes": 20}, "other": {"files": 1, "bytes": 40}},
    "dt": ["2026-01-16"],
    "dt_left_out": 0,
    "settled": True,
}


RANGE = {**ALL, "files": 4, "bytes": 100, "kinds": {**ALL["kinds"], "other": {"files": 1, "bytes": 40}}}
ASKED = [
    (None, ALL),
    ("2026-01-16", ONE_DAY),
    ("2026-01-16..2026-02-01", ONE_DAY),
    ("..2026-01-16", RANGE),
]


@pytest.mark.parametrize(("dt", "expected"), ASKED)
def test_a_local_drop_is_counted(tmp_path: Path, dt: str | None, expected: dict[str, object]) -> None:
    """Kinds, days and sizes are counted; markers and hidden files are not."""
    raw = _fill(tmp_path)
    assert look_at_drop(raw, dt=dt) == (True, {"raw": raw, **expected})
    assert look_at_drop(tmp_path.as_uri(), dt=dt)[1]["files"] == expected["files"]


@pytest.mark.parametrize(("dt", "expected"), ASKED)
def test_a_drop_in_s3_is_counted_alike(s3: _ListingServer, dt: str | None, expected: dict[str, object]) -> None:
    """The same drop in S3, over several pages, gives the same counts."""
    assert look_at_drop("s3://bucket/drop", dt=dt) == (True, {"raw": "s3://bucket/drop", **expected})
    assert s3.requests


@pytest.mark.parametrize("dt", ["2026-01-16", "2026-01-16.."])
def test_some_days_do_not_list_the_others(s3: _ListingServer, dt: str) -> None:
    """Asked for some days, no other day's keys are listed: a year of drops would take minutes."""
    look_at_drop("s3://bucket/drop/", dt=dt)
    assert not [prefix for prefix in s3.requests if "dt=2026-01-15" in prefix]
    assert "drop/fhir/source=north/dt=2026-01-16/" in s3.requests


def test_a_drop_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    """A folder that nobody has made yet is an empty drop, not an error."""
    ready, found = look_at_drop(str(tmp_path / "later"))
    assert (ready, found["files"]) == (False, 0)


def test_a_single_file_is_a_drop(tmp_path: Path) -> None:
    """A drop may be one file."""
    path = tmp_path / "bundle.json"
    path.write_text("{}")
    assert look_at_drop(str(path)) == (True, look_at_drop(str(path))[1])
    assert look_at_drop(str(path))[1]["kinds"] == {"other": {"files": 1, "bytes": 2}}


def test_a_drop_that_still_changes_is_not_ready(tmp_path: Path) -> None:
    """A file written a moment ago holds the drop back for the settling time."""
    raw = _fill(tmp_path)
    assert look_at_drop(raw, settle_seconds=60)[0] is False
    for path in tmp_path.rglob("*"):
        os.utime(path, (time.time() - 120,) * 2)
    assert look_at_drop(raw, settle_seconds=60)[0] is True


def test_too_few_files_are_not_enough(tmp_path: Path) -> None:
    """min_files is held."""
    raw = _fill(tmp_path)
    assert look_at_drop(raw, min_files=5)[0] is True
    assert look_at_drop(raw, min_files=6)[0] is False


def test_many_days_do_not_fill_xcom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest days are named, the rest are counted."""
    monkeypatch.setattr(raw_drop, "LISTED_DAYS", 1)
    _, found = look_at_drop(_fill(tmp_path))
    assert (found["dt"], found["dt_left_out"]) == (["2026-01-16"], 1)


def test_an_unknown_place_is_refused() -> None:
    """A scheme that cannot be listed names those that can."""
    with pytest.raises(InputError, match="s3://"):
        look_at_drop("ftp://somewhere/drop")

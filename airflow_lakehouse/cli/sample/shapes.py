"""Resources as files: the shapes in which sources really send them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from airflow_lakehouse.cli.sample.resources import Resource, dumps

if TYPE_CHECKING:
    from airflow_lakehouse.cli.sample.report import SampleReport

BOM: Final = b"\xef\xbb\xbf"


@contextmanager
def lines(path: Path, report: SampleReport, *, crlf: bool = False, bom: bool = False) -> Iterator[LineWriter]:
    """Open a file of one record a line; gzipped where its name says so.

    :param path: of the file.
    :param report: counts what is written.
    :param crlf: end lines as Windows does, with a blank one now and then.
    :param bom: begin with a byte-order mark.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    report.files += 1
    with path.open("wb") as plain:
        # Without name and time, the same content gives the same bytes.
        stream = gzip.GzipFile("", "wb", 6, plain, mtime=0) if path.suffix == ".gz" else plain
        stream.write(BOM if bom else b"")
        yield LineWriter(stream, report, b"\r\n" if crlf else b"\n")
        if stream is not plain:
            stream.close()


class LineWriter:
    """Writes one record a line.

    :param stream: the file.
    :param report: counts what is written.
    :param ending: of a line.
    """

    _BLANK_EVERY: Final = 50

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, report: SampleReport, ending: bytes) -> None:
        self._stream, self._report, self._ending, self._written = stream, report, ending, 0

    def add(self, resource: Resource) -> None:
        """Write a resource.

        :param resource: the resource.
        """
        self._report.records[resource["resourceType"]] += 1
        self._line(dumps(resource).encode())

    def add_broken(self, reason: str, line: bytes, *, cut_off: bool = False) -> None:
        """Write a broken record.

        :param reason: it must be rejected with.
        :param line: its bytes.
        :param cut_off: end the file in the middle of it, without the line's end.
        """
        self._report.broken[reason] += 1
        self._stream.write(line) if cut_off else self._line(line)

    def _line(self, line: bytes) -> None:
        self._stream.write(line + self._ending)
        self._written += 1
        if self._ending == b"\r\n" and self._written % self._BLANK_EVERY == 0:
            self._stream.write(self._ending)


def write_document(path: Path, resource: Resource, report: SampleReport) -> None:
    """Write one resource as a pretty-printed file of its own.

    :param path: of the file.
    :param resource: the resource; a Bundle's entries are counted.
    :param report: counts what is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(resource, indent=2) + "\n", encoding="utf-8")
    report.files += 1
    for held in [entry["resource"] for entry in resource["entry"]] if "entry" in resource else [resource]:
        report.records[held["resourceType"]] += 1


def write_array(path: Path, resources: Iterable[Resource], report: SampleReport) -> None:
    """Write resources as one JSON array.

    :param path: of the file.
    :param resources: the resources.
    :param report: counts what is written.
    """
    held = list(resources)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[" + ",\n ".join(map(dumps, held)) + "]\n", encoding="utf-8")
    report.files += 1
    for resource in held:
        report.records[resource["resourceType"]] += 1


def transaction(resources: Iterable[Resource]) -> Resource:
    """Return a transaction Bundle whose entries refer to one another by urn, as a client that has no ids sends them.

    :param resources: the resources; their ids become uuids.
    """
    held = list(resources)
    urns = {f"{one['resourceType']}/{one['id']}": uuid5(NAMESPACE_URL, f"{one['resourceType']}/{one['id']}") for one in held}
    entries = []
    for resource in held:
        uuid = urns[f"{resource['resourceType']}/{resource['id']}"]
        own = {**{name: _renamed(held, urns) for name, held in resource.items()}, "id": str(uuid)}
        request = {"method": "POST", "url": resource["resourceType"]}
        entries.append({"fullUrl": f"urn:uuid:{uuid}", "resource": own, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def searchset(resources: Iterable[Resource]) -> Resource:
    """Return a searchset Bundle, as a server answers a search.

    :param resources: the resources.
    """
    entries = [
        {"fullUrl": f"https://fhir.example.org/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _renamed(value: object, urns: dict[str, UUID]) -> object:
    if isinstance(value, dict):
        return {
            name: f"urn:uuid:{urns[held]}" if name == "reference" and held in urns else _renamed(held, urns)
            for name, held in value.items()
        }
    if isinstance(value, list):
        return [_renamed(held, urns) for held in value]
    return value

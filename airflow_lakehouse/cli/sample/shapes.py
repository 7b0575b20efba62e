"""Resources as files: the shapes in which sources really send them."""

from __future__ import annotations

import gzip
import io
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from airflow_lakehouse.cli.sample.resources import Resource, dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from airflow_lakehouse.cli.sample.broken import Defect
    from airflow_lakehouse.cli.sample.report import Tally

BOM: Final = b"\xef\xbb\xbf"
# The lowest level halves the time of a large sample for a tenth more bytes.
_GZIP_LEVEL: Final = 1
_BUFFER: Final = 2**20


@contextmanager
def lines(path: Path, tally: Tally, *, crlf: bool = False, bom: bool = False) -> Iterator[LineWriter]:
    """Open a file of one record a line; gzipped where its name says so.

    :param path: of the file.
    :param tally: counts what is written.
    :param crlf: end lines as Windows does, with a blank one now and then.
    :param bom: begin with a byte-order mark.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tally.files += 1
    with ExitStack() as opened:
        plain = opened.enter_context(path.open("wb", _BUFFER))
        # Without name and time, the same content gives the same bytes.
        packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, plain, mtime=0) if path.suffix == ".gz" else None
        # Line by line, half the time would go into calls of the compressor. Closing the buffer closes the gzip file.
        stream = opened.enter_context(io.BufferedWriter(packed, _BUFFER)) if packed else plain
        stream.write(BOM if bom else b"")
        yield LineWriter(stream, tally, b"\r\n" if crlf else b"\n")


class LineWriter:
    """Writes one record a line.

    :param stream: the file.
    :param tally: counts what is written.
    :param ending: of a line.
    """

    _BLANK_EVERY: Final = 50

    def __init__(self, stream: BinaryIO, tally: Tally, ending: bytes) -> None:
        self._stream, self._tally, self._ending, self._written = stream, tally, ending, 0

    def add(self, resource: Resource) -> None:
        """Write a resource.

        :param resource: the resource.
        """
        self._tally.records[resource["resourceType"]] += 1
        self._line(dumps(resource).encode())

    def add_broken(self, defect: Defect, line: bytes, *, cut_off: bool = False) -> None:
        """Write a broken record.

        :param defect: what is wrong with it.
        :param line: its bytes.
        :param cut_off: end the file in the middle of it, without the line's end.
        """
        if defect.is_loaded:
            self._tally.flagged[defect.code] += 1
            self._tally.records["Patient"] += 1
        else:
            self._tally.broken[defect.code] += 1
        if cut_off:
            self._stream.write(line)
        else:
            self._line(line)

    def _line(self, line: bytes) -> None:
        self._stream.write(line + self._ending)
        self._written += 1
        if self._ending == b"\r\n" and self._written % self._BLANK_EVERY == 0:
            self._stream.write(self._ending)


def write_document(path: Path, resource: Resource, tally: Tally) -> None:
    """Write one resource as a pretty-printed file of its own.

    :param path: of the file.
    :param resource: the resource; a Bundle's entries are counted.
    :param tally: counts what is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(resource, pretty=True) + "\n", encoding="utf-8", newline="\n")
    tally.files += 1
    for held in [entry["resource"] for entry in resource["entry"]] if "entry" in resource else [resource]:
        tally.records[held["resourceType"]] += 1


def write_array(path: Path, resources: Iterable[Resource], tally: Tally) -> None:
    """Write resources as one JSON array.

    :param path: of the file.
    :param resources: the resources.
    :param tally: counts what is written.
    """
    held = list(resources)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[" + ",\n ".join(map(dumps, held)) + "]\n", encoding="utf-8", newline="\n")
    tally.files += 1
    for resource in held:
        tally.records[resource["resourceType"]] += 1


def transaction(resources: Iterable[Resource]) -> Resource:
    """Return a transaction Bundle whose entries refer to one another by urn, as a client that has no ids sends them.

    :param resources: the resources; their ids become uuids.
    """
    held = list(resources)
    urns = {name: uuid5(NAMESPACE_URL, name) for name in map(_local, held)}
    entries = []
    for resource in held:
        uuid = urns[_local(resource)]
        own = {**{name: _renamed(value, urns) for name, value in resource.items()}, "id": str(uuid)}
        request = {"method": "POST", "url": resource["resourceType"]}
        entries.append({"fullUrl": f"urn:uuid:{uuid}", "resource": own, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def searchset(resources: Iterable[Resource]) -> Resource:
    """Return a searchset Bundle, as a server answers a search.

    :param resources: the resources.
    """
    entries = [
        {"fullUrl": f"https://fhir.example.org/{_local(one)}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _local(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _renamed(value: object, urns: dict[str, UUID]) -> object:
    if isinstance(value, dict):
        return {
            name: f"urn:uuid:{urns[held]}" if name == "reference" and held in urns else _renamed(held, urns)
            for name, held in value.items()
        }
    if isinstance(value, list):
        return [_renamed(held, urns) for held in value]
    return value

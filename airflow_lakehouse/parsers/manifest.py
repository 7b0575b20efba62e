"""The manifest parser: which patient and encounter the documents of a drop are about, from a file beside them.

``manifest.csv``, ``manifest.json`` or ``manifest.ndjson``, with ``document`` (path from the manifest's folder, or URI),
``patient_id`` and ``encounter_id``: as columns with a header, as an array of objects, or as an object a line. A scanner
or archive that knows no FHIR can write one.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airflow_lakehouse.parsing.hookspecs import hookimpl
from airflow_lakehouse.parsing.model import Rejected, Row
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_lakehouse.parsing.model import Parser, SourceFile
    from airflow_lakehouse.tables import Table

NO_DOCUMENT: Final = "NO_DOCUMENT"
"""The entry does not say which document it is about."""
NO_SUBJECT: Final = "NO_SUBJECT"
"""The entry names neither a patient nor an encounter."""
BROKEN_MANIFEST: Final = "BROKEN_MANIFEST"
"""From here on the manifest is neither CSV nor JSON of the kind its name says, or not UTF-8."""

_NAMES: Final = ("manifest.csv", "manifest.json", "manifest.ndjson")
_IDS: Final = {"patient_id": "Patient/", "encounter_id": "Encounter/"}


class ManifestParser:
    """Manifests of documents."""

    name = "docs_manifest"
    version = "1"
    tables: tuple[Table, ...] = (bronze.DOCS_MANIFEST,)

    def claims(self, file: SourceFile, head: bytes) -> bool:
        """Claim files of these names that speak of documents; others of the name are somebody else's."""
        return _base_name(file) in _NAMES and b"document" in head and any(name.encode() in head for name in _IDS)

    def parse(self, file: SourceFile, stream: BinaryIO) -> Iterator[Row | Rejected]:
        """Yield one row an entry, or why it is none.

        :param file: the manifest.
        :param stream: its bytes.
        """
        read = _csv if _base_name(file).endswith(".csv") else _json
        position = 0
        try:
            for position, entry in read(stream):
                yield _row(position, entry)
        except (ValueError, csv.Error) as error:
            yield Rejected(position + 1, BROKEN_MANIFEST, f"{type(error).__name__} after entry {position}")


def _base_name(file: SourceFile) -> str:
    return file.uri.rpartition("/")[2].lower().removesuffix(".gz")


def _csv(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
    for entry in reader:
        yield reader.line_num, entry


def _json(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    text = stream.read().decode("utf-8-sig")
    if text.lstrip().startswith("["):
        yield from enumerate(json.loads(text), 1)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, json.loads(line)


def _row(position: int, entry: Any) -> Row | Rejected:
    values = {name: _text(entry, name) for name in ("document", *_IDS)}
    if not values["document"]:
        return Rejected(position, NO_DOCUMENT, "an entry without a document")
    for name, prefix in _IDS.items():
        values[name] = (values[name] or "").removeprefix(prefix) or None
    if not any(values[name] for name in _IDS):
        return Rejected(position, NO_SUBJECT, f"legal: {' or '.join(_IDS)}")
    return Row(bronze.DOCS_MANIFEST.name, position, values)


def _text(entry: Any, name: str) -> str | None:
    value = entry.get(name) if isinstance(entry, dict) else None
    return value.strip() or None if isinstance(value, str) else None


@hookimpl
def lakehouse_parsers() -> Sequence[Parser]:
    """Return the manifest parser."""
    return (ManifestParser(),)

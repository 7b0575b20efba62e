"""A batch as it is saved beside the results, so that a trigger is handed its URI and nothing else."""

from __future__ import annotations

import ast
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import InputError
from airflow_lakehouse.ocr.store import DocumentToRead
from airflow_lakehouse.ocr.textract.location import split_uri, unquoted
from airflow_lakehouse.ocr.textract.objects import open_objects
from airflow_lakehouse.ocr.textract.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_lakehouse.ocr.textract.objects import Objects
    from airflow_lakehouse.ocr.textract.report import TextractReport
    from airflow_lakehouse.ocr.textract.service import Service

BATCHES: Final = "batches"
"""Folder of batches and their reports, below the root of the results."""
SUFFIXES: Final = (".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Ends of names, in any case, of what is taken for a document in a prefix."""


class SavedBatch:
    """A batch: which documents, and how.

    :param service: the calls.
    :param textract_dir: root of the results.
    :param batch_id: its name.
    """

    def __init__(self, service: Service, textract_dir: str, batch_id: str) -> None:
        self.service, self.textract_dir, self.batch_id = service, textract_dir, batch_id

    @property
    def objects(self) -> Objects:
        """The root of the results."""
        return open_objects(self.textract_dir, lambda: self.service.s3)

    @property
    def folder(self) -> str:
        """URI of the folder with the batch and its report."""
        return self.objects.uri(f"{BATCHES}/{self.batch_id}/")

    def save(self, documents: Iterable[DocumentToRead], settings: Mapping[str, Any]) -> None:
        """Save the batch.

        :param documents: which.
        :param settings: as :meth:`Settings.of` takes them.
        """
        values = {"settings": dict(settings), "documents": [asdict(document) for document in documents]}
        self.objects.write(f"{BATCHES}/{self.batch_id}/batch.json", json.dumps(values).encode())

    def load(self) -> tuple[list[DocumentToRead], Settings]:
        """Return what was saved.

        :raises InputError: when it is gone.
        """
        data = self.objects.read(f"{BATCHES}/{self.batch_id}/batch.json")
        if data is None:
            raise InputError(f"batch {self.batch_id} is gone from {self.folder}", remedy="clear the task")
        values = json.loads(data)
        return [DocumentToRead(**one) for one in values["documents"]], Settings.of(values["settings"])

    def report(self, report: TextractReport) -> str:
        """Save a line a document, and return where.

        :param report: what became of the batch.
        """
        name = f"{BATCHES}/{self.batch_id}/report.jsonl"
        lines = "".join(f"{json.dumps(one.as_dict())}\n" for one in report.documents)
        self.objects.write(name, lines.encode())
        return self.objects.uri(name)


def documents_of(given: Any) -> list[DocumentToRead]:
    """Return the documents of what people write, or an upstream task returns.

    :param given: a URI, an object with ``uri`` and perhaps ``etag``, ``dt`` and ``source_system``, or a list of these.
    :raises InputError: when it is something else.
    """
    if isinstance(given, DocumentToRead):
        return [given]
    if isinstance(given, str):
        # A template renders a list of an upstream task as text, unless the DAG renders native objects.
        if given.lstrip().startswith("["):
            return documents_of(_listed(given))
        return [DocumentToRead(given, "")]
    if isinstance(given, dict):
        values = {("source_" + name if name in ("uri", "etag") else name): value for name, value in given.items()}
        legal = DocumentToRead.__dataclass_fields__
        if "source_uri" not in values or not set(values) <= set(legal):
            raise InputError(f"a document with {', '.join(given) or 'nothing'}", legal="uri, etag, dt, source_system")
        return [DocumentToRead(**{"source_etag": "", **values})]
    if isinstance(given, (list, tuple)):
        return [document for one in given for document in documents_of(one)]
    raise InputError(f"documents of type {type(given).__name__}", legal="a URI, an object with uri and etag, or a list")


def in_prefix(service: Service, prefix: str) -> list[DocumentToRead]:
    """Return the documents below a prefix.

    :param service: the calls.
    :param prefix: ``s3://bucket/prefix``.
    :raises InputError: when it is not in S3, or holds no document.
    """
    if not prefix.startswith("s3://"):
        raise InputError(f"prefix {prefix!r} is not in S3", legal="s3://bucket/prefix")
    bucket, key = split_uri(prefix)
    pages = service.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    found = [
        DocumentToRead(f"s3://{bucket}/{item['Key']}", unquoted(item["ETag"]))
        for page in pages
        for item in page.get("Contents", ())
        if item["Key"].lower().endswith(SUFFIXES)
    ]
    if not found:
        raise InputError(f"{prefix} holds no document", legal=", ".join(SUFFIXES))
    return found


def in_manifest(service: Service, uri: str) -> list[DocumentToRead]:
    """Return the documents that a manifest names: a JSON array, or a URI or JSON object a line.

    :param service: the calls.
    :param uri: of the manifest, a path or ``s3://...``.
    :raises InputError: when it is absent, or cannot be read.
    """
    root, _, name = uri.rpartition("/")
    data = open_objects(root or ".", lambda: service.s3).read(name)
    if data is None:
        raise InputError(f"there is no manifest {uri}")
    try:
        text = data.decode()
        if text.lstrip().startswith("["):
            return documents_of(json.loads(text))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [one for line in lines for one in documents_of(json.loads(line) if line.startswith("{") else line)]
    except ValueError:
        raise InputError(
            f"manifest {uri} cannot be read", legal="a JSON array, or a URI or JSON object a line, in UTF-8"
        ) from None


def _listed(text: str) -> Any:
    """Return what a text lists: JSON as people write it, or Python's as a template renders it."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise InputError("a list of documents that is no JSON", legal='["s3://bucket/key", ...]') from None

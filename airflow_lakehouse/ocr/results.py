"""Where results are stored, and reading them back.

::

    <textract>/<sha256 of the document>/<engine>-<version>/1, 2, ...       a page each, as Textract's JSON
    <textract>/<sha256 of the document>/<engine>-<version>/document.json   the manifest, written last
    <textract>/sources/<sha256 of uri and etag>.json                       which result a source file has
    <textract>/sources/again/<the same>.json                               it has another one than when it was loaded

A result belongs to content and engine, a pointer to one version of one source file: the same bytes under two names
are read once and give rows for both. A result without a manifest is unfinished; its pages are not read again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import OcrError
from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr import textract_json
from airflow_lakehouse.ocr.blocks import Block, PageRead, PageResult
from airflow_lakehouse.ocr.reader import REJECTED, DocumentResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_lakehouse.ocr.folder import Folder

MANIFEST: Final = "document.json"
SOURCES: Final = "sources"
AGAIN: Final = "sources/again"
_OURS: Final = "LakehousePage"
"""Key of a page's result in the page's file; Textract's readers ignore it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of a document, as stored.

    :param doc_id: hex sha256 of its bytes.
    :param engine: engine that was asked for.
    :param engine_version: its version.
    :param status: ``ok`` or ``rejected``.
    :param reason: UPPER_SNAKE code of a rejection.
    :param detail: what was wrong.
    :param pages: pages it has.
    :param results: one a page, in order.
    """

    doc_id: str
    engine: str
    engine_version: str
    status: str
    reason: str | None = None
    detail: str = ""
    pages: int = 0
    results: tuple[PageResult, ...] = ()

    @property
    def is_rejected(self) -> bool:
        """No page could be read, for a reason of the whole document."""
        return self.status == REJECTED

    def count(self, status: str) -> int:
        """Return how many pages have a status.

        :param status: ``ok``, ``blank`` or ``failed``.
        """
        return sum(result.status == status for result in self.results)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which result a version of a source file has.

    :param source_uri: the file.
    :param source_etag: its version.
    :param result: folder of the result, below the root.
    :param doc_id: hex sha256 of the content.
    :param engine: engine that was asked for.
    :param engine_version: its version.
    :param dt: day of the drop.
    :param source_system: who sent it.
    :param pinned: somebody has chosen this reading; a batch with another engine leaves it.
    """

    source_uri: str
    source_etag: str
    result: str
    doc_id: str
    engine: str
    engine_version: str
    dt: str | None = None
    source_system: str = "default"
    pinned: bool = False


def result_folder(doc_id: str, engine: str, version: str) -> str:
    """Return the folder of a result, below the root.

    :param doc_id: hex sha256 of the content.
    :param engine: engine that was asked for.
    :param version: its version.
    """
    return f"{doc_id}/{engine}-{version}"


def pointer_name(source_uri: str, source_etag: str) -> str:
    """Return the name of a pointer, below the root.

    :param source_uri: the file.
    :param source_etag: its version.
    """
    name = sha256(f"{source_uri}\0{source_etag}".encode()).hexdigest()
    return f"{SOURCES}/{name}.json"


def read_pointer(folder: Folder, source_uri: str, source_etag: str) -> Pointer | None:
    """Return the pointer of a source file, or None where it has not been read.

    :param folder: the root.
    :param source_uri: the file.
    :param source_etag: its version.
    """
    data = folder.read(pointer_name(source_uri, source_etag))
    return Pointer(**json.loads(data)) if data else None


def write_pointer(folder: Folder, pointer: Pointer) -> None:
    """Store a pointer; where the file had another result, note that it is to be loaded again.

    :param folder: the root.
    :param pointer: which result the file has.
    """
    before = read_pointer(folder, pointer.source_uri, pointer.source_etag)
    if before is not None and before.result != pointer.result:
        # Before the pointer: killed in between, a file is loaded again in vain. After it, rows would stay as they were.
        note_again(folder, pointer)
    folder.write(pointer_name(pointer.source_uri, pointer.source_etag), _dump(asdict(pointer)))


def note_again(folder: Folder, pointer: Pointer) -> None:
    """Note that a file is to be loaded again: its rows are to be those of its result as it is now.

    :param folder: the root.
    :param pointer: the file.
    """
    name = pointer_name(pointer.source_uri, pointer.source_etag).removeprefix(f"{SOURCES}/")
    folder.write(f"{AGAIN}/{name}", _dump(asdict(pointer)))


def noted_again(folder: Folder) -> dict[str, Pointer]:
    """Return the files that are to be loaded again, by the name of their note.

    :param folder: the root.
    """
    found = {}
    for name in folder.names(AGAIN):
        data = folder.read(f"{AGAIN}/{name}")
        if data:
            found[f"{AGAIN}/{name}"] = Pointer(**json.loads(data))
    return found


def forget_again(folder: Folder, notes: Mapping[str, Pointer]) -> None:
    """Drop notes of files that were loaded again; one that was written anew meanwhile stays.

    :param folder: the root.
    :param notes: from :func:`noted_again`, before the load.
    """
    for name, pointer in notes.items():
        if folder.read(name) == _dump(asdict(pointer)):
            folder.delete(name)


def read_manifest(folder: Folder, result: str) -> Manifest | None:
    """Return the manifest of a result, or None where it is unfinished.

    :param folder: the root.
    :param result: folder of the result.
    """
    data = folder.read(f"{result}/{MANIFEST}")
    if not data:
        return None
    values: dict[str, Any] = json.loads(data)
    return Manifest(**{**values, "results": tuple(PageResult(**page) for page in values["results"])})


def read_blocks(folder: Folder, result: str, page: PageResult) -> list[Block]:
    """Return the blocks of a page.

    :param folder: the root.
    :param result: folder of the result.
    :param page: the page; one without blocks has no file that must exist.
    :raises OcrError: when the page's file is missing, though the manifest counts its blocks.
    """
    if not page.n_blocks:
        return []
    data = folder.read(f"{result}/{page.page}")
    if data is None:
        raise OcrError(
            f"page {page.page} of OCR result {result} is missing", remedy="delete that folder and read the drop again"
        )
    return textract_json.from_json(json.loads(data)["Blocks"])


@dataclass
class ResultWriter:
    """Stores one document's result page by page, then its manifest.

    :param folder: the root.
    :param result: folder of the result.
    """

    folder: Folder
    result: str

    def finished_pages(self) -> list[PageResult]:
        """Return the pages an earlier, killed run has stored; failed ones are tried again."""
        return [page for page in self._stored() if page.status != kinds.FAILED]

    def stored_pages(self) -> list[PageResult]:
        """Return the pages that are stored, of whatever attempt or job, failed ones too."""
        return list(self._stored())

    def _stored(self) -> Iterator[PageResult]:
        for name in self.folder.names(self.result):
            data = self.folder.read(f"{self.result}/{name}") if name.isdigit() else None
            if data:
                yield PageResult(**json.loads(data)[_OURS])

    def add(self, read: PageRead) -> None:
        """Store a page.

        :param read: the page.
        """
        values = {
            "JobStatus": "SUCCEEDED" if read.result.status != kinds.FAILED else "FAILED",
            "DocumentMetadata": {"Pages": 1},
            "Blocks": textract_json.to_json(read.blocks),
            textract_json.MODEL_VERSION: read.result.engine_version,
            _OURS: asdict(read.result),
        }
        self.folder.write(f"{self.result}/{read.result.page}", _dump(values))

    def finish(self, result: DocumentResult) -> Manifest:
        """Store the manifest; only now is there a result.

        :param result: what became of the document.
        """
        manifest = Manifest(
            result.doc_id,
            result.engine,
            result.engine_version,
            result.status,
            result.reason,
            result.detail,
            result.pages,
            tuple(result.results),
        )
        self.folder.write(f"{self.result}/{MANIFEST}", _dump(asdict(manifest)))
        return manifest


def _dump(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()

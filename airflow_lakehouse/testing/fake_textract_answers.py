"""What the fake Textract says of a document: a recorded response, or what an engine of this machine reads in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from airflow_lakehouse.ocr.textract_json import to_json

SUCCEEDED: Final = "SUCCEEDED"
PARTIAL: Final = "PARTIAL_SUCCESS"
FAILED: Final = "FAILED"
_OURS: Final = ("ReadingOrder", "ConfidenceSource")
"""Keys of ours that Textract does not have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job is about.

    :param key: of the object.
    :param data: its bytes.
    :param request: arguments of the Start operation.
    """

    key: str
    data: bytes
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job finds.

    :param blocks: as Textract has them.
    :param pages: of the document.
    :param status: ``SUCCEEDED``, ``PARTIAL_SUCCESS`` or ``FAILED``.
    :param warnings: ``ErrorCode`` and ``Pages`` each.
    :param model: version of the model.
    """

    blocks: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 1
    status: str = SUCCEEDED
    warnings: list[dict[str, Any]] = field(default_factory=list)
    model: str = "1.0"


Answers = Callable[[Asked], Answer]
"""Says what a job finds."""


def read_here(engine: str = "none") -> Answers:
    """Return answers that an engine of this machine reads in the real object.

    :param engine: ``local``, or ``none`` for text layers alone.
    """

    def answer(asked: Asked) -> Answer:
        from airflow_lakehouse.ocr.reader import REJECTED, read_document

        found = read_document(asked.data, engine=engine)
        if found.status == REJECTED:
            return Answer(status=FAILED)
        blocks = [block for page in found.page_reads for block in to_json(page.blocks)]
        plain = [{name: value for name, value in block.items() if name not in _OURS} for block in blocks]
        failed = [page.page for page in found.results if page.status == "failed"]
        warnings = [{"ErrorCode": "PAGE_NOT_READ", "Pages": failed}] if failed else []
        return Answer(plain, found.pages, PARTIAL if failed else SUCCEEDED, warnings)

    return answer


class Recorded:
    """Answers from recorded responses: that of ``drop/form.png`` is in a file whose name ends in ``form.png.json``.

    :param folder: with responses of Get, Detect or Analyze operations, one a file.
    :param otherwise: answers for documents that nothing was recorded of; without, they fail.
    """

    def __init__(self, folder: Path | str, otherwise: Answers | None = None) -> None:
        self._folder = Path(folder)
        self._otherwise = otherwise

    def __call__(self, asked: Asked) -> Answer:
        """Return the answer."""
        path = self.file_of(asked.key)
        if path is not None:
            return answer_of(json.loads(path.read_bytes()))
        return self._otherwise(asked) if self._otherwise else Answer(status=FAILED)

    def file_of(self, key: str) -> Path | None:
        """Return the file with what was recorded of a document.

        :param key: of the object.
        """
        name = PurePosixPath(key).name.lower()
        stem = name.removesuffix(".pdf")
        for wanted in (f"{name}.json", f"{stem}.json"):
            for path in sorted(self._folder.glob("*.json")):
                if path.name.lower().endswith(wanted):
                    return path
        return None


def answer_of(response: dict[str, Any]) -> Answer:
    """Return a recorded response as an answer.

    :param response: any of them, also one with null fields.
    """
    # A synchronous response, which is what most recordings are, has no page; an asynchronous one always does.
    blocks = [{**block, "Page": block.get("Page") or 1} for block in response.get("Blocks") or ()]
    model = next((str(value) for key, value in response.items() if value and key.endswith("ModelVersion")), "1.0")
    pages = (response.get("DocumentMetadata") or {}).get("Pages") or 1
    status = response.get("JobStatus") or SUCCEEDED
    status = status if status in (SUCCEEDED, PARTIAL, FAILED) else SUCCEEDED
    return Answer(blocks, pages, status, list(response.get("Warnings") or ()), model)


def without_pages(answer: Answer, lost: tuple[int, ...]) -> Answer:
    """Return an answer in which pages could not be read.

    :param answer: the whole.
    :param lost: pages.
    """
    blocks = [block for block in answer.blocks if block.get("Page") not in lost]
    warnings = [*answer.warnings, {"ErrorCode": "INVALID_PAGE", "Pages": list(lost)}]
    return Answer(blocks, max(answer.pages, *lost), PARTIAL, warnings, answer.model)


def with_queries(answer: Answer, request: dict[str, Any]) -> Answer:
    """Return an answer with a QUERY block for every question that it has none for; nobody here can answer one.

    :param answer: what was found.
    :param request: arguments of the Start operation.
    """
    asked = (request.get("QueriesConfig") or {}).get("Queries") or ()
    has = {(block.get("Query") or {}).get("Text") for block in answer.blocks if block.get("BlockType") == "QUERY"}
    added = [
        {"Id": f"query-{number}-{page}", "BlockType": "QUERY", "Page": page, "Query": {"Text": query["Text"]}}
        for page in range(1, answer.pages + 1)
        for number, query in enumerate(asked)
        if query["Text"] not in has and _asks(query.get("Pages") or ["1"], page)
    ]
    return Answer([*answer.blocks, *added], answer.pages, answer.status, answer.warnings, answer.model)


def _asks(pages: list[str], page: int) -> bool:
    for one in pages:
        first, _, last = one.partition("-")
        if one == "*" or (int(first) <= page <= (page if last == "*" else int(last or first))):
            return True
    return False

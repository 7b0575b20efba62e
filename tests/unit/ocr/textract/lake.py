from __future__ import annotations

import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.ocr.results import read_blocks, read_manifest, read_pointer
from airflow_lakehouse.ocr.store import DocumentToRead
from airflow_lakehouse.ocr.textract.inspect import Inspector
from airflow_lakehouse.ocr.textract.objects import S3Objects
from airflow_lakehouse.ocr.textract.run import read_batch
from airflow_lakehouse.ocr.textract.service import own_clients
from airflow_lakehouse.ocr.textract.settings import Settings
from airflow_lakehouse.testing.fake_textract_answers import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.results import Manifest
    from airflow_lakehouse.ocr.textract.report import TextractReport
    from airflow_lakehouse.testing.fake_textract import FakeTextract

HURRIED = {"start_tps": 1000.0, "get_tps": 1000.0, "max_in_flight": 20, "poll_seconds": 0.02}


def pdf(pages: int = 1, text: str = "a word") -> bytes:
    """Return a PDF whose pages have a line of text each."""
    from reportlab.pdfgen.canvas import Canvas

    stream = BytesIO()
    canvas = Canvas(stream, invariant=True)
    for page in range(1, pages + 1):
        canvas.drawString(72, 720, f"{text} {page}")
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def answer(pages: int = 1, words: int = 3) -> Answer:
    """Return an answer with so many words on each page, as Textract orders its blocks."""
    blocks: list[dict[str, Any]] = []
    for page in range(1, pages + 1):
        ids = [f"w{page}-{number}" for number in range(words)]
        blocks.append({"Id": f"p{page}", "BlockType": "PAGE", "Page": page})
        blocks.append(
            {
                "Id": f"l{page}",
                "BlockType": "LINE",
                "Page": page,
                "Text": "confidential",
                "Confidence": 99.0,
                "Relationships": [{"Type": "CHILD", "Ids": ids}],
            }
        )
        blocks += [
            {"Id": name, "BlockType": "WORD", "Page": page, "Text": "confidential", "Confidence": 98.0} for name in ids
        ]
    return Answer(blocks, pages)


class SecretPages:
    """Answers with as many pages as the document has."""

    def __init__(self, words: int = 3) -> None:
        self.words = words

    def __call__(self, asked: Asked) -> Answer:
        """Return the answer."""
        return answer(max(1, asked.data.count(b"/Type /Page\n")), self.words)


@dataclass
class Lake:
    """A bucket with documents, and a root for results."""

    bucket: str
    s3: Any
    fake: FakeTextract
    inspector: Inspector
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the client of a service; to make one takes a tenth of a second."""
        if service not in self.clients:
            self.clients[service] = own_clients()(service)
        return self.clients[service]

    @property
    def textract_dir(self) -> str:
        """Root of the results."""
        return f"s3://{self.bucket}/ocr"

    def put(self, key: str, data: bytes) -> DocumentToRead:
        """Write an object, and return it as a listing would."""
        etag = self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)["ETag"].strip('"')
        return DocumentToRead(f"s3://{self.bucket}/{key}", etag)

    def read(self, *documents: DocumentToRead, **settings: Any) -> TextractReport:
        """Read documents in a batch."""
        return read_batch(
            documents,
            textract_dir=self.textract_dir,
            settings=Settings.of({**HURRIED, **settings}),
            make_client=self.client,
            inspector=self.inspector,
        )

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that are there."""
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())
        return [item["Key"] for item in found]


class SharedInspector(Inspector):
    """One set of processes for all tests: a batch that ends leaves them."""

    def close(self) -> None:
        """Stay."""


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def result_of(lake: Lake, document: DocumentToRead) -> Manifest | None:
    """Return what readers see of a document."""
    objects = S3Objects(lake.s3, lake.bucket, "ocr")
    pointer = read_pointer(objects, document.source_uri, document.source_etag)
    manifest = read_manifest(objects, pointer.result) if pointer else None
    if pointer and manifest:
        for page in manifest.results:
            assert len(read_blocks(objects, pointer.result, page)) == page.n_blocks
    return manifest


class Killed(BaseException):
    """The process is no more."""


def read_and_die(lake: Lake, documents: list[DocumentToRead], *, at: tuple[str, int, str], **settings: Any) -> None:
    """Read, and die at a request: the so many-th of an operation, before it is sent or after it was done."""
    operation, number, when = at
    left = [number]

    class Dying:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._client, name)
            if not callable(method) or name in ("get_paginator", "close"):
                return method

            def call(**arguments: Any) -> Any:
                if left[0] <= 0:
                    raise Killed
                if operation in name:
                    left[0] -= 1
                if left[0] <= 0 and when == "before":
                    raise Killed
                found = method(**arguments)
                if left[0] <= 0:
                    if "Body" in found:
                        found["Body"].close()
                    raise Killed
                return found

            return call

    read_batch(
        documents,
        textract_dir=lake.textract_dir,
        settings=Settings.of({**HURRIED, **settings}),
        make_client=lambda service: Dying(lake.client(service)),
        inspector=lake.inspector,
    )

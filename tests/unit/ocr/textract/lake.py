from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.ocr.store import DocumentToRead
from airflow_lakehouse.ocr.textract.inspect import Inspector
from airflow_lakehouse.ocr.textract.run import read_batch
from airflow_lakehouse.ocr.textract.service import own_clients
from airflow_lakehouse.ocr.textract.settings import Settings
from airflow_lakehouse.testing.fake_textract_answers import Answer, Asked

if TYPE_CHECKING:
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

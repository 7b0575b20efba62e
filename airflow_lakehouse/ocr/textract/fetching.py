"""Results, response by response, to a file a page: what a long document holds is never in memory as a whole.

How far it has come is stored on the way: a document of 3,000 pages takes thousands of requests, of which an account may
send a few a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import JobError
from airflow_lakehouse.ocr.engine import TEXTRACT
from airflow_lakehouse.ocr.flatten import Origin, pages_of
from airflow_lakehouse.ocr.reader import DocumentResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_lakehouse.ocr.blocks import PageResult
    from airflow_lakehouse.ocr.results import ResultWriter
    from airflow_lakehouse.ocr.textract.ledger import Entry
    from airflow_lakehouse.ocr.textract.objects import Objects

PROGRESS: Final = "progress.json"
"""Beside the pages: after which of them to go on, and with which token."""
SUCCEEDED: Final = "SUCCEEDED"
PARTIAL: Final = "PARTIAL_SUCCESS"
IN_PROGRESS: Final = "IN_PROGRESS"
PAGES_BETWEEN_MARKS: Final = 50

Response = dict[str, Any]


@dataclass
class _Mark:
    """How far an attempt has come.

    :param through: pages up to this one are stored.
    :param token: of the response with which the next page begins.
    :param warnings: of the responses before it.
    """

    through: int = 0
    token: str = ""
    warnings: list[Any] = field(default_factory=list)


class Fetching:
    """Storing what one job has found.

    :param objects: the root of the results.
    :param writer: stores the pages of the document.
    :param entry: the job.
    """

    def __init__(self, objects: Objects, writer: ResultWriter, entry: Entry) -> None:
        self._objects, self._writer, self._entry = objects, writer, entry
        self._name = f"{writer.result}/{PROGRESS}"
        self._begins: dict[int, str] = {}
        self._warnings: list[Any] = []
        self.resumes = False

    def store(self, get: Callable[[str], Response], first: Response | None, origin: Origin) -> DocumentResult:
        """Store the pages of a job, from where an earlier attempt has come to; return what became of the document.

        :param get: returns the response of a token.
        :param first: the first response, if it is at hand.
        :param origin: what the responses are about.
        :raises JobError: when the responses have no end.
        """
        mark = self._read_mark()
        self.resumes = mark.through > 0
        return self._store(self._responses(mark, get, first), origin, mark.through)

    def store_all(self, responses: Iterable[Response], origin: Origin) -> DocumentResult:
        """Store the pages of responses that are all at hand.

        :param responses: in their order.
        :param origin: what they are about.
        """
        return self._store(responses, origin, 0)

    def forget(self) -> None:
        """Begin from the first page, whatever an earlier attempt has stored."""
        self._objects.delete(self._name)

    def _store(self, responses: Iterable[Response], origin: Origin, through: int) -> DocumentResult:
        # What another job has left there is overwritten, and never mixed with this one's.
        known = {page.page: page for page in self._writer.stored_pages()} if through else {}
        results: list[PageResult] = []
        for read in pages_of(responses, origin):
            number = read.result.page
            if number <= through:
                results.append(known[number])
                continue
            self._writer.add(read)
            results.append(read.result)
            if number % PAGES_BETWEEN_MARKS == 0:
                self._set_mark(number)
        return DocumentResult(origin.doc_sha256, TEXTRACT, "", pages=len(results), results=results)

    def _responses(self, mark: _Mark, get: Callable[[str], Response], first: Response | None) -> Iterator[Response]:
        token, seen = mark.token, set[str]()
        if mark.warnings:
            yield {"Warnings": mark.warnings}
        self._warnings = list(mark.warnings)
        response = first if first is not None and not token else get(token)
        while True:
            for block in response.get("Blocks") or ():
                self._begins.setdefault(block.get("Page") or 1, token)
            self._warnings += [one for one in response.get("Warnings") or () if one not in self._warnings]
            yield response
            token = str(response.get("NextToken") or "")
            if not token:
                return
            if token in seen:
                raise JobError(f"Textract gives the results of job {self._entry.job_id[:12]} without an end")
            seen.add(token)
            response = get(token)

    def _read_mark(self) -> _Mark:
        data = self._objects.read(self._name)
        values = json.loads(data) if data else {}
        if values.pop("job_id", None) != self._entry.job_id:
            return _Mark()
        return _Mark(**values)

    def _set_mark(self, through: int) -> None:
        """Store that pages are stored, if the response is known with which the next one begins."""
        token = next((self._begins[page] for page in sorted(self._begins) if page > through), "")
        self._begins = {page: begins for page, begins in self._begins.items() if page > through}
        if token:
            values = {"job_id": self._entry.job_id, "through": through, "token": token, "warnings": self._warnings}
            self._objects.write(self._name, json.dumps(values).encode())


def left_in_output(s3: Any, entry: Entry) -> Iterator[Response] | None:
    """Return the responses that Textract itself has left in S3, if they are complete; they outlive the job.

    They are named 1, 2, ... 10 without an extension, beside ``.s3_access_check``, which is there from the start.

    :param s3: boto3 client.
    :param entry: the job.
    """
    output = entry.request.get("OutputConfig")
    if not output or not entry.job_id:
        return None
    bucket = output["S3Bucket"]
    prefix = f"{output.get('S3Prefix') or 'textract_output'}/{entry.job_id}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = (item["Key"][len(prefix) :] for page in pages for item in page.get("Contents", ()))
    numbers = sorted(int(name) for name in names if name.isdigit())

    def read(number: int) -> Response:
        body = s3.get_object(Bucket=bucket, Key=f"{prefix}{number}")["Body"].read()
        response: Response = json.loads(body)
        return response

    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        return None
    last = read(numbers[-1])
    if last.get("NextToken") or last.get("JobStatus") not in (SUCCEEDED, PARTIAL):
        return None
    return (read(number) for number in numbers)

"""What is done for one document: looking at it, starting its job, asking for it, storing what it found.

Each method is one step, run in a thread, and safe to run again: what was done is in the ledger and in the results.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.ocr.engine import TEXTRACT
from airflow_lakehouse.ocr.flatten import Origin
from airflow_lakehouse.ocr.folder import local_copy
from airflow_lakehouse.ocr.formats import PDF
from airflow_lakehouse.ocr.reader import REJECTED, DocumentResult, sha256_of
from airflow_lakehouse.ocr.results import (
    MANIFEST,
    Manifest,
    Pointer,
    ResultWriter,
    read_manifest,
    read_pointer,
    result_folder,
    write_pointer,
)
from airflow_lakehouse.ocr.textract import fetching, location
from airflow_lakehouse.ocr.textract.errors import Meaning, code_of, meaning_of
from airflow_lakehouse.ocr.textract.ledger import SPENT, STARTING, Entry, Ledger
from airflow_lakehouse.ocr.textract.location import Location
from airflow_lakehouse.ocr.textract.reasons import TRIED_AGAIN
from airflow_lakehouse.parsing.model import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.inspect import Inspector
    from airflow_lakehouse.ocr.textract.objects import Objects
    from airflow_lakehouse.ocr.textract.service import Service
    from airflow_lakehouse.ocr.textract.settings import Settings

_COPY: Final = "document"
"""Copy of a document whose own place Textract does not take, while its job runs."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that has been looked at.

    :param document: with the version that was read.
    :param doc_id: hex sha256 of its bytes; empty where it could not be read.
    :param result: folder of its result.
    :param location: where Textract is to find it.
    :param pages: how many it has.
    :param sizes: width and height of its pages, points, where they are known.
    :param manifest: the result it has already, of an earlier run or because nothing needs to be paid for.
    :param is_reused: the result is of an earlier run.
    :param is_pointed: the document's pointer names the result already.
    :param changed: another version was there than the one that was listed.
    :param is_copy: the location is a copy of ours.
    """

    document: DocumentToRead
    doc_id: str = ""
    result: str = ""
    location: Location | None = None
    pages: int = 0
    sizes: tuple[tuple[float, float], ...] = ()
    manifest: Manifest | None = None
    is_reused: bool = False
    is_pointed: bool = False
    changed: bool = False
    is_copy: bool = False


class JobFailed(Exception):  # noqa: N818 - an outcome that the batch handles, never raised to callers
    """The job ended as FAILED; the next one has another token."""


class Changed(Exception):  # noqa: N818 - as above
    """The object was overwritten: the job has read, or would read, other bytes than those that were looked at."""


@dataclass
class Work:
    """The steps.

    :param service: the calls.
    :param objects: root of the results.
    :param settings: of the batch.
    :param inspector: looks at documents.
    :param pace: waits until another Get request may be sent.
    """

    service: Service
    objects: Objects
    settings: Settings
    inspector: Inspector
    pace: Callable[[], None]

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.objects)
        self.version = self.settings.version

    def prepare(self, document: DocumentToRead) -> Prepared:
        """Look at a document: what is known of it, and whether anything must be paid for.

        :param document: the document.
        """
        if not document.source_etag:
            document = replace(document, source_etag=location.current_etag(self.service.s3, document.source_uri))
        pointer = read_pointer(self.objects, document.source_uri, document.source_etag)
        # Pinned: people have chosen the reading of another engine.
        if pointer and (pointer.pinned or (pointer.engine, pointer.engine_version) == (TEXTRACT, self.version)):
            manifest = self._manifest(pointer.result)
            if manifest:
                return Prepared(
                    document, pointer.doc_id, pointer.result, manifest=manifest, is_reused=True, is_pointed=True
                )
        with tempfile.TemporaryDirectory(prefix="lakehouse-textract-") as folder:
            path = Path(folder) / "document"
            where = self._fetch(document.source_uri, path)
            return Prepared(document) if where is None else self._look(document, path, where)

    def _fetch(self, uri: str, path: Path) -> Location | None:
        """Copy a document here; return where Textract finds it, or None where there is no such document."""
        if uri.startswith(("s3://", "s3a://")):
            try:
                return location.fetch(self.service.s3, uri, path)
            except Exception as error:
                if meaning_of(error) is Meaning.LOCATION or code_of(error) == "AccessDenied":
                    return None
                raise
        try:
            with local_copy(uri) as copy:
                path.write_bytes(copy.read_bytes())
        except OSError:
            return None
        return Location("", "", "")

    def _look(self, document: DocumentToRead, path: Path, where: Location) -> Prepared:
        doc_id = sha256_of(path)
        versions = (where.etag, doc_id)
        changed = document.source_etag not in (*versions, "")
        if document.source_etag not in versions:
            # What is there now is read: the next listing of the drop finds it read.
            document = replace(document, source_etag=where.etag or doc_id)
        result = result_folder(doc_id, TEXTRACT, self.version)
        prepared = Prepared(document, doc_id, result, where, changed=changed)
        manifest = self._manifest(result)
        if manifest:
            return replace(prepared, manifest=manifest, is_reused=True)
        found = self.inspector.check(path, born_digital=self.settings.options.skip_text_layer)
        if isinstance(found, Rejected):
            rejected = self._rejected(doc_id, found.reason, found.detail)
            return replace(prepared, manifest=self._keep(rejected, result))
        # Of an image the size is in pixels, and says nothing in points.
        prepared = replace(prepared, pages=found.pages, sizes=found.sizes if found.format == PDF else ())
        if self.settings.options.skip_text_layer and len(found.born_digital) == found.pages:
            return replace(prepared, manifest=self._read_here(path, doc_id, result))
        if self.settings.options.dry_run or location.is_taken(document.source_uri):
            return prepared
        return replace(prepared, location=self._copy(path, result), is_copy=True)

    def _manifest(self, result: str) -> Manifest | None:
        manifest = read_manifest(self.objects, result)
        return None if manifest is None or manifest.reason in TRIED_AGAIN else manifest

    def _rejected(self, doc_id: str, reason: str, detail: str, pages: int = 0) -> DocumentResult:
        return DocumentResult(doc_id, TEXTRACT, self.version, REJECTED, reason, detail, pages)

    def _keep(self, found: DocumentResult, result: str) -> Manifest:
        if self.settings.options.dry_run:
            return Manifest(found.doc_id, found.engine, found.engine_version, found.status, found.reason, found.detail)
        return ResultWriter(self.objects, result).finish(found)

    def _read_here(self, path: Path, doc_id: str, result: str) -> Manifest:
        if self.settings.options.dry_run:
            return Manifest(doc_id, TEXTRACT, self.version, "ok")
        read = self.inspector.read_text_layer(path, doc_id, ResultWriter(self.objects, result).add)
        return self._keep(replace(read, engine=TEXTRACT, engine_version=self.version), result)

    def _copy(self, path: Path, result: str) -> Location:
        """Copy a document to where Textract takes it from: not every name will do, and not every document is in S3."""
        name = f"{result}/{_COPY}"
        # Once: an encrypted object's tag differs each time, and the job of a run that died would be for another file.
        self.objects.write_if(name, path.read_bytes(), None)
        uri = self.objects.uri(name)
        if not location.is_taken(uri):
            raise ConfigurationError(
                "Textract reads documents from S3, and neither the drop nor the OCR results are there",
                remedy="set textract to s3://bucket/prefix, in the Region of Textract",
            )
        bucket, key = location.split_uri(uri)
        found = self.service.s3.head_object(Bucket=bucket, Key=key)
        return Location(bucket, key, location.unquoted(found["ETag"]))

    def claim(self, prepared: Prepared) -> Entry:
        """Return the entry of a document's job: the one that is there, or one that is to be started.

        :param prepared: the document.
        """
        assert prepared.location is not None
        entry = self.ledger.read(prepared.result)
        fresh = Entry.fresh(prepared.location, self.settings.parameters, 0, prepared.pages)
        if entry is None:
            return self.ledger.agree(prepared.result, None, fresh)
        is_void = entry.state == STARTING and not Location.from_dict(entry.location).is_unchanged(self.service.s3)
        if entry.state == SPENT or is_void:
            again = Entry.fresh(prepared.location, self.settings.parameters, entry.salt + 1, prepared.pages)
            return self.ledger.agree(prepared.result, entry, again)
        return entry

    def start(self, prepared: Prepared, entry: Entry) -> Entry:
        """Start a job, or find it where it was started.

        :param prepared: the document.
        :param entry: of the ledger.
        :raises Changed: when the object has another content now.
        """
        assert prepared.location is not None
        if not Location.from_dict(entry.location).is_unchanged(self.service.s3):
            raise Changed
        job_id = self.service.start(entry)
        if job_id == entry.expired:
            # The token outlived the results: it would give the same job until its own time is over.
            salted = self.ledger.agree(prepared.result, entry, entry.salted())
            return self.start(prepared, salted) if salted.state == STARTING else salted
        return self.ledger.agree(prepared.result, entry, entry.running(job_id))

    def poll(self, entry: Entry) -> dict[str, Any]:
        """Return the first response of a job.

        :param entry: the job.
        """
        return self.service.get(entry.api, entry.job_id)

    def expire(self, prepared: Prepared, entry: Entry) -> tuple[Manifest | None, Entry]:
        """Return the result of a job that Textract has forgotten, or the entry with which to start it again.

        :param prepared: the document.
        :param entry: the job.
        """
        left = fetching.left_in_output(self.service.s3, entry)
        if left is None:
            return None, self.ledger.agree(prepared.result, entry, entry.lost())
        found = self._fetching(prepared, entry).store_all(left, self._origin(prepared, entry))
        return self._publish(prepared, entry, found), entry

    def finish(self, prepared: Prepared, entry: Entry, first: dict[str, Any] | None) -> Manifest:
        """Store what a job has found.

        :param prepared: the document.
        :param entry: the job.
        :param first: its first response; None asks for it again.
        :raises JobFailed: when it has found nothing.
        :raises Changed: when it has read other bytes.
        """
        status = (first or {}).get("JobStatus")
        if status not in (None, fetching.SUCCEEDED, fetching.PARTIAL):
            self.ledger.agree(prepared.result, entry, entry.spent())
            raise JobFailed

        def get(token: str) -> dict[str, Any]:
            self.pace()
            return self.service.get(entry.api, entry.job_id, token)

        self._check_current(prepared, entry)
        rest, origin = self._fetching(prepared, entry), self._origin(prepared, entry)
        try:
            found = rest.store(get, first, origin)
        except Exception as error:
            if not rest.resumes or code_of(error) != "InvalidParameterException":
                raise
            # The token of an earlier attempt is not taken any more: from the beginning.
            rest.forget()
            found = self._fetching(prepared, entry).store(get, first, origin)
        manifest = self._publish(prepared, entry, found)
        if found.pages >= fetching.PAGES_BETWEEN_MARKS:
            rest.forget()
        return manifest

    def _fetching(self, prepared: Prepared, entry: Entry) -> fetching.Fetching:
        return fetching.Fetching(self.objects, ResultWriter(self.objects, prepared.result), entry)

    def _origin(self, prepared: Prepared, entry: Entry) -> Origin:
        pages = max(entry.pages, prepared.pages)
        return Origin(prepared.doc_id, TEXTRACT, job_id=entry.job_id, pages=pages, sizes=prepared.sizes)

    def _check_current(self, prepared: Prepared, entry: Entry) -> None:
        """Write over no page of another process that has found out before that this job is of no use."""
        current = self.ledger.read(prepared.result)
        if current is not None and current.salt != entry.salt:
            raise Changed
        self._check_unchanged(prepared, entry)

    def _check_unchanged(self, prepared: Prepared, entry: Entry) -> None:
        if not Location.from_dict(entry.location).is_unchanged(self.service.s3, when_gone=True):
            self.ledger.agree(prepared.result, entry, entry.spent())
            raise Changed

    def _publish(self, prepared: Prepared, entry: Entry, found: DocumentResult) -> Manifest:
        self._check_unchanged(prepared, entry)
        manifest = self._keep(replace(found, engine_version=self.version), prepared.result)
        self.tidy(prepared)
        return manifest

    def reject(self, prepared: Prepared, reason: str) -> Manifest:
        """Store that a document cannot be read.

        :param prepared: the document.
        :param reason: code.
        """
        found = self._rejected(prepared.doc_id, reason, "Amazon Textract did not read it", prepared.pages)
        manifest = self._keep(found, self.folder_of(prepared, reason))
        self.tidy(prepared)
        return manifest

    def folder_of(self, prepared: Prepared, reason: str) -> str:
        """Return the folder of a result.

        A rejection that is tried again has a folder of its own: whoever reads the document later gives it another
        result, and bronze, which has loaded the rejection, takes that.

        :param prepared: the document.
        :param reason: why it was rejected; empty where it was read.
        """
        return f"{prepared.result}-failed" if reason in TRIED_AGAIN else prepared.result

    def uri_of(self, prepared: Prepared, manifest: Manifest) -> str:
        """Return where a result is.

        :param prepared: the document.
        :param manifest: of its result.
        """
        return self.objects.uri(f"{self.folder_of(prepared, manifest.reason or '')}/{MANIFEST}")

    def tidy(self, prepared: Prepared) -> None:
        """Remove the copy of a document that was made for its job.

        :param prepared: the document.
        """
        if prepared.is_copy:
            self.objects.delete(f"{prepared.result}/{_COPY}")

    def current(self, prepared: Prepared) -> Manifest | None:
        """Return the result that another document of the same content has had meanwhile.

        :param prepared: the document.
        """
        return self._manifest(prepared.result)

    def point(self, prepared: Prepared) -> None:
        """Store which result a document has, unless people have chosen one.

        :param prepared: the document.
        """
        document = prepared.document
        held = read_pointer(self.objects, document.source_uri, document.source_etag)
        if held and held.pinned and self._manifest(held.result):
            return
        pointer = Pointer(
            document.source_uri,
            document.source_etag,
            prepared.result,
            prepared.doc_id,
            TEXTRACT,
            self.version,
            document.dt,
            document.source_system,
        )
        write_pointer(self.objects, pointer)

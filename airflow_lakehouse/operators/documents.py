"""Read the pages of the documents in a raw drop, so that the load finds them read."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse._compat import BaseHook
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.ocr.engine import TEXTRACT
from airflow_lakehouse.operators.textract_batch import BatchOperator, aws_arguments, batch_id_of, split_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.parsing import SourceFile
    from airflow_lakehouse.profile import Profile

_LOG_SECONDS: Final = 10.0


class ReadDocumentsOperator(BatchOperator):
    """Read every document of a drop, page by page, with what the connection says: an engine here, or Amazon Textract.

    Documents that came inside records are read, too, once ``raw_to_bronze`` has taken them out: run it before this
    task and again after it.

    What was read is stored under the profile's ``textract`` root, keyed by the document's content: a document that was
    read before is not read again. One that cannot be read does not fail the task; the load quarantines it.

    Returns counts only: ``documents``, ``read``, ``reused``, ``unreadable``, ``pages_ok``, ``pages_blank``,
    ``pages_failed``, ``rejected`` (reason to count) and ``seconds``.

    :param raw: root of the drop; by default the connection's. (templated)
    :param dt: days, ``YYYY-MM-DD`` or ``FIRST..LAST`` (:meth:`airflow_lakehouse.days.Days.parse`); by default all of
        them. (templated)
    :param workers: documents read at a time.
    :param password_conn_id: connection whose password opens documents that need one. (templated)
    :param lakehouse_conn_id: connection with the profile. (templated)
    :param deferrable: with Textract, wait in the triggerer and hold no worker; by default
        ``[operators] default_deferrable``.
    :param job_timeout: with Textract, when to give up; by default ``execution_timeout``, else never.
    """

    template_fields = ("raw", "dt", "password_conn_id", "lakehouse_conn_id")
    ui_color = "#f3e6cf"

    def __init__(
        self,
        *,
        raw: str | None = None,
        dt: str | None = None,
        workers: int = 1,
        password_conn_id: str | None = None,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.raw = raw
        self.dt = dt
        self.workers = workers
        self.password_conn_id = password_conn_id
        self.lakehouse_conn_id = lakehouse_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Read what nothing has read yet.

        :param context: the task's context.
        """
        started = time.monotonic()
        with airflow_errors():
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            documents = self._find(profile.with_raw(self.raw) if self.raw else profile)
        if profile.ocr == TEXTRACT and documents:
            # Not within the block above: deferring is an exception too, and not ours to translate.
            return self._read_with_textract(context, profile, documents)
        with airflow_errors():
            counts = self._read(profile, documents) if documents else {"documents": 0}
        self.log.info("Documents: %s", counts)
        return {**counts, "seconds": round(time.monotonic() - started, 3)}

    def _find(self, profile: Profile) -> list[SourceFile]:
        """Return the documents of the drop, and those extracted from records."""
        from airflow_lakehouse.spark.bronze.scope import Scope
        from airflow_lakehouse.spark.documents.to_read import to_read

        # A template that finds nothing renders the text "None".
        return to_read(profile, Scope(None if self.dt in (None, "", "None") else self.dt))

    def _read(self, profile: Profile, documents: list[SourceFile]) -> dict[str, Any]:
        from airflow_lakehouse.spark.documents.to_read import read

        progress = self._progress(len(documents))
        return read(profile, documents, workers=self.workers, on_progress=progress, password=self._password())

    def _read_with_textract(self, context: Context, profile: Profile, documents: list[SourceFile]) -> dict[str, Any]:
        from airflow_lakehouse.hooks.textract import TextractHook
        from airflow_lakehouse.ocr.store import DocumentToRead
        from airflow_lakehouse.ocr.textract.saved import SavedBatch
        from airflow_lakehouse.ocr.textract.settings import Settings

        with airflow_errors():
            settings, aws_conn_id = split_options(profile.textract_options)
            Settings.of(settings)
            aws = aws_arguments(aws_conn_id, profile.region)
            saved = SavedBatch(TextractHook(**aws).service(), profile.textract_uri, batch_id_of(context))
        return self.read_batch(context, [DocumentToRead.of(one) for one in documents], saved, settings, aws)

    def _password(self) -> str | None:
        """Return the password of documents that need one; it goes into no log and no result."""
        if not self.password_conn_id:
            return None
        password: str | None = BaseHook.get_connection(self.password_conn_id).password
        return password

    def _progress(self, total: int) -> Callable[[object], None]:
        """Return a function that counts documents and logs the count every ten seconds, without naming one."""
        done, last = itertools.count(1), [time.monotonic()]

        def step(_document: object) -> None:
            number = next(done)
            if time.monotonic() - last[0] >= _LOG_SECONDS:
                last[0] = time.monotonic()
                self.log.info("%d of %d documents", number, total)

        return step

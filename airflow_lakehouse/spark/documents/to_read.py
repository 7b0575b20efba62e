"""Which documents the OCR stage reads, those of the drop and those that came inside records; and reading them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.engine import TEXTRACT
from airflow_lakehouse.parsers.documents import DocumentsParser
from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.spark.bronze import discovery
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.documents import attachments
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg
from airflow_lakehouse.spark.storage.local_warehouse import create_local_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_lakehouse.parsing import SourceFile
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.bronze.scope import Scope

PASSWORD_VARIABLE: Final = "LAKEHOUSE_DOCUMENT_PASSWORD"  # noqa: S105 - its name
"""Environment variable with the password of documents that need one."""


def to_read(profile: Profile, scope: Scope) -> list[SourceFile]:
    """Return the documents of a drop, and those extracted from records of which no load has taken a page yet.

    :param profile: the lakehouse and its drop.
    :param scope: which part of the drop; what was extracted is read whatever its day.
    :raises LakehouseError: when the drop or the warehouse cannot be used.
    """
    registry = load_registry(profile.parsers)
    found = discovery.discover(profile, registry, scope)
    documents = [one.file for one in found if one.parser == DocumentsParser.name]
    # Before anything is written below it: a wrong warehouse must be refused while it is still untouched.
    create_local_catalog(profile)
    catalog = load_pyiceberg(profile)
    # Years of attachments that were loaded long ago need no look at their results, one request each. Those in
    # quarantine do: a job of Textract that failed is started again by whoever reads next.
    extracted = Ledger(catalog).unread(attachments.documents(catalog, profile, registry))
    return documents + [one.file for one in extracted]


def read(
    profile: Profile,
    documents: Sequence[SourceFile],
    *,
    workers: int = 1,
    on_progress: Callable[[Any], None],
    password: str | None = None,
) -> dict[str, Any]:
    """Read documents with the engine of the profile, on this machine or with Amazon Textract; return counts.

    :param profile: the lakehouse.
    :param documents: which.
    :param workers: documents read at a time on this machine; Textract's has a window of its own.
    :param on_progress: called after each document.
    :param password: opens documents that need one, on this machine; by default that of :data:`PASSWORD_VARIABLE`.
    :raises LakehouseError: when the engine cannot be used.
    """
    if profile.ocr == TEXTRACT:
        from airflow_lakehouse.ocr.textract import run
        from airflow_lakehouse.ocr.textract.service import own_clients
        from airflow_lakehouse.ocr.textract.settings import Settings

        report = run.read_batch(
            documents,
            textract_dir=profile.textract_uri,
            settings=Settings.of({**profile.textract_options, "aws_conn_id": None}),
            make_client=own_clients(profile.region),
            on_outcome=on_progress,
        )
        return report.counts()
    from airflow_lakehouse.ocr.store import read_batch

    here = read_batch(
        documents,
        textract_dir=profile.textract_uri,
        engine=profile.ocr,
        workers=workers,
        on_progress=on_progress,
        password=password or os.environ.get(PASSWORD_VARIABLE) or None,
    )
    return here.counts()

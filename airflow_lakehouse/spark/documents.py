"""Which documents the OCR stage reads: those of the drop, and those that came inside records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.parsers.documents import DocumentsParser
from airflow_lakehouse.parsing import load_registry
from airflow_lakehouse.spark import attachments, discovery
from airflow_lakehouse.spark.catalog import create_local_catalog, load_pyiceberg
from airflow_lakehouse.spark.ledger import Ledger

if TYPE_CHECKING:
    from airflow_lakehouse.parsing import SourceFile
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.scope import Scope


def to_read(profile: Profile, scope: Scope) -> list[SourceFile]:
    """Return the documents of a drop, and those extracted from records that no load has taken yet.

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
    # Years of attachments that were loaded long ago need no look at their results, one request each.
    extracted = Ledger(catalog).unloaded(attachments.documents(catalog, profile, registry))
    return documents + [one.file for one in extracted]

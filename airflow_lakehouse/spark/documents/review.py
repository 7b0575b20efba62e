"""Pages an engine was not sure of: which they are, and what becomes of what people decide about them.

No text of a page is handled here: people look at the document itself.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.ocr import results, reviews
from airflow_lakehouse.ocr.blocks import OCR, OK
from airflow_lakehouse.ocr.folder import open_folder
from airflow_lakehouse.ocr.reviews import REREAD, Review
from airflow_lakehouse.ocr.store import DocumentToRead, read_batch
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.storage.catalog import find_table, load_pyiceberg
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse.profile import Profile

_COLUMNS = (
    *bronze.FILE_KEY,
    *("doc_id", "page", "pages_in_document", "mean_confidence", "engine", "engine_version", "dt", "source_system"),
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What somebody decided about a page.

    :param document: from :func:`doubtful_pages`.
    :param decision: ``approved``, ``rejected`` or ``reread``.
    :param by: who.
    :param at: when, ISO 8601.
    """

    document: dict[str, Any]
    decision: str
    by: str = ""
    at: str = ""


def doubtful_pages(profile: Profile, below: float, most: int) -> list[dict[str, Any]]:
    """Return pages read by OCR with a mean confidence below a limit that nobody has decided about, the worst first.

    Each is a dict of ``doc_id``, ``page``, ``pages_in_document``, ``confidence``, ``engine``, ``engine_version`` and
    ``sources``: the files with this content, as lists of URI, version, day and source system.

    :param profile: the lakehouse.
    :param below: limit, 0 to 100.
    :param most: at most so many.
    """
    catalog = load_pyiceberg(profile)
    table = find_table(catalog, bronze.DOCS_PAGES.identifier)
    if table is None or table.current_snapshot() is None:
        return []
    wanted = f"status = '{OK}' AND method = '{OCR}' AND mean_confidence < {float(below)!r} AND review IS NULL"
    rows = table.scan(row_filter=wanted, selected_fields=_COLUMNS).to_arrow().to_pylist()
    dead = set(Ledger(catalog).dead_versions())
    pages: dict[tuple[str, int], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["mean_confidence"], row["doc_id"], row["page"], row["source_uri"])):
        if (row["source_uri"], row["source_etag"]) in dead:
            continue
        told = {name: row[name] for name in ("doc_id", "page", "pages_in_document", "engine", "engine_version")}
        page = pages.setdefault(
            (row["doc_id"], row["page"]), {**told, "confidence": round(row["mean_confidence"], 2), "sources": []}
        )
        day = row["dt"].isoformat() if row["dt"] else None
        page["sources"].append([row["source_uri"], row["source_etag"], day, row["source_system"]])
    return list(pages.values())[:most]


def apply(profile: Profile, decided: Iterable[Decided], engine: str) -> dict[str, int]:
    """Store decisions, have documents read again where that was decided, and note all of them to be loaded again.

    The next ``raw_to_bronze`` and ``bronze_to_silver`` give effect to it. To be repeated at will.

    :param profile: the lakehouse.
    :param decided: the decisions.
    :param engine: reads what is to be read again; its result counts, whatever engine the profile names.
    :return: decision to pages.
    :raises OcrError: when the engine is not known.
    :raises SetupError: when what it needs is not installed.
    """
    folder = open_folder(profile.textract_uri)
    by_document: dict[str, list[Decided]] = defaultdict(list)
    for one in decided:
        by_document[one.document["doc_id"]].append(one)
    counts: dict[str, int] = dict.fromkeys(reviews.DECISIONS, 0)
    anew: list[DocumentToRead] = []
    for doc_id, every in by_document.items():
        made = [
            Review(one.document["page"], one.decision, one.document["engine_version"], one.by, one.at) for one in every
        ]
        reviews.write_reviews(folder, doc_id, made)
        for review in made:
            counts[review.decision] += 1
        sources = {tuple(source) for one in every for source in one.document["sources"]}
        if any(one.decision == REREAD for one in every):
            anew += [DocumentToRead(*source) for source in sorted(sources)]
            continue
        for uri, etag, *_ in sources:
            pointer = results.read_pointer(folder, uri, etag)
            if pointer is not None:
                results.note_again(folder, pointer)
    if anew:
        read_batch(anew, textract_dir=profile.textract_uri, engine=engine, pin=True)
    return counts

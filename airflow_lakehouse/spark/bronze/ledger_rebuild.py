"""The ledger made anew from bronze and quarantine, of which it tells.

Every row of bronze and every reject carries file, batch and time; counted, they are what the ledger says. What they
cannot say is whether a load came to its end. A batch is taken for whole where ``ops.reconciliation`` has the counts of
the run that wrote it, and bronze holds exactly as many rows. A file of another batch waits to be loaded again, if it
still is there: that costs a second look at it, and doubles nothing. If it is gone, bronze holds all of it there can be.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.parsing import SourceFile, load_registry
from airflow_lakehouse.spark.bronze import discovery
from airflow_lakehouse.spark.bronze.batch import BATCHES
from airflow_lakehouse.spark.bronze.ledger import Ledger
from airflow_lakehouse.spark.bronze.ledger_rows import DISCOVERED, Entry, as_row, waiting
from airflow_lakehouse.spark.engine.session import STAMP
from airflow_lakehouse.spark.evolve import ensure_tables
from airflow_lakehouse.spark.iceberg import conflicts, run_tags
from airflow_lakehouse.spark.storage.catalog import load_pyiceberg, table_identifiers
from airflow_lakehouse.spark.storage.local_warehouse import checkpoint
from airflow_lakehouse.tables import bronze, ops

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as IcebergTable

    from airflow_lakehouse.parsing import Registry
    from airflow_lakehouse.profile import Profile
    from airflow_lakehouse.spark.bronze.ledger_rows import Key, Row

REBUILT: Final = "rebuilt"
"""Stands for the run of an entry where no snapshot names it any more."""
_FROM_FILES: Final = tuple(column.name for column in (*bronze.FILE, *bronze.LOAD))


@dataclass
class _Held:
    """What bronze holds of one file version.

    :param parser: who read it.
    :param records: its rows, rejects among them.
    :param quarantined: its rejects.
    """

    dt: date | None
    source_system: str
    batch_id: str
    ingested_at: datetime
    parser: str = ""
    records: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class _Loads:
    """What snapshots and counts tell of loads.

    :param run: batch to the run that wrote it first.
    :param whole: batches of which bronze holds all that was read.
    """

    run: dict[str, str]
    whole: frozenset[str]


def rebuild(profile: Profile) -> dict[str, int]:
    """Make ``ops.ingested_files`` anew, the table too if it is gone. Entries of files bronze has no row of are kept.

    :param profile: the lakehouse, with the parsers that filled it.
    :return: ``files``, and how many are in each state.
    :raises ConfigurationError: when the warehouse holds no catalog.
    """
    return rebuild_from(load_pyiceberg(profile), profile)


def rebuild_from(catalog: Catalog, profile: Profile) -> dict[str, int]:
    """Make the ledger anew from bronze as a catalog has it.

    :param catalog: the catalog.
    :param profile: see :func:`rebuild`.
    :return: see :func:`rebuild`.
    """
    registry = load_registry(profile.parsers)
    ensure_tables(catalog, registry.tables.values())
    # Of what another run writes down or loads meanwhile, this knows nothing until it looks again.
    wanted = conflicts.retried(lambda: _rebuild(catalog, registry), ops.INGESTED_FILES.name)
    checkpoint(profile)
    return {"files": len(wanted), **Counter(row["state"] for row in wanted.values())}


def _rebuild(catalog: Catalog, registry: Registry) -> dict[Key, Row]:
    ledger = Ledger(catalog)
    known, held = ledger.entries(), _held(catalog, registry)
    loads, sizes = _loads(catalog, held), discovery.sizes(held)
    # Of a file that holds nothing, or whose load was taken back or never began, bronze cannot tell.
    wanted = {key: row if row["records"] == 0 else waiting(row) for key, row in known.items()}
    for key, one in held.items():
        row = _row(key, one, registry, loads)
        row["size"] = sizes.get(key, known.get(key, {}).get("size"))
        # Bronze cannot tell; where nobody can, the next run that finds the file in its place says so again.
        row["returned_at"] = known.get(key, {}).get("returned_at")
        is_done = _is_done(one, known.get(key), is_whole=one.batch_id in loads.whole)
        wanted[key] = row if is_done or key not in sizes else waiting(row)
    ledger.replace(wanted)
    return wanted


def _is_done(held: _Held, entry: dict[str, Any] | None, *, is_whole: bool) -> bool:
    """Tell whether all of a file is in bronze, as far as this can be known."""
    if entry is None:
        return is_whole
    counted = (entry["records"], entry["quarantined"])
    return entry["state"] != DISCOVERED and (is_whole or counted == (held.records, held.quarantined))


def _row(key: Key, held: _Held, registry: Registry, loads: _Loads) -> dict[str, Any]:
    day = held.dt.isoformat() if held.dt else None
    file = SourceFile(*key, size=0, dt=day, source_system=held.source_system)
    parser = registry.parsers.get(held.parser)
    found = discovery.Found(file, held.parser, parser.version if parser else discovery.UNKNOWN_VERSION)
    entry = Entry(found, DISCOVERED, held.batch_id, held.ingested_at).loaded(held.records, held.quarantined)
    return as_row(entry, loads.run.get(held.batch_id, REBUILT))


def _tables(catalog: Catalog) -> Iterator[tuple[str, IcebergTable]]:
    """Yield the tables that loads fill; what came out of attachments is told by other tables than theirs."""
    for name in table_identifiers(catalog):
        if name.startswith(f"{bronze.QUARANTINE.namespace}.") and name != bronze.ATTACHMENTS.identifier:
            table = catalog.load_table(name)
            if set(_FROM_FILES) <= set(table.schema().column_names):
                yield name, table


def _held(catalog: Catalog, registry: Registry) -> dict[Key, _Held]:
    owners = {table.identifier: parser.name for parser in registry.parsers.values() for table in parser.tables}
    held: dict[Key, _Held] = {}
    for name, table in _tables(catalog):
        is_quarantine = name == bronze.QUARANTINE.identifier
        for row in _counted(table, (*_FROM_FILES, "parser") if is_quarantine else _FROM_FILES):
            key = row["source_uri"], row["source_etag"]
            told = {column.name: row[column.name] for column in bronze.LOAD}
            one = held.setdefault(key, _Held(**told))
            one.parser = one.parser or row.get("parser") or owners.get(name, discovery.UNKNOWN)
            one.records += row["count_all"]
            one.quarantined += row["count_all"] if is_quarantine else 0
    return held


def _counted(table: IcebergTable, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield how often the same values come, batch by batch: a year of rows does not fit into memory."""
    import pyarrow as pa

    for batch in table.scan(selected_fields=columns).to_arrow_batch_reader():
        yield from pa.Table.from_batches([batch]).group_by(list(columns)).aggregate([([], "count_all")]).to_pylist()


def _loads(catalog: Catalog, held: dict[Key, _Held]) -> _Loads:
    batches, first = _stamps(catalog)
    rows: Counter[str] = Counter()
    for one in held.values():
        rows[one.batch_id] += one.records
    counted = _counts(catalog)
    whole: set[str] = set()
    for run, own in batches.items():
        if counted[run]["read"] == counted[run]["loaded"] == sum(rows[batch] for batch in own):
            whole |= own
    return _Loads({batch: run for batch, (_, run) in first.items()}, frozenset(whole))


def _stamps(catalog: Catalog) -> tuple[dict[str, set[str]], dict[str, tuple[int, str]]]:
    """Return the batches each run wrote, and time and id of the run that wrote each batch first."""
    from pyiceberg.table.snapshots import ancestors_of

    batches: dict[str, set[str]] = defaultdict(set)
    first: dict[str, tuple[int, str]] = {}
    for _, table in _tables(catalog):
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
            told = dict(snapshot.summary.additional_properties) if snapshot.summary else {}
            run = told.get(run_tags.RUN_ID, "")
            when = (snapshot.timestamp_ms, run)
            # Before this property there was one batch a load, or one that was told of several.
            stamped = told.get(f"{STAMP}{BATCHES}", told.get(f"{STAMP}batch-id", ""))
            for batch in filter(None, stamped.split(",")):
                batches[run].add(batch)
                first[batch] = min(first.get(batch, when), when)
    return batches, first


def _counts(catalog: Catalog) -> dict[str, Counter[str]]:
    """Return what each run's loads read, and what they then found in bronze."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    rows = catalog.load_table(ops.RECONCILIATION.identifier).scan(row_filter="stage = 'bronze'").to_arrow()
    for row in rows.to_pylist():
        counted[row["run_id"]][row["class"]] += row["rows"]
    return counted

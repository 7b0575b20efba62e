"""The partition spec of a table, as declared. Files keep the spec they were written with, and stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lakehouse.spark.evolve.changes import ADD_PARTITION, DROP_PARTITION
from airflow_lakehouse.spark.iceberg.create import transform_of
from airflow_lakehouse.spark.iceberg.declared import noted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.partitioning import PartitionField
    from pyiceberg.table.metadata import TableMetadata

    from airflow_lakehouse.spark.evolve.changes import Draft
    from airflow_lakehouse.tables import Partition

_Key = tuple[int, str]
"""Id of the source column, and the transform: what a partition field is, whatever it is called."""


def stage(draft: Draft) -> None:
    """Stage the partition fields that are missing, and the end of those that nobody declares any more.

    The order of fields within a spec means nothing, and is left. A table whose spec is not the one we left was
    partitioned by somebody as they need it, and stays so.

    :param draft: the plan, its columns staged.
    """
    if draft.refused:
        # Its columns are not staged as declared, and some would look dropped.
        return
    metadata = draft.metadata
    present = {_key(field): field for field in metadata.spec().fields if str(field.transform) != "void"}
    declared = _declared(draft)
    missing = {key: one for key, one in declared.items() if key not in present}
    extra = {key: field for key, field in present.items() if key not in declared}
    if not missing and not extra:
        return
    if metadata.default_spec_id != noted(metadata.properties).spec_id:
        how = ", ".join(f"{field.transform} of {_source(metadata, field)}" for field in present.values())
        draft.left_alone.append(f"partition spec: set by somebody to {how or 'none'}")
        return
    try:
        _stage(draft, missing, extra)
        draft.staged()
    except ValueError as error:
        draft.refuse("partition spec", f"cannot be changed: {error}", "another transform, or another column")


def _stage(draft: Draft, missing: dict[_Key, Partition], extra: dict[_Key, PartitionField]) -> None:
    metadata = draft.metadata
    with draft.transaction.update_spec() as update:
        for field in extra.values():
            update.remove_field(field.name)
            draft.change(DROP_PARTITION, field.name, f"{field.transform} of {_source(metadata, field)}")
        for key, partition in missing.items():
            name = _name(metadata, key, partition)
            transform = transform_of(partition)
            update.add_field(partition.column, transform, name)
            draft.change(ADD_PARTITION, name, f"{transform} of {partition.column}")


def _key(field: PartitionField) -> _Key:
    return field.source_id, str(field.transform)


def _declared(draft: Draft) -> dict[_Key, Partition]:
    find = draft.schema.find_field
    return {(find(one.column).field_id, str(transform_of(one))): one for one in draft.declared.partitions}


def _source(metadata: TableMetadata, field: PartitionField) -> str:
    return metadata.schema().find_column_name(field.source_id) or f"dropped column {field.source_id}"


def _name(metadata: TableMetadata, key: _Key, partition: Partition) -> str:
    """Return the name of a field that is added.

    One that was dropped and comes back is the same field, by its id, and keeps its name. No two fields share a name,
    though Iceberg would let them over time: ``_partition`` and the metadata tables of Spark show the fields of all
    specs side by side, and then cannot be read.
    """
    former = [field for spec in metadata.specs().values() for field in spec.fields]
    same = next((field.name for field in former if _key(field) == key), None)
    if same:
        return same
    taken = {field.name for field in former} | {name for name in _columns(metadata) if name != partition.column}
    return next(name for name in _candidates(partition) if name not in taken)


def _columns(metadata: TableMetadata) -> list[str]:
    return [field.name for field in metadata.schema().fields]


def _candidates(partition: Partition) -> Iterator[str]:
    yield partition.field_name
    stem = f"{partition.column}_{partition.transform}"
    number = partition.width or 2
    while True:
        yield f"{stem}_{number}"
        number += 1

"""OpenLineage: the tables and drops a job read and wrote, with the snapshots they had then.

Only where ``apache-airflow-providers-openlineage`` is installed; elsewhere nothing is imported and nothing is said.

A table is named ``namespace.table`` in the dataset namespace ``iceberg://lakehouse``, which is the asset's URI, and as
a symlink by where it lies, which is how Spark's own listener names it. Facets: ``version`` (the snapshot id),
``schema`` (names and types) and ``outputStatistics`` of https://openlineage.io/docs/spec/facets/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_lakehouse import tables
from airflow_lakehouse.assets import JOB_TABLES, SCHEME
from airflow_lakehouse.profile import CATALOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_lakehouse.operators.outcome import JobOutcome, TableOutcome
    from airflow_lakehouse.profile import Profile

_NAMESPACE = f"{SCHEME}://{CATALOG_NAME}"
_READS_DROP = "raw_to_bronze"


def operator_lineage(profile: Profile, job: str, written: Iterable[str], outcome: JobOutcome | None) -> Any:
    """Return what OpenLineage's extractor takes from an operator, or None where it is not installed.

    :param profile: the lakehouse.
    :param job: name of the job.
    :param written: namespaces and names of the tables it may change.
    :param outcome: what it changed; None before it has ended.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import Dataset
    except ImportError:
        return None
    inputs = [Dataset(_NAMESPACE, name, facets=_facets(profile, name)) for name in _read_by(job)]
    if job == _READS_DROP and profile.raw:
        inputs.append(Dataset(*_place(profile.raw)))
    changed = {_identifier(name): table for name, table in outcome.tables.items()} if outcome else {}
    outputs = [_output(profile, name, changed.get(name)) for name in sorted({*written, *changed})]
    return OperatorLineage(inputs=inputs, outputs=outputs)


def _output(profile: Profile, name: str, table: TableOutcome | None) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    facets = _facets(profile, name)
    statistics: dict[str, Any] = {}
    if table is not None and table.snapshot_id is not None:
        version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(table.snapshot_id))
        facets["version"] = version
    if table is not None and table.added is not None:
        changed = table.added + (table.updated or 0)
        counts = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=changed)
        statistics["outputStatistics"] = counts
    return OutputDataset(_NAMESPACE, name, facets=facets, outputFacets=statistics)


def _facets(profile: Profile, name: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset, symlinks_dataset

    namespace, _, table = name.partition(".")
    # Glue puts ".db" behind a namespace: https://iceberg.apache.org/docs/latest/aws/#glue-catalog
    folder = f"{namespace}.db" if profile.catalog == "glue" else namespace
    place = symlinks_dataset.Identifier(*_place(f"{profile.warehouse_uri}/{folder}/{table}"), type="LOCATION")
    facets: dict[str, Any] = {"symlinks": symlinks_dataset.SymlinksDatasetFacet(identifiers=[place])}
    for known in tables.ALL:
        if known.identifier == name:
            fields = [schema_dataset.SchemaDatasetFacetFields(one.name, str(one.type)) for one in known.columns]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    return facets


def _read_by(job: str) -> Iterator[str]:
    """Yield the tables a job reads: what the definitions of those it writes say."""
    written = JOB_TABLES.get(job, ())
    read = {name for table in written for name in table.reads}
    yield from sorted({_identifier(name) for name in read} - {table.identifier for table in written})


def _identifier(name: str) -> str:
    return name if "." in name else tables.by_name(name).identifier


def _place(uri: str) -> tuple[str, str]:
    """Return namespace and name of data by where it is: https://openlineage.io/docs/spec/naming/."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return "file", parts.path or uri
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"

"""One upsert with dlt into an Iceberg table; runs in dlt's own environment, and prints its seconds.

Arguments: catalog file, warehouse, name of the table, Parquet file to load, Parquet file that is there before or "-".
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import dlt  # type: ignore[import-not-found]  # in its own environment

KEY = ["source_uri", "source_etag", "source_row", "source_entry"]


def main(catalog: str, warehouse: str, name: str, new: str, old: str) -> None:
    """Fill the table if there is something to fill it with, then load and print the seconds of that alone."""
    dlt.config["iceberg_catalog.iceberg_catalog_name"] = "lakehouse"
    dlt.config["iceberg_catalog.iceberg_catalog_type"] = "sql"
    dlt.config["iceberg_catalog.iceberg_catalog_config"] = {
        "type": "sql",
        "uri": f"sqlite:///{catalog}",
        "warehouse": f"file://{warehouse}",
    }
    with tempfile.TemporaryDirectory() as state:
        pipeline = dlt.pipeline(
            f"bench_{name}",
            pipelines_dir=state,
            destination=dlt.destinations.filesystem(f"file://{warehouse}/dlt"),
            dataset_name="dlt_bench",
        )
        if old != "-":
            pipeline.run(_resource(name, old, "append"))
        started = time.monotonic()
        pipeline.run(_resource(name, new, {"disposition": "merge", "strategy": "upsert"}))
        print(time.monotonic() - started)


def _resource(name: str, path: str, how: Any) -> Any:
    import pyarrow.parquet as pq

    return dlt.resource(pq.read_table(path), name=name, primary_key=KEY, write_disposition=how, table_format="iceberg")


if __name__ == "__main__":
    main(*sys.argv[1:])

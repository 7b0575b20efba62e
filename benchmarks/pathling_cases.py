"""Pathling on the corpus of :mod:`awkward_records`; run by ``fhir_peers.py`` in an environment of its own.

``python pathling_cases.py JAR FOLDER`` writes the corpus and prints, as one JSON list, what became of each case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awkward_records import error_name, write

if TYPE_CHECKING:
    from awkward_records import Case


def _outcome(spark: Any, context: Any, case: Case, path: Path) -> dict[str, Any]:
    try:
        encoded = context.encode(spark.read.text(str(path)), case.type)
        shown = f"cast({case.path or 'NULL'} AS string)"
        rows = encoded.selectExpr("id", f"{shown} AS shown").collect()
    except Exception as error:  # noqa: BLE001 - whatever it fails with is what the table tells
        return {"error": error_name(error)}
    return {"rows": [[row["id"], row["shown"]] for row in rows]}


def main() -> None:
    """Encode every case."""
    from pathling import PathlingContext  # type: ignore[import-not-found]  # in its own environment
    from pyspark.sql import SparkSession

    jar, folder = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "3g")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", jar)
        .config("spark.driver.extraClassPath", jar)
        .getOrCreate()
    )
    context = PathlingContext.create(spark, enable_terminology=False)
    print(json.dumps([_outcome(spark, context, case, path) for case, path in write(Path(folder))]))
    spark.stop()


if __name__ == "__main__":
    main()

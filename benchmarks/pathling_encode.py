"""Pathling encoding NDJSON to Parquet; run by ``fhir_ingest.py`` in an environment of its own.

``python pathling_encode.py JAR DROP TARGET`` prints the seconds it took, without the start of its session.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Encode every type of the drop."""
    from pathling import PathlingContext  # type: ignore[import-not-found]  # in its own environment
    from pyspark.sql import SparkSession

    jar, drop, target = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", jar)
        .config("spark.driver.extraClassPath", jar)
        .getOrCreate()
    )
    context = PathlingContext.create(spark, enable_terminology=False)
    started = time.monotonic()
    for name in ("Patient", "Encounter", "Observation"):
        lines = spark.read.text(f"{drop}/{name}.ndjson.gz").repartition(4)
        context.encode(lines, name).write.parquet(f"{target}/{name}")
    print(time.monotonic() - started)
    spark.stop()


if __name__ == "__main__":
    main()

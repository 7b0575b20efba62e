"""The Spark half: everything that runs on EMR, on Glue or on a laptop, without Airflow.

================ =================================================================================
package          what it holds
================ =================================================================================
jobs/            what operators and the command submit: raw_to_bronze, bronze_to_silver and the others
documents/       documents around both layers: attachments, reading again, reviews, blocks
silver/          the delta, the keys it names, their rows made anew, audited and published together
bronze/          what a drop holds, cut into records, loaded once, counted, or set apart
transforms/      DataFrame -> DataFrame, nothing else
maintenance/     the health of tables, and what is done about it
evolve/          what a release changes in tables that are there
iceberg/         create, MERGE, branch, tag, and read as of a moment
engine/          where Spark runs, and how a session is made there
storage/         files, objects and the catalog, opened without Spark
================ =================================================================================

Beside them: ``bundle`` and ``cluster``, how all this comes to a remote engine and starts there; ``user_code``, jobs
that are not this package's; ``rollback`` and ``restore``, tables set or put back.
"""

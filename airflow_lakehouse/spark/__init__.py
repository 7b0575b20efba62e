"""The Spark half: everything that runs on EMR, on Glue or on a laptop, without Airflow.

================ =================================================================================
module           what it holds
================ =================================================================================
log_format       how jobs log
session          Spark settings of a profile, and the session of a job
catalog          the same catalog through PyIceberg, without Spark
jars             which jars belong to which Spark, and fetching them
connect_server   one Spark Connect server on this machine, shared by jobs, tasks and dbt
discovery        which files a drop holds, and who reads them
ledger           which file versions were loaded
swap             rows replaced through PyIceberg in one commit, or not at all
restore          tables put back whose metadata file is gone
schema           Spark schema, DDL and MERGE text of a table
staging          records cut out of files, typed once, kept until their load is done
load             guarded MERGEs into bronze and silver
transforms/      DataFrame -> DataFrame, nothing else
jobs/            raw_to_bronze and bronze_to_silver
================ =================================================================================
"""

"""Gold: the dbt project's environment, its run, its sources and its tasks in Airflow.

=========== =============================================================================
module      what it holds
=========== =============================================================================
environment the managed environment dbt lives in, apart from Airflow's own
launcher    what is started in that environment in place of ``dbt``
build       one ``dbt build`` of all of gold, skipped where nothing changed
task_group  the same models as Airflow tasks, one a model, through Cosmos
edition     which gold: today's, or one as of a moment in a namespace of its own
invocation  the environment variables dbt is started with
manifest    the part of dbt's manifest from which Airflow draws the tasks
sources     dbt's ``sources`` file, from the table definitions
=========== =============================================================================
"""

from __future__ import annotations

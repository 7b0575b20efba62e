"""What waits in the triggerer while a deferred task holds no worker.

================= ====================================================
module            what it waits for
================= ====================================================
spark_job         the end of a Spark job
raw_drop          files in a raw drop
partition         a partition of an Iceberg table
================= ====================================================

Rules for all of them: blocking calls run in a thread, every exception becomes an event (a trigger that
raises hides its reason from the task), and arguments and events hold no record text.
"""

from __future__ import annotations

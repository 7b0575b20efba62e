"""What waits in the triggerer while a deferred task holds no worker.

================= ====================================================
module            what it waits for
================= ====================================================
spark_job         the end of a Spark job
raw_drop          files, days and new versions of objects in a raw drop
partition         a partition of an Iceberg table
table             commits to an Iceberg table
watch             news of an asset, for as long as it is watched
================= ====================================================

Rules for all of them: blocking calls run in a thread, every exception becomes an event (a trigger that
raises hides its reason from the task), and arguments and events hold no record text.
"""

from __future__ import annotations

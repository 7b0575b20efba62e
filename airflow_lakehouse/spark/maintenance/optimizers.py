"""What AWS Glue maintains by itself: its table optimizers compact a table, expire its snapshots or delete its orphans.

Two that rewrite the same files meet: one of them has worked in vain. A step that an optimizer does is left to it.
https://docs.aws.amazon.com/glue/latest/dg/table-optimizers.html
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.maintenance.plan import COMPACT, DELETES, EXPIRE, ORPHANS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.spark.maintenance.plan import Step

_log = logging.getLogger(__name__)
OPTIMIZERS: Final = {COMPACT: "compaction", DELETES: "compaction", EXPIRE: "retention", ORPHANS: "orphan_file_deletion"}
"""Step to the type of optimizer that does it; nothing of Glue's merges manifests.

https://docs.aws.amazon.com/glue/latest/webapi/API_GetTableOptimizer.html
"""


def left_to_glue(catalog: Catalog, steps: Iterable[Step]) -> dict[Step, str]:
    """Return the steps that Glue does, each with the optimizer that is enabled for its table.

    Glue is asked only about tables of which something is due, and about that alone. Where it does not say, for want of
    permission (``glue:GetTableOptimizer``) or because it is another server that knows no optimizers, nothing is left.

    :param catalog: the catalog; one that is not Glue's has no optimizers.
    :param steps: what is due.
    """
    glue = getattr(catalog, "glue", None)
    if glue is None:
        return {}
    told: dict[tuple[str, str], bool] = {}
    left = {}
    for step in steps:
        kind = OPTIMIZERS.get(step.action)
        if kind is None:
            continue
        if (step.table, kind) not in told:
            told[step.table, kind] = _is_enabled(glue, step.table, kind)
        if told[step.table, kind]:
            left[step] = kind
    return left


def _is_enabled(glue: Any, identifier: str, kind: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    namespace, _, name = identifier.partition(".")
    try:
        table = glue.get_table(DatabaseName=namespace, Name=name)["Table"]
        told = glue.get_table_optimizer(
            CatalogId=table.get("CatalogId", ""), DatabaseName=namespace, TableName=name, Type=kind
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            _log.warning("%s: Glue does not say whether its %s is on (%s)", identifier, kind, error)
        return False
    except BotoCoreError as error:
        _log.warning("%s: Glue does not say whether its %s is on (%s)", identifier, kind, type(error).__name__)
        return False
    return bool(told["TableOptimizer"].get("configuration", {}).get("enabled"))

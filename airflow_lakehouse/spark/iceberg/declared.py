"""What a release declares of a table beside its columns, and what it noted on the table when it last did.

The note is a table property. It tells a setting of ours, which the next release may change, from one that somebody has
made since, which no release may.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.spark.iceberg import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.tables import Table

NOTE: Final = "lakehouse.declared"
"""Table property that holds the note, as JSON."""
_FIRST_SPEC: Final = 0
"""Id of the partition spec a table is made with."""


@dataclass(frozen=True)
class Note:
    """What was declared when the table was last made or changed by a release.

    :param properties: the properties that were set.
    :param spec_id: id of the partition spec that was left.
    """

    properties: dict[str, str] = field(default_factory=dict)
    spec_id: int = _FIRST_SPEC

    def as_text(self) -> str:
        """Return the note as it is stored."""
        return json.dumps(asdict(self), sort_keys=True)


def properties(table: Table) -> dict[str, str]:
    """Return the properties a release declares of a table.

    :param table: the table.
    """
    return {**schema.properties(table), "comment": table.grain}


def note(table: Table) -> str:
    """Return the note of a table that is made now.

    :param table: the table.
    """
    return Note(properties(table)).as_text()


def noted(present: Mapping[str, str]) -> Note:
    """Return the note of a table; of one without, that nothing of it is known to be ours but its first partition spec.

    :param present: its properties.
    """
    try:
        found = json.loads(present.get(NOTE, "{}"))
        return Note({str(name): str(value) for name, value in found["properties"].items()}, int(found["spec_id"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        # Somebody has written to it, or it is not there: then every setting counts as somebody's own.
        return Note()

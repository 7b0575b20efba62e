"""What a release changes in a table, and what it may not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata

    from airflow_lakehouse.tables import Table

CREATE: Final = "create"
ADD: Final = "add"
RENAME: Final = "rename"
WIDEN: Final = "widen"
ALLOW_NULL: Final = "allow_null"
REQUIRE: Final = "require"
REORDER: Final = "reorder"
ADD_PARTITION: Final = "add_partition"
DROP_PARTITION: Final = "drop_partition"
SET: Final = "set_property"
UNSET: Final = "unset_property"

REFUSED: Final = "refused"
CHANGE: Final = "change"
NONE: Final = "none"
ACTIONS: Final = (CREATE, CHANGE, NONE, REFUSED)
"""What becomes of a table as a whole."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a table.

    :param kind: one of those above.
    :param name: the column, with its members after dots; the partition field; or the property.
    :param detail: from what, to what.
    """

    kind: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        """Return the change as one line."""
        return f"{self.kind.replace('_', ' ')} {self.name}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One difference that cannot be made good without touching rows, or without a guess.

    :param name: as of a :class:`Change`.
    :param reason: what is there and what is declared.
    :param legal: what would be accepted.
    """

    name: str
    reason: str
    legal: str


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What a release does to one table.

    :param identifier: namespace and name.
    :param exists: whether there is such a table.
    :param changes: in the order in which they are staged; they are committed as one.
    :param refused: why they are not; with one of these, nothing is written to any table.
    :param left_alone: what is otherwise than declared because somebody made it so, or nobody declares it.
    """

    identifier: str
    exists: bool
    changes: tuple[Change, ...] = ()
    refused: tuple[Refusal, ...] = ()
    left_alone: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """One of :data:`ACTIONS`."""
        if self.refused:
            return REFUSED
        if not self.exists:
            return CREATE
        return CHANGE if self.changes else NONE

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "table": self.identifier,
            "action": self.action,
            "changes": [asdict(change) for change in self.changes],
            "refused": [asdict(refusal) for refusal in self.refused],
            "left_alone": list(self.left_alone),
        }


@dataclass
class Draft:
    """A plan while it is made: its changes are staged in a transaction that is never committed if one is refused.

    :param declared: the table as declared.
    :param transaction: on the table as it is.
    :param metadata: of the table, with what is staged. Asked for anew only when something is: PyIceberg copies all of
        it, every snapshot, each time.
    :param renamed: earlier to new name of the columns that are renamed.
    """

    declared: Table
    transaction: Transaction
    metadata: TableMetadata
    renamed: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)

    @property
    def schema(self) -> Schema:
        """The columns of the table, with what is staged."""
        return self.metadata.schema()

    @property
    def has_rows(self) -> bool:
        """Whether a reader of any snapshot could find a row; main alone does not tell, since it can be set back."""
        return bool(self.metadata.snapshots)

    def staged(self) -> None:
        """Take what was staged into the metadata."""
        self.metadata = self.transaction.table_metadata

    def shown(self, path: tuple[str, ...]) -> str:
        """Return a column or a member of one under the name it will have.

        :param path: as the table knows it.
        """
        return ".".join((self.renamed.get(path[0], path[0]), *path[1:]))

    def change(self, kind: str, name: str, detail: str = "") -> None:
        """Note a change.

        :param kind: see :class:`Change`.
        :param name: see there.
        :param detail: see there.
        """
        self.changes.append(Change(kind, name, detail))

    def refuse(self, name: str, reason: str, legal: str) -> None:
        """Note that something cannot be done.

        :param name: see :class:`Refusal`.
        :param reason: see there.
        :param legal: see there.
        """
        self.refused.append(Refusal(name, reason, legal))

    def plan(self) -> TablePlan:
        """Return what was noted."""
        noted = tuple(self.changes), tuple(self.refused), tuple(self.left_alone)
        return TablePlan(self.declared.identifier, True, *noted)

"""When maintenance of a table is due."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ORPHAN_DAYS: Final = 3.0
"""Age from which a file that nothing names is an orphan. Iceberg's own default: no commit is under way for so long."""
_SHORTEST_ORPHAN_DAYS: Final = 1.0
_LONGEST_DAYS: Final = 36_500
_MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """Thresholds: below them nothing is done, and Spark is not started.

    :param tables: names of the tables it is about, with or without the namespace; all when empty.
    :param min_input_files: small data files in one partition that are worth merging; fewer are left as they are. A file
        is small below three quarters of the table's target size (``write.target-file-size-bytes``).
    :param max_delete_ratio: share of a table's rows, 0 to 1, that delete files may take away before the data files they
        belong to are rewritten.
    :param max_stray_deletes: delete files that name no data file any more, or that could be one with another.
    :param max_spare_manifests: manifests more than their bytes need, at the table's target size.
    :param snapshot_days: age in days up to which every snapshot is kept.
    :param keep_snapshots: newest snapshots of the main branch that are kept, however old.
    :param min_expired: snapshots that must be free to go before any goes.
    :param orphan_days: age in days from which files that nothing names are removed, at least 1: younger ones may belong
        to a commit under way. None leaves them, and lists no storage.
    :raises ConfigurationError: for a value that is not legal.
    """

    tables: tuple[str, ...] = ()
    min_input_files: int = 5
    max_delete_ratio: float = 0.1
    max_stray_deletes: int = 10
    max_spare_manifests: int = 30
    snapshot_days: float = 5.0
    keep_snapshots: int = 10
    min_expired: int = 10
    orphan_days: float | None = None

    def __post_init__(self) -> None:
        """Read what a template or the command line gave as text, and refuse what makes no sense."""
        for field in fields(self):
            object.__setattr__(self, field.name, _read(field.name, getattr(self, field.name)))
        # One file merged with nothing is rewritten for ever.
        _within("min_input_files", self.min_input_files, 2, _MANY)
        for name in ("max_stray_deletes", "max_spare_manifests", "keep_snapshots", "min_expired"):
            _within(name, getattr(self, name), 1, _MANY)
        _within("snapshot_days", self.snapshot_days, 0, _LONGEST_DAYS)
        if not 0 < self.max_delete_ratio <= 1:
            raise ConfigurationError(
                f"max_delete_ratio is {self.max_delete_ratio}", legal="more than 0, and at most 1, such as 0.1"
            )
        if self.orphan_days is not None:
            _within("orphan_days", self.orphan_days, _SHORTEST_ORPHAN_DAYS, _LONGEST_DAYS)

    def is_about(self, identifier: str) -> bool:
        """Tell whether a table is maintained.

        :param identifier: namespace and name.
        """
        return not self.tables or not {identifier, identifier.partition(".")[2]}.isdisjoint(self.tables)

    def as_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values; :meth:`from_dict` reads it back."""
        return {**asdict(self), "tables": list(self.tables)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaintenancePolicy:
        """Build a policy from JSON values.

        :param values: fields of this class; those left out have their default.
        :raises ConfigurationError: for a field that does not exist, or a value that is not legal.
        """
        legal = [field.name for field in fields(cls)]
        strangers = sorted(set(values) - set(legal))
        if strangers:
            raise ConfigurationError(f"a policy has no {', '.join(strangers)}", legal=", ".join(legal))
        return cls(**values)

    @classmethod
    def from_settings(cls, settings: Iterable[str]) -> MaintenancePolicy:
        """Build a policy from texts such as ``snapshot_days=3``.

        :param settings: name and value of fields of this class.
        :raises ConfigurationError: as :meth:`from_dict`, and for a text without ``=``.
        """
        given = [setting.partition("=") for setting in settings]
        bare = [name for name, equals, _ in given if not equals]
        if bare:
            raise ConfigurationError(f"{bare[0]!r} sets nothing", legal="NAME=VALUE, such as snapshot_days=3")
        return cls.from_dict({name: value for name, _, value in given})


def _read(name: str, value: Any) -> Any:
    if name == "tables":
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
    if name == "orphan_days" and value in (None, "", "None"):
        return None
    kind = int if name in _COUNTS else float
    try:
        return kind(value)
    except (OverflowError, TypeError, ValueError) as error:
        legal = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{name} is {value!r}", legal=legal) from error


_COUNTS: Final = ("min_input_files", "max_stray_deletes", "max_spare_manifests", "keep_snapshots", "min_expired")


def _within(name: str, value: float, least: float, most: float) -> None:
    # Written so that NaN, which is neither more nor less than anything, is refused.
    if not least <= value <= most:
        raise ConfigurationError(f"{name} is {value}", legal=f"{least:g} to {most:g}")

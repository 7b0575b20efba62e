"""What is due for a table, in the order in which it must be done, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.spark.maintenance.health import DELETION_VECTORS
from airflow_lakehouse.spark.maintenance.history import expirable

if TYPE_CHECKING:
    from airflow_lakehouse.spark.maintenance.health import TableHealth
    from airflow_lakehouse.spark.maintenance.history import History
    from airflow_lakehouse.spark.maintenance.policy import MaintenancePolicy

COMPACT: Final = "rewrite_data_files"
DELETES: Final = "rewrite_position_delete_files"
MANIFESTS: Final = "rewrite_manifests"
EXPIRE: Final = "expire_snapshots"
ORPHANS: Final = "remove_orphan_files"
ORDER: Final = (COMPACT, DELETES, MANIFESTS, EXPIRE, ORPHANS)
"""Iceberg's procedures in the order of the steps: each leaves behind what a later one takes away."""
REWRITES: Final = (COMPACT, DELETES, MANIFESTS)
"""Those that write the table anew; what it says must be the same after them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    :param table: namespace and name of the table.
    :param action: one of :data:`ORDER`.
    :param reason: why it is due, with the threshold.
    :param options: of the procedure, by name.
    :param snapshots: ids that go, oldest first, for :data:`EXPIRE` alone.
    :param is_sorted: whether rows are put into the order the table declares, for :data:`COMPACT` alone: files that are
        merely put together lose it, and readers open all of them for what lay in one.
    """

    table: str
    action: str
    reason: str
    options: tuple[tuple[str, str], ...] = ()
    snapshots: tuple[int, ...] = field(default=(), repr=False)
    is_sorted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the step as JSON values; of the snapshots, how many."""
        return {"table": self.table, "action": self.action, "reason": self.reason, "snapshots": len(self.snapshots)}


def plan_table(
    health: TableHealth, history: History, needed: frozenset[int], policy: MaintenancePolicy
) -> tuple[Step, ...]:
    """Return the steps that are due for a table, in order; none for most tables on most days.

    Every threshold is about what its step takes away, so that a table that has been maintained is not maintained again
    until something has come to it.

    :param health: its state.
    :param history: its snapshots.
    :param needed: ids of snapshots that consumers need, see
        :func:`airflow_lakehouse.spark.maintenance.history.needed_by_consumers`.
    :param policy: the thresholds.
    """
    if history.head is None or not policy.is_about(health.identifier):
        return ()
    going = tuple(snapshot.id for snapshot in expirable(history, needed, policy, health.measured_at))
    compaction = _compaction(health, policy)
    reasons = {
        COMPACT: compaction,
        DELETES: _deletes(health, policy, is_compacted=bool(compaction)),
        MANIFESTS: _at_limit(
            health.spare_manifests, policy.max_spare_manifests, f"of {health.manifests} manifests could be fewer"
        ),
        EXPIRE: _at_limit(len(going), policy.min_expired, f"of {health.snapshots} snapshots are needed by nobody"),
        ORPHANS: _orphans(health, policy),
    }
    options = {COMPACT: _compaction_options(health, policy), DELETES: _ALL_DELETES}
    return tuple(
        Step(
            health.identifier,
            action,
            reason,
            options.get(action, ()),
            snapshots=going if action == EXPIRE else (),
            is_sorted=health.is_sorted and action == COMPACT,
        )
        for action in ORDER
        if (reason := reasons[action])
    )


_ALL_DELETES: Final = (("rewrite-all", "true"),)
"""A partition with a single delete file that nothing needs would be passed over, and be due again tomorrow."""


def _compaction_options(health: TableHealth, policy: MaintenancePolicy) -> tuple[tuple[str, str], ...]:
    options = {"min-input-files": str(policy.min_input_files), "remove-dangling-deletes": "true"}
    if _has_too_many_deletes(health, policy):
        # Every data file with a delete file: rewriting the worst alone could leave the table at its limit.
        options["delete-file-threshold"] = "1"
    return tuple(options.items())


def _has_too_many_deletes(health: TableHealth, policy: MaintenancePolicy) -> bool:
    return health.delete_ratio >= policy.max_delete_ratio


def _compaction(health: TableHealth, policy: MaintenancePolicy) -> str:
    mergeable = sum(count for count in health.small_by_partition if count >= policy.min_input_files)
    reasons = []
    if mergeable:
        reasons.append(
            f"{mergeable} of {health.data_files} data files are small and lie {policy.min_input_files} or more to a"
            " partition"
        )
    if _has_too_many_deletes(health, policy):
        reasons.append(
            f"delete files take away {health.delete_ratio:.1%} of its rows (limit {policy.max_delete_ratio:.1%})"
        )
    return "; ".join(reasons)


def _deletes(health: TableHealth, policy: MaintenancePolicy, *, is_compacted: bool) -> str:
    if health.format_version >= DELETION_VECTORS or not health.delete_files:
        return ""
    if is_compacted:
        return f"delete files (now {health.delete_files}) may name files that are merged by then"
    return _at_limit(
        health.stray_deletes, policy.max_stray_deletes, f"of {health.delete_files} delete files are not needed"
    )


def _orphans(health: TableHealth, policy: MaintenancePolicy) -> str:
    if policy.orphan_days is None or health.orphans is None or not health.orphans.files:
        return ""
    size = health.orphans.bytes / 2**20
    return f"{health.orphans.files} files ({size:.1f} MiB) older than {policy.orphan_days:g} days are named by nothing"


def _at_limit(count: int, limit: int, what: str) -> str:
    return f"{count} {what} (limit {limit})" if count >= limit else ""

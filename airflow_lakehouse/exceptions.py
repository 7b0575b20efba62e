"""The errors of this package, in one tree.

::

    LakehouseError
    ├── UsageError                what was asked for cannot be done; the caller can mend it     (exit 2)
    │   ├── InputError            the raw drop is absent, empty or cannot be read
    │   ├── ConfigurationError    a profile, connection or option is wrong
    │   ├── SetupError            Java, a jar or an optional package is missing
    │   ├── OcrError              an engine for reading pages is unknown, or is not installed
    │   ├── TableNotFoundError    no such table in this warehouse
    │   ├── SnapshotNotFoundError no such run, tag or time, or its snapshots are gone
    │   └── DownstreamAheadError  a rollback would leave a table ahead of what it reads
    ├── TableContractError        a table definition contradicts itself, or a table cannot become what it says
    ├── ParserError               a parser cannot be loaded, or broke its contract
    ├── TableLostError            the catalog names a table whose metadata file is gone or broken
    ├── EngineError               the Spark engine cannot be started or reached
    │   ├── ThrottledError        the service is asked too often, and still was after a while of waiting
    │   ├── QuotaError            the service runs as much as it may; there is room again later
    │   └── CredentialsError      the service does not take the credentials, or they have expired
    ├── JobError                  a job ended without a result
    │   ├── JobFailedError        the code of the job itself failed
    │   ├── JobLostError          the job is gone, or what it ran on is: a driver, a machine, an application
    │   ├── MemoryExceededError   the driver or an executor needed more memory than it had
    │   ├── JobTimeoutError       the job took longer than it may, and was stopped
    │   ├── JobCancelledError     somebody stopped it
    │   ├── ConflictError         another run committed to a table after this one had read it
    │   └── SourceReadError       the disk or the network failed while a file was read, or the file changed meanwhile
    └── AuditError                counts or checks do not hold; the run stops so that somebody looks (exit 3)
        ├── BadRatioError         more records were rejected than the run allows
        ├── CheckFailedError      rows of silver fail a check of their table; readers do not see them
        ├── ReconciliationError   records went missing or were doubled
        └── MaintenanceError      a rewrite changed what a table says; it was rolled back

Every message says what was given, what is legal, and what to do. No message carries the text of a
record or document: logs and Airflow's XCom are not places for patient data. All of them survive
pickling, because Airflow and Spark carry exceptions between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LakehouseError(Exception):
    """Root of every error this package raises on purpose.

    :param message: what happened, with what was given.
    :param legal: what would have been accepted.
    :param remedy: what to do about it.
    """

    exit_code: ClassVar[int] = 1
    """What the ``lakehouse`` command exits with when this error ends a run."""

    def __init__(self, message: str, *, legal: str | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.legal = legal
        self.remedy = remedy
        super().__init__(self._render())

    def _render(self) -> str:
        parts = [self.message.rstrip(".") + "."]
        if self.legal:
            parts.append(f"Legal: {self.legal.rstrip('.')}.")
        if self.remedy:
            parts.append(f"Remedy: {self.remedy.rstrip('.')}.")
        return " ".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the keyword arguments; the default would pass the rendered text as message."""
        return _rebuild, (type(self), self.message, self.legal, self.remedy)


def _rebuild(cls: type[LakehouseError], message: str, legal: str | None, remedy: str | None) -> LakehouseError:
    return cls(message, legal=legal, remedy=remedy)


class UsageError(LakehouseError):
    """What was asked for cannot be done as asked, and the caller can mend it."""

    exit_code = 2


class InputError(UsageError):
    """The raw drop is absent, empty or cannot be read."""


class ConfigurationError(UsageError):
    """A profile, a connection or an option is wrong."""


class SetupError(UsageError):
    """Java, a jar or an optional package is missing on this machine."""


class TableNotFoundError(UsageError):
    """The warehouse has no such table."""


class SnapshotNotFoundError(UsageError):
    """The warehouse knows no such run, tag or time, or what it was then has expired."""


class DownstreamAheadError(UsageError):
    """A rollback would leave a table that holds what the tables it reads no longer do."""


class TableContractError(LakehouseError):
    """A table definition contradicts itself, which is found when it is imported; or a table cannot become what it says.

    Of the latter nothing was written to any table.
    """


class ParserError(LakehouseError):
    """A parser cannot be loaded or broke its contract."""


class OcrError(UsageError):
    """An engine for reading pages is unknown, or is not installed."""


class TableLostError(LakehouseError):
    """The catalog names a table whose metadata file is gone or broken: nothing of the table can be read or written."""


class EngineError(LakehouseError):
    """The Spark engine cannot be started or reached."""


class ThrottledError(EngineError):
    """A service says that it is asked too often, or is not there at all, and still says so after a while of waiting."""


class QuotaError(EngineError):
    """A service runs as many jobs, or as large ones, as the account may; there is room again when others have ended."""


class CredentialsError(EngineError):
    """A service does not take the credentials, or they have expired; a job that runs goes on without them."""


class JobError(LakehouseError):
    """A job ended without a result."""


class JobFailedError(JobError):
    """The code of a job failed, in a way this package knows no other class for."""


class JobLostError(JobError):
    """A job is gone, or what it ran on: nothing is known to be wrong with the job itself."""


class MemoryExceededError(JobError):
    """The driver or an executor of a job needed more memory than it had."""


class JobTimeoutError(JobError):
    """A job took longer than it may, and was stopped."""


class JobCancelledError(JobError):
    """A job was stopped from outside."""


class ConflictError(JobError):
    """Another run committed to a table after this one had read it; what is left to do must be looked at again."""


class SourceReadError(JobError):
    """A file could not be read as it was listed: the disk or the network failed, or somebody wrote to it meanwhile.

    Nothing is wrong with the file: the load is tried again.
    """


class AuditError(LakehouseError):
    """A check does not hold. Nothing is lost; the run stops so that somebody looks."""

    exit_code = 3


class BadRatioError(AuditError):
    """More records were rejected than the run allows; what could be loaded and what could not are written."""


class CheckFailedError(AuditError):
    """Rows of silver fail a check of their table. They are on a branch, and readers see what they saw before."""


class ReconciliationError(AuditError):
    """Records in and records out do not add up."""


class MaintenanceError(AuditError):
    """A rewrite of a table changed what it says. The table is back at what was before, unless the message says not."""

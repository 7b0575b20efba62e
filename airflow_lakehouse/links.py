"""Links from a task to its job: the service's console, the driver's log, the Spark UI.

Their addresses are stored as soon as the job is started, so that they are there while it runs, also for a task that
pushes no result. An address names a job and carries no token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse._compat import BaseOperatorLink, read_xcom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse._compat import Context


class _JobLink(BaseOperatorLink):
    """A link whose address the operator has stored."""

    @property
    def xcom_key(self) -> str:
        """Where the address is stored; Airflow 3 reads it from there."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, or nothing where the runner has none.

        :param operator: the task.
        :param ti_key: which attempt of which run.
        """
        known = getattr(operator, "job_links", {}).get(self.name)
        return str(known or read_xcom(ti_key, self.xcom_key) or "")


class JobConsoleLink(_JobLink):
    """The job in the console of the service that runs it."""

    name = "Console"


class JobLogsLink(_JobLink):
    """The driver's log."""

    name = "Logs"


class SparkUiLink(_JobLink):
    """Spark's own pages about the job."""

    name = "Spark UI"


LINKS: Final = (JobConsoleLink(), JobLogsLink(), SparkUiLink())


def push_links(context: Context, addresses: Mapping[str, str]) -> None:
    """Store the addresses of a job's links.

    :param context: the task's context.
    :param addresses: label to URL, as :meth:`SparkRunner.links` gives them.
    """
    push = getattr(context["ti"], "xcom_push", None)
    named = named_links(addresses)
    for link in LINKS:
        if link.name in named and push:
            push(key=link.xcom_key, value=named[link.name])


def named_links(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return addresses by the names of the links; a label of no link, such as ``Glue run``, is a service's console.

    :param addresses: label to URL.
    """
    ours = {link.name for link in LINKS}
    return {label if label in ours else JobConsoleLink.name: address for label, address in addresses.items()}

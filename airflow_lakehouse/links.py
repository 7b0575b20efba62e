"""Links from a task to what it has elsewhere: a job's console, log and Spark UI, or a batch of documents.

Their addresses are stored as soon as the work is started, so that they are there while it runs, also for a task that
pushes no result. An address carries no token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_lakehouse._compat import BaseOperatorLink, read_xcom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse._compat import Context

_S3_CONSOLE: Final = "https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}"


class _StoredLink(BaseOperatorLink):
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
        # Who has started the job knows all its links; only another process has to ask for them.
        known = getattr(operator, "job_links", {})
        return str(known.get(self.name, "") if known else read_xcom(ti_key, self.xcom_key) or "")


class TextractReportLink(_StoredLink):
    """The batch and its report, in the console of S3. Stored before the batch begins."""

    name = "Textract batch"


class JobConsoleLink(_StoredLink):
    """The job in the console of the service that runs it."""

    name = "Console"


class JobLogsLink(_StoredLink):
    """The driver's log."""

    name = "Logs"


class SparkUiLink(_StoredLink):
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


def push_folder(context: Context, uri: str) -> None:
    """Store the address of a batch's folder; one of this machine has none.

    :param context: the task's context.
    :param uri: of the folder.
    """
    push = getattr(context.get("ti"), "xcom_push", None)
    if push is None or not uri.startswith("s3://"):
        return
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    push(key=TextractReportLink().xcom_key, value=_S3_CONSOLE.format(bucket=bucket, prefix=quote(prefix)))

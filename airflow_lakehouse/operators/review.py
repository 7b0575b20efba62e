"""Let people look at pages that an engine was not sure of, through Airflow's human-in-the-loop tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse._compat import AirflowException, BaseOperator
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.ocr.reviews import APPROVED, REJECTED, REREAD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_lakehouse._compat import Context

try:
    from airflow.providers.standard.operators.hitl import HITLOperator
except (ImportError, AirflowException):  # without the standard provider, or before Airflow 3.1: the provider refuses
    HITLOperator = None

HAS_HUMAN_IN_THE_LOOP: Final = HITLOperator is not None
"""Whether this Airflow has human-in-the-loop tasks; :class:`ReviewPageOperator` is there only then."""
CHOICES: Final = {"Approve": APPROVED, "Reject": REJECTED, "Read with the other engine": REREAD}
"""What a person may choose, to what it is stored as."""


class FindDoubtfulPagesOperator(BaseOperator):
    """Find pages read with little confidence that nobody has decided about.

    Returns a list, the worst first, for ``ReviewPageOperator.partial(...).expand(document=...)``: identifiers, places
    and confidence, no text.

    :param below: limit of a page's mean confidence, 0 to 100. (templated)
    :param most: at most so many pages.
    :param lakehouse_conn_id: connection with the profile. (templated)
    """

    template_fields = ("below", "lakehouse_conn_id")
    ui_color = "#f3e6cf"

    def __init__(
        self, *, below: float | str = 85.0, most: int = 50, lakehouse_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.below = below
        self.most = most
        self.lakehouse_conn_id = lakehouse_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow passes it
        """Look for them.

        :param context: the task's context.
        """
        from airflow_lakehouse.spark.documents.review import doubtful_pages

        with airflow_errors():
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            found = doubtful_pages(profile, float(self.below), self.most)
        self.log.info("Pages below %s: %d", self.below, len(found))
        return found


if HAS_HUMAN_IN_THE_LOOP:

    class ReviewPageOperator(HITLOperator):  # type: ignore[misc]  # the provider ships no types here
        """Ask a person about one page: approve it, reject it, or have another engine read the document.

        Returns the page with the ``decision``, who made it (``by``) and when (``at``). What else a human-in-the-loop
        task takes, such as ``assigned_users`` and ``response_timeout``, can be given.

        :param document: one page of :class:`FindDoubtfulPagesOperator`; to be expanded over.
        """

        ui_color = "#f3e6cf"

        def __init__(self, *, document: dict[str, Any], **kwargs: Any) -> None:
            self.document = document
            kwargs.setdefault("subject", f"Page {document['page']} of {document['pages_in_document']}")
            kwargs.setdefault("body", _body(document))
            kwargs.setdefault("options", list(CHOICES))
            super().__init__(**kwargs)

        def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
            """Say what was decided, and about which page: a list of answers alone may lack one.

            :param context: the task's context.
            :param event: the answer.
            """
            answer: dict[str, Any] = super().execute_complete(context, event)
            user = answer.get("responded_by_user") or {}
            return {
                "document": self.document,
                "decision": CHOICES[answer["chosen_options"][0]],
                "by": str(user.get("name") or user.get("id") or ""),
                "at": str(answer.get("responded_at") or ""),
            }


def _body(document: dict[str, Any]) -> str:
    files = "\n".join(f"- `{source[0]}`" for source in document["sources"])
    return f"Read by {document['engine']} with a mean confidence of {document['confidence']:g} of 100.\n\n{files}"


class ApplyReviewsOperator(BaseOperator):
    """Store what was decided, and have documents read again by another engine where that was chosen.

    The jobs ``raw_to_bronze`` and ``bronze_to_silver``, run after it, give effect to it: silver loses the blocks of
    rejected pages, and the blocks of a document that was read again are those of the new reading.

    Returns how many pages were ``approved``, ``rejected`` and are ``reread``.

    :param answers: what the tasks of :class:`ReviewPageOperator` returned. (templated)
    :param engine: the other engine. (templated)
    :param lakehouse_conn_id: connection with the profile. (templated)
    """

    template_fields = ("answers", "engine", "lakehouse_conn_id")
    ui_color = "#f3e6cf"

    def __init__(
        self,
        *,
        answers: Iterable[dict[str, Any]],
        engine: str = "tesserocr",
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.answers = answers
        self.engine = engine
        self.lakehouse_conn_id = lakehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - Airflow passes it
        """Store and read.

        :param context: the task's context.
        """
        from airflow_lakehouse.spark.documents.review import Decided, apply

        with airflow_errors():
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            counts = apply(profile, [Decided(**answer) for answer in self.answers or () if answer], self.engine)
        self.log.info("Decided: %s", counts)
        return counts

"""Read the pages of the documents in a raw drop, so that the load finds them read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_lakehouse._compat import BaseOperator
from airflow_lakehouse.hooks.lakehouse import DEFAULT_CONN_ID, LakehouseHook
from airflow_lakehouse.operators.edge import airflow_errors

if TYPE_CHECKING:
    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.profile import Profile

_LOG_SECONDS = 10.0


class ReadDocumentsOperator(BaseOperator):
    """Read every document of a drop, page by page, with the connection's OCR engine.

    What was read is stored under the profile's ``textract`` root, keyed by the document's content: a document that was
    read before is not read again. One that cannot be read does not fail the task; the load quarantines it.

    Returns counts only: ``documents``, ``read``, ``reused``, ``failed``, ``pages`` and ``seconds``.

    :param raw: root of the drop; by default the connection's. (templated)
    :param dt: one day, ``YYYY-MM-DD``; by default all of them. (templated)
    :param workers: documents read at a time.
    :param lakehouse_conn_id: connection with the profile. (templated)
    """

    template_fields = ("raw", "dt", "lakehouse_conn_id")
    ui_color = "#f3e6cf"

    def __init__(
        self,
        *,
        raw: str | None = None,
        dt: str | None = None,
        workers: int = 1,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.raw = raw
        self.dt = dt
        self.workers = workers
        self.lakehouse_conn_id = lakehouse_conn_id

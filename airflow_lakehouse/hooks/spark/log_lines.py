"""What of a driver's log may be seen in Airflow: a Spark error quotes the value it failed on, perhaps a patient's."""

from __future__ import annotations

import re
from typing import Final

_OWN: Final = re.compile(r"(?:\S+ )?(?:\S+ )?\[?(?:INFO|WARNING|ERROR)\]? +(?:airflow_lakehouse|lakehouse)\b")
"""A line of this package's own loggers, which never say what is in a record."""


def own_lines(text: str) -> list[str]:
    """Return the lines of a log that this package wrote.

    :param text: whole lines.
    """
    return [line for line in text.splitlines() if _OWN.match(line)]

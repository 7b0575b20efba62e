"""Started in the managed environment in place of ``dbt``; takes the same arguments.

A copy of this file is the program ``lakehouse-dbt`` there, so it uses nothing of this package. dbt's session
method neither stops its Spark session nor cancels what runs in it: the shared server would keep the one, and go
on with the other after the Airflow task was killed. This program does both.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from functools import partial
from typing import Any

RETRIES = 5
"""Attempts to reach the server: 17 s. The client's own 15 go on for ten minutes after the engine has died."""
GRACE_SECONDS = 20
"""How long dbt may take to wind down after a signal."""


def main() -> None:
    """Run dbt with the arguments of this process; exits with dbt's exit code."""
    # dbt asks for Hive support on every statement; a Connect server answers each time that it is static.
    warnings.filterwarnings("ignore", message="Failed to set spark.sql.catalogImplementation")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    _retry_less()
    from dbt.cli.main import cli

    try:
        cli()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        session = _session()
        if session is not None:
            # The server may be gone already; then there is nothing to release.
            _quietly(session.stop)


def _interrupt(number: int, _frame: object) -> None:
    """Stop what Spark runs for this process, then let dbt wind down."""
    signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_stop, args=(128 + number,), daemon=True).start()
    raise KeyboardInterrupt


def _stop(code: int) -> None:
    session = _session()
    if session is not None:
        # A thread of its own: with the engine gone, this call would keep the signal from being served.
        interrupt = threading.Thread(target=partial(_quietly, session.interruptAll), daemon=True)
        interrupt.start()
    # dbt waits for its threads, and those may wait for an engine that never answers.
    time.sleep(GRACE_SECONDS)
    os._exit(code)


def _quietly(call: Any) -> None:
    with suppress(Exception):
        call()


def _retry_less() -> None:
    """Let the Connect client give up on a dead server in seconds."""
    with suppress(ImportError, KeyError):
        from pyspark.sql.connect.client import core

        setattr(core, "DefaultPolicy", partial(vars(core)["DefaultPolicy"], max_retries=RETRIES))  # noqa: B010 - its own import


def _session() -> Any:
    module = sys.modules.get("pyspark.sql.connect.session")
    return module.SparkSession._get_default_session() if module else None  # noqa: SLF001 - no public way from another thread


if __name__ == "__main__":
    main()

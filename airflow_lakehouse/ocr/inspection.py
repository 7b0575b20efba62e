"""What a document is, without reading it: asked of the process that opens documents."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.ocr.child import INSPECT
from airflow_lakehouse.ocr.reader import ENGINE_CRASHED, STARTUP_SECONDS, Gone

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_lakehouse.ocr.reader import Worker


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a document is, as far as the process that opened it could tell.

    :param pages: how many it has.
    :param needed_password: it could not be opened without one.
    :param is_xfa: a static XFA form, which PDFium draws.
    :param sizes: width and height of each page; points, of an image pixels; (0, 0) for one that cannot be measured.
    :param born_digital: 1-based pages whose text layer can be believed, where that was asked for.
    :param reason: UPPER_SNAKE code, where it cannot be opened.
    :param detail: what was wrong.
    """

    pages: int = 0
    needed_password: bool = False
    is_xfa: bool = False
    sizes: tuple[tuple[float, float], ...] = ()
    born_digital: tuple[int, ...] = ()
    reason: str | None = None
    detail: str = ""


def inspect(
    worker: Worker, path: Path, *, password: str | None = None, born_digital: bool = False, tries: int = 2
) -> Inspected:
    """Return what a document is; never raises for what is in it.

    :param worker: drives the process.
    :param path: the file, of a known format.
    :param password: opens the document, where it needs one.
    :param born_digital: look for pages whose text layer can be believed.
    :param tries: processes that may be lost; the first may have been killed for another document's memory, or idle.
    :raises OcrError: when the worker was stopped.
    :raises SetupError: when what is needed is not installed.
    """
    found: dict[str, Any] = {}
    sizes: list[tuple[float, float]] = []
    digital: list[int] = []
    ends = time.monotonic() + worker.limits.document_seconds
    try:
        worker.request({"do": INSPECT, "path": str(path), "password": password, "born_digital": born_digital})
        extra = STARTUP_SECONDS
        while True:
            event = worker.event(min(ends, time.monotonic() + worker.limits.page_seconds + extra))
            extra = 0.0
            match event["event"]:
                case "measured":
                    sizes.append((float(event["size"][0]), float(event["size"][1])))
                    digital += [event["page"]] if event["born_digital"] else []
                case "opened":
                    found = {name: event[name] for name in ("pages", "needed_password", "is_xfa")}
                case "rejected":
                    return Inspected(event["pages"], reason=event["reason"], detail=event["detail"])
                case _:
                    return Inspected(**found, sizes=tuple(sizes), born_digital=tuple(digital))
    except Gone as gone:
        if tries > 1 and gone.reason == ENGINE_CRASHED:
            return inspect(worker, path, password=password, born_digital=born_digital, tries=tries - 1)
        return Inspected(reason=gone.reason, detail="the process that opened it was lost")
    except BaseException:
        worker.close()
        raise

"""One reader of Textract's responses, in a process of its own: ``python textract_reader.py NAME TIMES FILE...``.

A file holds the responses of one document, one a line. Prints one JSON line a file: processor seconds of the fastest of
so many readings, or what it raised. Parsing JSON is in nobody's time. Ours takes responses one after the other, as they
come; the peers take a document as one dict, which is made before and put out of the garbage collector's sight.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

Reader = Callable[[dict[str, Any]], object]


def ours(path: Path) -> float:
    """Flatten the responses of a file, every page and block; return the seconds it took."""
    from airflow_lakehouse.ocr.flatten import Origin, pages_of

    parsing = 0.0

    def responses() -> Iterator[dict[str, Any]]:
        nonlocal parsing
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                before = time.process_time()
                response = json.loads(line)
                parsing += time.process_time() - before
                yield response

    started = time.process_time()
    for read in pages_of(responses(), Origin("0" * 64)):
        assert read.result
    return time.process_time() - started - parsing


def whole(path: Path) -> dict[str, Any]:
    """Return the responses of a file as one."""
    responses = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if all(response.get("Blocks") is None for response in responses):
        return dict(responses[0])
    return {**responses[0], "Blocks": [block for response in responses for block in response.get("Blocks") or ()]}


def peer(read: Reader, path: Path) -> float:
    """Read the responses of a file with a peer; return the seconds it took."""
    response = whole(path)
    gc.collect()
    gc.freeze()
    started = time.process_time()
    try:
        read(response)
    finally:
        gc.unfreeze()
    return time.process_time() - started


def textractor() -> Reader:
    """Return amazon-textract-textractor."""
    from textractor.parsers import response_parser  # type: ignore[import-not-found,unused-ignore]

    parse: Reader = response_parser.parse
    return parse


def trp() -> Reader:
    """Return amazon-textract-response-parser, its first interface."""
    import trp as parser  # type: ignore[import-not-found,unused-ignore]

    parse: Reader = parser.Document
    return parse


def trp2() -> Reader:
    """Return amazon-textract-response-parser, its second interface."""
    from trp import trp2 as parser  # type: ignore[import-not-found,unused-ignore]

    parse: Reader = parser.TDocumentSchema().load
    return parse


PEERS: dict[str, Callable[[], Reader]] = {"textractor": textractor, "trp": trp, "trp2": trp2}


def main() -> None:
    """Read the files named on the command line."""
    name, times, *paths = sys.argv[1:]
    read = ours if name == "ours" else partial(peer, PEERS[name]())
    for path in paths:
        seconds: list[float] = []
        error = ""
        for _ in range(int(times)):
            try:
                seconds.append(read(Path(path)))
            except Exception as raised:  # noqa: BLE001 - what it raises is what is looked at
                error = type(raised).__name__
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = {"path": path, "seconds": min(seconds, default=None), "error": error, "mib": round(memory)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

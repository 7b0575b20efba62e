"""Textract's responses to blocks: here, in amazon-textract-textractor and in amazon-textract-response-parser.

Run from the project's root: ``.venv/bin/python benchmarks/textract_blocks.py --data DIR``, where DIR holds recorded
responses (``*.json``). Their pages, over and over, make documents of 80 and 800 pages; the peers are timed up to
``--peer-pages`` (textractor takes hours at 800). Then each response is spoilt in the ways services and networks spoil
them, and who raises is counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peers import lines_of, python_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Response = dict[str, Any]
PEERS: Final = ("amazon-textract-textractor==1.10.0", "amazon-textract-response-parser==1.0.3")
READER: Final = Path(__file__).parent / "textract_reader.py"
MOST: Final = 1_000
"""Blocks of one response of the service."""
_FIELDS: Final = ("Text", "Confidence", "Relationships", "EntityTypes", "Query", "RowIndex", "ColumnIndex", "RowSpan")


def recorded_pages(folder: Path) -> list[str]:
    """Return the blocks of every recorded page, as JSON."""
    found = []
    for path in sorted(folder.glob("t*.json")):
        by_page: dict[int, list[Response]] = {}
        for block in json.loads(path.read_text("utf-8")).get("Blocks") or ():
            by_page.setdefault(block.get("Page") or 1, []).append(block)
        found += [json.dumps(blocks) for _, blocks in sorted(by_page.items())]
    return found


def write_replicated(recorded: list[str], pages: int, path: Path) -> int:
    """Write a document of the recorded pages over and over, in responses of a thousand blocks; return its blocks."""
    held: list[Response] = []
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for page, text in enumerate(islice(cycle(recorded), pages), 1):
            for block in json.loads(text):
                block["Page"] = page
                block["Id"] = f"{block['Id']}-{page}"
                for relation in block.get("Relationships") or ():
                    relation["Ids"] = [f"{one}-{page}" for one in relation["Ids"] or ()]
                held.append(block)
                count += 1
            while len(held) >= MOST or (held and page == pages):
                part = {"JobStatus": "SUCCEEDED", "DocumentMetadata": {"Pages": pages}, "Blocks": held[:MOST]}
                stream.write(json.dumps(part) + "\n")
                held = held[MOST:]
    return count


def a_page_missing(response: Response) -> Response:
    """Say PARTIAL_SUCCESS: the service counts one page more than it gives, and warns."""
    pages = (response.get("DocumentMetadata") or {}).get("Pages", 0) + 1
    warned = [{"ErrorCode": "InternalServerError", "Pages": [pages]}]
    return {**response, "JobStatus": "PARTIAL_SUCCESS", "DocumentMetadata": {"Pages": pages}, "Warnings": warned}


def nulls(response: Response) -> Response:
    """Write as OutputConfig does: every field is there, and null where it says nothing."""
    blocks = [dict.fromkeys(_FIELDS) | block for block in response.get("Blocks") or ()]
    return {"NextToken": None, "Warnings": None, "StatusMessage": None, **response, "Blocks": blocks}


def cut(response: Response) -> Response:
    """Lose the second half: a NextToken was forgotten."""
    blocks = response.get("Blocks") or []
    return {**response, "Blocks": blocks[: len(blocks) // 2]}


def a_new_type(response: Response) -> Response:
    """Add a type of block nobody knows yet."""
    return {**response, "Blocks": [*(response.get("Blocks") or ()), {"Id": "new", "BlockType": "HOLOGRAM", "Page": 1}]}


def nowhere(response: Response) -> Response:
    """Add a line without geometry and without relationships."""
    line = {"Id": "line", "BlockType": "LINE", "Text": "x", "Confidence": 99.0, "Page": 1}
    return {**response, "Blocks": [*(response.get("Blocks") or ()), line]}


SHAPES: Final[dict[str, Callable[[Response], Response]]] = {
    "as recorded": lambda response: response,
    "a page missing, with a warning": a_page_missing,
    "null fields (OutputConfig)": nulls,
    "second half lost": cut,
    "a type nobody knows": a_new_type,
    "a line of no place": nowhere,
}


def told(python: Path, name: str, times: int, paths: list[Path]) -> Iterator[Response]:
    """Yield what a reader says of files."""
    for line in lines_of([python, READER, name, str(times), *paths]):
        yield json.loads(line)


def speed(options: argparse.Namespace, readers: dict[str, Path], folder: Path) -> None:
    """Print processor seconds by tool and number of pages."""
    recorded = recorded_pages(options.data)
    blocks: dict[int, int] = {}
    found: dict[tuple[str, int], Response] = {}
    for pages in sorted(options.pages):
        path = folder / f"{pages}.json"
        blocks[pages] = write_replicated(recorded, pages, path)
        for name, python in readers.items():
            if name == "ours" or pages <= options.peer_pages:
                (found[name, pages],) = told(python, name, options.times, [path])
                print(f"{name}, {pages} pages: {_seconds(found[name, pages])}", file=sys.stderr, flush=True)
    print("| pages | blocks | " + " | ".join(readers) + " | textractor / ours |")
    print("|---" * (len(readers) + 3) + "|")
    for pages in sorted({pages for _, pages in found}):
        cells = [_seconds(found.get((name, pages))) for name in readers]
        peer = found.get(("textractor", pages))
        cells.append(f"{peer['seconds'] / found['ours', pages]['seconds']:.0f}x" if peer else "")
        print(f"| {pages} | {blocks[pages]:,} | " + " | ".join(cells) + " |")


def _seconds(one: Response | None) -> str:
    return "" if one is None else one["error"] or f"{one['seconds']:.2f} s, {one['mib']} MiB"


def shapes(options: argparse.Namespace, readers: dict[str, Path], folder: Path) -> None:
    """Print how many spoilt responses make each tool raise."""
    loaded = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(options.data.glob("t*.json"))}
    print("\n| input | responses | " + " | ".join(readers) + " |")
    print("|---" * (len(readers) + 2) + "|")
    for shape, spoil in SHAPES.items():
        paths = []
        for name, response in loaded.items():
            paths.append(folder / f"{name}.json")
            paths[-1].write_text(json.dumps(spoil(response)), "utf-8")
        cells = []
        for name, python in readers.items():
            raised = Counter(one["error"] for one in told(python, name, 1, paths) if one["error"])
            most = ", ".join(f"{error} {count}" for error, count in raised.most_common(2))
            cells.append(f"{raised.total()} ({most})" if raised else "0")
        print(f"| {shape} | {len(paths)} | " + " | ".join(cells) + " |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded responses")
    parser.add_argument("--peers", type=Path, help="environment of the peers; by default a new one each time")
    parser.add_argument("--pages", type=int, nargs="*", default=[20, 80, 800])
    parser.add_argument("--peer-pages", type=int, default=80, help="most pages for the peers (default 80)")
    parser.add_argument("--readers", nargs="*", default=["ours", "textractor", "trp", "trp2"])
    parser.add_argument("--times", type=int, default=2, help="readings of which the fastest counts (default 2)")
    parser.add_argument("--no-shapes", dest="shapes", action="store_false", help="time alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = python_with(options.peers or folder / "peers", *PEERS)
        readers = {name: Path(sys.executable) if name == "ours" else peers for name in options.readers}
        if options.pages:
            speed(options, readers, folder)
        if options.shapes:
            shapes(options, readers, folder)


if __name__ == "__main__":
    main()

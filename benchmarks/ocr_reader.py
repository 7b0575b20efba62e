"""One reader of pages, over some images, in a process of its own: ``python ocr_reader.py NAME IMAGE...``.

Prints one JSON line an image: its words, processor seconds, and the process's memory so far. The first image is read
twice and counted once, so that loading models is in no page's time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Reader = Callable[[str], list[str]]
_TESSERACT_WIDTH = 2600
"""Pixels of the longer side that Tesseract reads best at."""


def ours() -> Reader:
    """Return this project's engine, on the image as a document."""
    from airflow_lakehouse.ocr.engine import resolve_engine
    from airflow_lakehouse.ocr.images import ImageDocument
    from airflow_lakehouse.ocr.limits import Limits
    from airflow_lakehouse.ocr.pages import Document, read_page

    engine = resolve_engine("local")

    def read(path: str) -> list[str]:
        document = Document(ImageDocument(Path(path)), "0" * 64, engine, Limits())
        found = read_page(document, 1)
        return [block.text or "" for block in found.blocks if block.block_type == "WORD"]

    return read


def rapidocr(*, classify: bool) -> Reader:
    """Return RapidOCR through its front door."""
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{name}_op_num_threads": 1 for name in ("intra", "inter")}
    engine = RapidOCR(params={"Global.use_cls": classify, "Global.log_level": "critical", **threads})

    def read(path: str) -> list[str]:
        return [word for text in engine(path).txts or () for word in text.split()]

    return read


def tesserocr() -> Reader:
    """Return Tesseract's library, on the image enlarged as it likes it."""
    from PIL import Image
    from tesserocr import PyTessBaseAPI  # type: ignore[import-not-found,unused-ignore]

    api = PyTessBaseAPI(path=os.environ["TESSDATA_PREFIX"], lang="eng")

    def read(path: str) -> list[str]:
        with Image.open(path) as image:
            grown = max(1.0, _TESSERACT_WIDTH / max(image.size))
            size = (round(image.width * grown), round(image.height * grown))
            api.SetImage(image.convert("L").resize(size, Image.Resampling.LANCZOS))
        text: str = api.GetUTF8Text()
        return text.split()

    return read


READERS: dict[str, Callable[[], Reader]] = {
    "ours": ours,
    "rapidocr": lambda: rapidocr(classify=True),
    "rapidocr, no classifier": lambda: rapidocr(classify=False),
    "tesserocr": tesserocr,
}


def main() -> None:
    """Read the images named on the command line."""
    name, *paths = sys.argv[1:]
    read = READERS[name]()
    read(paths[0])
    for path in paths:
        started = time.process_time()
        words = read(path)
        seconds = time.process_time() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"path": path, "words": words, "seconds": seconds, "mib": memory}), flush=True)


if __name__ == "__main__":
    main()

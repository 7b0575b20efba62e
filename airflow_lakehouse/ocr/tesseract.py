"""Tesseract: through tesserocr, which brings its library, or through the command of a system that has it.

A fifth of RapidOCR's time, and worse on tables, forms and bad scans. Both give one table of words (TSV), read alike.
Orientation is found as RapidOCR's is: a page that reads badly is turned and read again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from importlib import metadata
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.ocr.geometry import Box, Quad, around, quad_of, turn_quad
from airflow_lakehouse.ocr.hookspecs import hookimpl
from airflow_lakehouse.ocr.model import EngineKind, Line, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COMMAND: Final = "tesseract"
LIBRARY: Final = "tesserocr"
_INSTALL_COMMAND: Final = "apt-get install tesseract-ocr (or brew install tesseract)"
_INSTALL_LIBRARY: Final = "pip install tesserocr"
_INSTALL_DATA: Final = (
    "apt-get install tesseract-ocr-eng, or put eng.traineddata into a folder that TESSDATA_PREFIX names"
)
_DATA_FOLDERS: Final = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
_LANGUAGE: Final = "eng"
_SIDE: Final = 2600
"""Pixels of the longer side that it reads best at."""
_WORD_LEVEL: Final = "5"
_COLUMNS: Final = 12
_UPRIGHT: Final = 70.0
"""Mean confidence below which a page is tried the other ways round: upright ones give 85 and more."""


def lines_of(tsv: str, scale: float) -> list[Line]:
    """Return the lines of Tesseract's table of words.

    :param tsv: as ``tesseract IMAGE - tsv`` prints it.
    :param scale: pixels of the image that was read for one of the page.
    """
    rows = [row.split("\t", _COLUMNS - 1) for row in tsv.splitlines()]
    words = [row for row in rows if len(row) == _COLUMNS and row[0] == _WORD_LEVEL and row[11].strip()]
    lines = []
    for _, members in groupby(words, key=lambda row: tuple(row[1:5])):
        made = []
        for row in members:
            left, top, width, height = (int(value) / scale for value in row[6:10])
            confidence = min(100.0, max(0.0, float(row[10])))
            made.append(Word(row[11].strip(), confidence, quad_of(Box(left, top, left + width, top + height))))
        box = around(Box(*word.quad[0], *word.quad[2]) for word in made)
        lines.append(Line(tuple(made), fmean(word.confidence for word in made), quad_of(box)))
    return lines


class _Tesseract:
    """What both have in common."""

    name = COMMAND

    def read_page(self, image: NDArray[Any]) -> Sequence[Line]:
        """Return the lines of a page, whichever way round it is.

        :param image: height x width x 3, 8 bit, BGR.
        :raises SetupError: when Tesseract or its data is not there.
        """
        import numpy as np

        best = self._read(image)
        score = _score(best)
        if score >= _UPRIGHT:
            return best
        for turns in (2, 1, 3):
            # numpy turns to the left, our quads to the right.
            turned = np.ascontiguousarray(np.rot90(image, turns))
            found = self._read(turned)
            if _score(found) > score:
                size = (turned.shape[1], turned.shape[0])
                best, score = [_turned(line, 90 * turns, size) for line in found], _score(found)
            if score >= _UPRIGHT:
                break
        return best

    def _read(self, image: NDArray[Any]) -> list[Line]:
        import cv2

        scale = max(1.0, _SIDE / max(image.shape[:2]))
        grown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else image
        return lines_of(self._tsv(grown), scale)

    def _tsv(self, image: NDArray[Any]) -> str:
        raise NotImplementedError


def _score(lines: Sequence[Line]) -> float:
    """Return the mean confidence, each word weighing as much as it has characters."""
    words = [word for line in lines for word in line.words]
    characters = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / characters if characters else 0.0


def _turned(line: Line, degrees: int, size: tuple[int, int]) -> Line:
    def back(quad: Quad) -> Quad:
        return turn_quad(quad, degrees, *size)

    words = tuple(Word(word.text, word.confidence, back(word.quad)) for word in line.words)
    return Line(words, line.confidence, back(line.quad))


class TesseractEngine(_Tesseract):
    """The ``tesseract`` command of this system."""

    @property
    def version(self) -> str:
        """Version of the command."""
        return _command_version(_command())

    def _tsv(self, image: NDArray[Any]) -> str:
        import cv2

        png = cv2.imencode(".png", image)[1].tobytes()
        done = subprocess.run(
            [_command(), "-", "-", "-l", _LANGUAGE, "tsv"],
            input=png,
            stdout=subprocess.PIPE,
            # Never shown: it may quote the document.
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=False,
        )
        if done.returncode:
            raise SetupError(f"{COMMAND} ended with status {done.returncode}", remedy=_INSTALL_DATA)
        return done.stdout.decode("utf-8", "replace")


class TesserocrEngine(_Tesseract):
    """Tesseract's library, in this process."""

    name = LIBRARY

    def __init__(self) -> None:
        self._api: Any = None

    @property
    def version(self) -> str:
        """Version of tesserocr, which fixes that of the library."""
        return metadata.version(LIBRARY)

    def _tsv(self, image: NDArray[Any]) -> str:
        from PIL import Image

        if self._api is None:
            self._api = self._start()
        self._api.SetImage(Image.fromarray(image[:, :, ::-1]))
        self._api.Recognize()
        return str(self._api.GetTSVText(0))

    def _start(self) -> Any:
        import tesserocr  # type: ignore[import-not-found,unused-ignore]

        folder = _data_folder()
        try:
            return tesserocr.PyTessBaseAPI(path=folder, lang=_LANGUAGE, psm=tesserocr.PSM.AUTO)
        except RuntimeError as error:
            raise SetupError(f"tesserocr finds no {_LANGUAGE}.traineddata in {folder}", remedy=_INSTALL_DATA) from error


def _data_folder() -> str:
    folders = [*filter(None, [os.environ.get("TESSDATA_PREFIX")]), *_DATA_FOLDERS]
    for folder in folders:
        if (Path(folder) / f"{_LANGUAGE}.traineddata").is_file():
            return folder
    raise SetupError(f"there is no {_LANGUAGE}.traineddata for tesserocr", remedy=_INSTALL_DATA)


def _command() -> str:
    found = shutil.which(COMMAND)
    if found is None:
        raise SetupError(f"OCR engine {COMMAND!r} needs the command of that name", remedy=_INSTALL_COMMAND)
    return found


@lru_cache
def _command_version(path: str) -> str:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    first = (told.stdout or told.stderr).partition("\n")[0]
    return first.rpartition(" ")[2].strip("v") or "unknown"


def _build_command(threads: int) -> TesseractEngine:
    del threads  # one; more gain little on a page
    _command()
    return TesseractEngine()


@hookimpl
def lakehouse_ocr_engines() -> Sequence[EngineKind]:
    """Return both."""
    return (
        EngineKind(COMMAND, _build_command, _INSTALL_COMMAND),
        EngineKind(LIBRARY, lambda _threads: TesserocrEngine(), _INSTALL_LIBRARY, (LIBRARY,)),
    )

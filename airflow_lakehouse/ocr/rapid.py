"""RapidOCR: PP-OCRv6 on onnxruntime, models in the wheel, no network.

Its parts are called one by one rather than through its front door, for three reasons. Its per-line 180-degree
classifier turns long lines that were right (word recall .932 instead of .999 on scans), so a page's orientation is
found here instead, by recognising its lines upside down when they read badly. Its word boxes lose the confidence of
the last characters of every line that has spaces. And words need the ink of the line, which it does not hand out.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import SetupError
from airflow_lakehouse.ocr.geometry import Quad, along
from airflow_lakehouse.ocr.hookspecs import hookimpl
from airflow_lakehouse.ocr.model import INSTALL, EngineKind, Line, Word
from airflow_lakehouse.ocr.spacing import Character, ink_gaps, split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAME: Final = "rapidocr"
_LEAST_SCORE: Final = 0.5
_UPRIGHT_SCORE: Final = 0.9
"""Mean score below which lines are tried upside down: upright ones give .99 and more, turned ones .65 to .77."""
_CLEARLY_BETTER: Final = 0.05
_SIDEWAYS: Final = 1.5
"""Height over width from which the recogniser turns a line itself; ours must agree with it."""
_SIDE: Final = 2000
_BATCH: Final = 6


@dataclass(frozen=True, slots=True)
class _Read:
    """One line as recognised.

    :param image: the line, text running to the right if it is the right way up.
    :param quad: where, in text order.
    :param text: what was read.
    :param score: 0 to 1.
    :param info: columns and confidences of the characters.
    """

    image: NDArray[Any]
    quad: Quad
    text: str
    score: float
    info: Any


class RapidEngine:
    """Reads pages with RapidOCR.

    :param threads: threads of onnxruntime.
    """

    name = NAME

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._engine: Any = None

    @property
    def version(self) -> str:
        """Version of RapidOCR, which fixes its models."""
        return metadata.version("rapidocr")

    def read_page(self, image: NDArray[Any]) -> Sequence[Line]:
        """Return the lines of a page.

        :param image: height x width x 3, 8 bit, BGR.
        :raises SetupError: when RapidOCR or one of its libraries cannot start.
        """
        engine = self._load()
        crops, quads = self._detect(engine, image)
        if not crops:
            return []
        sideways = [crop_is_sideways(quad) for quad in quads]
        lines: list[_Read] = []
        for group in (False, True):
            chosen = [place for place, is_sideways in enumerate(sideways) if is_sideways is group]
            if chosen:
                in_text_order = [_text_order(quads[place], group) for place in chosen]
                lines += self._right_way_up(engine, [crops[place] for place in chosen], in_text_order)
        return [line for read in lines if read.score >= _LEAST_SCORE and (line := _line(read))]

    def _load(self) -> Any:
        if self._engine is None:
            try:
                self._engine = self._start()
            except Exception as error:
                if isinstance(error, MemoryError) or "alloc" in str(error).lower():
                    raise MemoryError from None
                # Nothing of a document was touched yet, so the words can be shown: libGL missing, no models, ...
                # Taken for a fault of the page, it would fail every scan of the drop for good.
                raise SetupError(
                    f"RapidOCR is installed and cannot start: {type(error).__name__}: {error}",
                    remedy=f"mend it ({INSTALL}; OpenCV without libGL is opencv-python-headless), or use engine 'none'",
                ) from error
        return self._engine

    def _start(self) -> Any:
        from rapidocr import RapidOCR

        return RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.return_word_box": True,
                "Global.max_side_len": _SIDE,
                "Global.log_level": "critical",
                "Rec.rec_batch_num": _BATCH,
                "EngineConfig.onnxruntime.intra_op_num_threads": self._threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def _detect(self, engine: Any, image: NDArray[Any]) -> tuple[list[NDArray[Any]], list[Quad]]:
        from rapidocr.main import RapidOCRError
        from rapidocr.utils.process_img import map_boxes_to_original

        prepared, record = engine.preprocess_img(image)
        try:
            crops, found = engine.detect_and_crop(prepared, record)
        except RapidOCRError:  # What it raises when there is no text.
            return [], []
        height, width = image.shape[:2]
        boxes = map_boxes_to_original(found.boxes, record, height, width)
        return crops, [_quad(box) for box in boxes.tolist()]

    def _right_way_up(self, engine: Any, crops: list[NDArray[Any]], quads: list[Quad]) -> list[_Read]:
        """Recognise lines that run the same way, and again upside down if that went badly."""
        upright = _recognise(engine, crops, quads)
        if _mean_score(upright) >= _UPRIGHT_SCORE:
            return upright
        flipped = _recognise(engine, [crop[::-1, ::-1] for crop in crops], [(*q[2:], *q[:2]) for q in quads])
        return flipped if _mean_score(flipped) > _mean_score(upright) + _CLEARLY_BETTER else upright


def crop_is_sideways(quad: Quad) -> bool:
    """Tell whether the recogniser turns this line by 90 degrees before it reads it.

    :param quad: as detected.
    """
    width = max(_distance(quad[0], quad[1]), _distance(quad[2], quad[3]))
    height = max(_distance(quad[0], quad[3]), _distance(quad[1], quad[2]))
    return int(height) >= _SIDEWAYS * max(1, int(width))


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def _quad(box: list[list[float]]) -> Quad:
    (a, b, c, d) = ((float(x), float(y)) for x, y in box)
    return (a, b, c, d)


def _text_order(quad: Quad, sideways: bool) -> Quad:
    # The recogniser turns a sideways line counter-clockwise: its right edge becomes the top.
    return (quad[1], quad[2], quad[3], quad[0]) if sideways else quad


def _recognise(engine: Any, crops: list[NDArray[Any]], quads: list[Quad]) -> list[_Read]:
    import numpy as np
    from rapidocr.main import RapidOCRError

    images = [np.ascontiguousarray(crop) for crop in crops]
    try:
        found = engine.recognize_txt(images)
    except RapidOCRError:  # What it raises when nothing is legible.
        return []
    return [
        _Read(image, quad, text, float(score), info)
        for image, quad, text, score, info in zip(
            images, quads, found.txts, found.scores, found.word_results, strict=True
        )
        if text.strip()
    ]


def _mean_score(lines: list[_Read]) -> float:
    """Return the mean score, each line weighing as much as it has characters."""
    characters = sum(len(line.text) for line in lines)
    return sum(line.score * len(line.text) for line in lines) / characters if characters else 0.0


def _line(read: _Read) -> Line | None:
    gaps, aspect = ink_gaps(read.image)
    spans = split_words(_characters(read), gaps, aspect)
    words = tuple(
        Word(span.text, 100 * span.confidence, along(read.quad, span.start, span.end)) for span in spans if span.text
    )
    return Line(words, 100 * read.score, read.quad) if words else None


def _characters(read: _Read) -> list[Character]:
    """Give every recognised character its place along the line and its own confidence."""
    columns = [column for word in read.info.word_cols for column in word]
    length = max(float(read.info.line_txt_len), 1.0)
    confidences = read.info.confs
    characters: list[Character] = []
    drawn = 0
    for place, text in enumerate(read.text):
        confidence = float(confidences[place]) if place < len(confidences) else read.score
        if text.isspace() or drawn >= len(columns):
            characters.append(Character(" ", confidence, None))
            continue
        characters.append(Character(text, confidence, min(1.0, (columns[drawn] + 0.5) / length)))
        drawn += 1
    return characters


@hookimpl
def lakehouse_ocr_engines() -> Sequence[EngineKind]:
    """Return RapidOCR, the local engine."""
    return (EngineKind("local", RapidEngine, INSTALL, ("rapidocr", "onnxruntime")),)

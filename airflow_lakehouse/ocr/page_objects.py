"""What lies over a page's text: how much of the page images cover, and which text they hide."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.geometry import Box, around
from airflow_lakehouse.ocr.trust import COVERING_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pypdfium2 as pdfium

_MAX_DEPTH: Final = 8
_MAX_OBJECTS: Final = 20_000
"""Forms may nest without end, and one page may hold millions of objects; the first ones tell enough."""

_MAX_RULES: Final = 4_000
_MAX_SEGMENTS: Final = 400
"""Of one path: more are a drawing, not a grid."""
_THIN: Final = 3.0
"""Points up to which a filled rectangle is a rule."""
_STRAIGHT: Final = 0.5
"""Points by which a rule may slant."""

Edges = tuple[float, float, float, float]
"""Left, bottom, right, top, in the page's coordinates."""
Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: Final[Matrix] = (1, 0, 0, 1, 0, 0)


@dataclass
class Cover:
    """What images do to a page.

    :param share: of the page under images, 0 to 1.
    :param beneath: addresses of text objects that are drawn before an image that covers the page.
    :param rules: ruled lines, as displayed.
    """

    share: float = 0.0
    beneath: set[int] = field(default_factory=set)
    rules: list[Box] = field(default_factory=list)


def address_of(pointer: Any) -> int:
    """Return the address of a PDFium object, which identifies it while its page is open.

    :param pointer: the object.
    """
    return ctypes.addressof(pointer.contents)


def look_at(page: pdfium.PdfPage, displayed: Callable[[float, float, float, float], Box], size: Box) -> Cover:
    """Look at a page's images, in the order they are drawn.

    :param page: a loaded page.
    :param displayed: returns a rectangle of the page, given as left, bottom, right, top, as displayed.
    :param size: the displayed page.
    """
    from pypdfium2 import raw

    cover = Cover()
    texts: list[int] = []
    area = max(1e-6, size.width * size.height)
    for count, (kind, found, matrix) in enumerate(_objects(page)):
        if count >= _MAX_OBJECTS:
            break
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            texts.append(address_of(found))
            continue
        if kind == raw.FPDF_PAGEOBJ_PATH:
            if len(cover.rules) < _MAX_RULES:
                cover.rules += (displayed(*rule) for rule in _rules(found, matrix))
            continue
        share = _visible_area(displayed(*_bounds(found, matrix)), size) / area
        cover.share = min(1.0, cover.share + share)
        if share >= COVERING_IMAGE:
            cover.beneath.update(texts)
    return cover


def _objects(page: pdfium.PdfPage) -> Iterator[tuple[int, Any, Matrix]]:
    """Yield texts, images and paths with the matrix of the forms they are in; PDFium gives their bounds without it."""
    from pypdfium2 import raw

    count = raw.FPDFPage_CountObjects(page)
    stack = [(raw.FPDFPage_GetObject, page.raw, iter(range(count)), _IDENTITY)]
    seen = 0
    while stack:
        get, holder, places, matrix = stack[-1]
        place = next(places, None)
        seen += 1
        if place is None or seen > 4 * _MAX_OBJECTS:
            stack.pop()
            continue
        found = get(holder, place)
        kind = raw.FPDFPageObj_GetType(found) if found else 0
        if kind in (raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_PATH):
            yield kind, found, matrix
        elif kind == raw.FPDF_PAGEOBJ_FORM and len(stack) < _MAX_DEPTH:
            inner = iter(range(raw.FPDFFormObj_CountObjects(found)))
            stack.append((raw.FPDFFormObj_GetObject, found, inner, _times(_matrix(found), matrix)))


def _matrix(found: Any) -> Matrix:
    from pypdfium2 import raw

    m = raw.FS_MATRIX()
    return (m.a, m.b, m.c, m.d, m.e, m.f) if raw.FPDFPageObj_GetMatrix(found, m) else _IDENTITY


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _rules(found: Any, matrix: Matrix) -> Iterator[Edges]:
    """Yield the ruled lines of a path: the path itself if it is a thin one, else the straight lines it strokes."""
    from pypdfium2 import raw

    left, bottom, right, top = _bounds(found, matrix)
    if min(right - left, top - bottom) <= _THIN:
        yield left, bottom, right, top
        return
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    count = raw.FPDFPath_CountSegments(found)
    if count > _MAX_SEGMENTS or not raw.FPDFPath_GetDrawMode(found, fill, stroke) or not stroke.value:
        return
    own = _times(_matrix(found), matrix)
    begin = last = (0.0, 0.0)
    x, y = ctypes.c_float(), ctypes.c_float()
    for place in range(count):
        segment = raw.FPDFPath_GetPathSegment(found, place)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = (x.value * own[0] + y.value * own[2] + own[4], x.value * own[1] + y.value * own[3] + own[5])
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO:
            begin = point
        ends = [(last, point)] if kind == raw.FPDF_SEGMENT_LINETO else []
        if raw.FPDFPathSegment_GetClose(segment):
            ends.append((point, begin))
        yield from (edges for a, b in ends if (edges := _edges(a, b)))
        last = point


def _edges(a: tuple[float, float], b: tuple[float, float]) -> Edges | None:
    if min(abs(a[0] - b[0]), abs(a[1] - b[1])) > _STRAIGHT:
        return None
    return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def _bounds(found: Any, matrix: Matrix) -> tuple[float, float, float, float]:
    from pypdfium2 import raw

    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not raw.FPDFPageObj_GetBounds(found, left, bottom, right, top):
        return (0, 0, 0, 0)
    a, b, c, d, e, f = matrix
    corners = [
        (x * a + y * c + e, x * b + y * d + f) for x in (left.value, right.value) for y in (bottom.value, top.value)
    ]
    box = around(Box(x, y, x, y) for x, y in corners)
    return (box.left, box.top, box.right, box.bottom)


def _visible_area(box: Box, page: Box) -> float:
    width = min(box.right, page.right) - max(box.left, page.left)
    height = min(box.bottom, page.bottom) - max(box.top, page.top)
    return max(0.0, width) * max(0.0, height)

"""Ruled lines in the image of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.ocr.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONG: Final = 0.03
"""Share of the image's longer side from which a run of ink is a rule: longer than the strokes of letters."""
_THICK: Final = 0.004


def rules_in(image: NDArray[Any]) -> list[Box]:
    """Return the horizontal and vertical rules of a page, in pixels.

    Of a page that is slanted, short pieces of its rules are found, or none: words, not tables, are read from those.

    :param image: height x width x 3, 8 bit, BGR.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    ink = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 15, 12)
    side = max(grey.shape)
    length, thick = max(12, int(_LONG * side)), max(4.0, _THICK * side)
    found: list[Box] = []
    for kernel in ((length, 1), (1, length)):
        runs = cv2.morphologyEx(ink, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, kernel))
        # Broken by a pixel here and there, a rule is one all the same.
        runs = cv2.dilate(runs, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3)))
        _, _, stats, _ = cv2.connectedComponentsWithStats(runs)
        for left, top, width, height, _area in stats[1:].tolist():
            if min(width, height) <= thick + 2:
                found.append(Box(left, top, left + width, top + height))
    return found

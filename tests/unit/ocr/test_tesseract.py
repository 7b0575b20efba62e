from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from airflow_lakehouse.ocr.geometry import box_of, direction
from airflow_lakehouse.ocr.tesseract import TesseractEngine, lines_of

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
ROWS = (
    "1\t1\t0\t0\t0\t0\t0\t0\t800\t400\t-1\t",
    "4\t1\t1\t1\t1\t0\t40\t20\t300\t40\t-1\t",
    "5\t1\t1\t1\t1\t1\t40\t20\t120\t40\t96.5\tSodium",
    "5\t1\t1\t1\t1\t2\t180\t20\t60\t40\t90.5\t139",
    "5\t1\t1\t1\t2\t1\t40\t80\t120\t40\t95\t ",
    "5\t1\t1\t1\t3\t1\t40\t120\t200\t40\t60\tPotassium",
)


def test_words_of_the_table_become_lines() -> None:
    """Places are those of the page, not of the enlarged image; what is blank is no word."""
    first, second = lines_of("\n".join((HEAD, *ROWS)), 2.0)
    assert [(word.text, word.confidence) for word in first.words] == [("Sodium", 96.5), ("139", 90.5)]
    assert first.confidence == 93.5
    assert box_of(first.quad) == (20, 10, 120, 30)
    assert second.text == "Potassium"
    assert lines_of(HEAD, 1.0) == []


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``tesseract`` that reads a black corner: legible only where it is at the top left."""
    script = tmp_path / "bin" / "tesseract"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "if '--version' in sys.argv: print('tesseract 5.3.4'); sys.exit()\n"
        "import cv2, numpy\n"
        "image = cv2.imdecode(numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8), 0)\n"
        "conf = 95 if image[20, 20] < 128 else 30\n"
        f"print({HEAD!r})\n"
        "print('\\t'.join(map(str, (5, 1, 1, 1, 1, 1, 0, 0, 130, 65, conf, 'corner'))))\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return script


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_page_that_reads_badly_is_turned(command: Path, turns: int) -> None:
    """Whichever way round a page lies, it is read, and its words are placed where they stand on it."""
    page = np.full((260, 200, 3), 255, np.uint8)
    page[:20, :20] = 0
    image = np.ascontiguousarray(np.rot90(page, turns))
    engine = TesseractEngine()
    assert engine.version == "5.3.4"
    (line,) = engine.read_page(image)
    assert (line.text, line.confidence) == ("corner", 95)
    # numpy turns counter-clockwise.
    assert direction(line.quad) == pytest.approx((360 - 90 * turns) % 360)
    box = box_of(line.quad)
    found = image[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    assert (cv2.cvtColor(found, cv2.COLOR_BGR2GRAY) < 128).any()

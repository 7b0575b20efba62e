"""Lines of words to blocks: upright, in reading order, with identifiers that stay."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from airflow_lakehouse.ocr import blocks
from airflow_lakehouse.ocr.blocks import Block, BlockNames
from airflow_lakehouse.ocr.geometry import Quad, box_of, skew, straightened, turn_needed, turn_quad, turned_size
from airflow_lakehouse.ocr.order import is_right_to_left, reading_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_lakehouse.ocr.model import Line


@dataclass(frozen=True, slots=True)
class Frame:
    """The page that lines were found on.

    :param names: of its blocks.
    :param page: 1-based.
    :param source: where its confidence comes from.
    :param width: in the units of the lines.
    :param height: in the units of the lines.
    """

    names: BlockNames
    page: int
    source: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Assembled:
    """The blocks of a page.

    :param blocks: PAGE first, then lines, then words.
    :param rotation: degrees by which the page was turned, clockwise.
    :param mean_confidence: mean over its words; None without words.
    """

    blocks: tuple[Block, ...]
    rotation: int
    mean_confidence: float | None


def assemble(lines: Sequence[Line], frame: Frame) -> Assembled:
    """Build the blocks of a page.

    :param lines: what was found, in any order.
    :param frame: the page.
    """
    rotation = turn_needed((line.quad, len(line.text)) for line in lines)
    size = turned_size(rotation, frame.width, frame.height)

    def upright(quad: Quad) -> Quad:
        return turn_quad(quad, rotation, frame.width, frame.height)

    quads = [upright(line.quad) for line in lines]
    order = reading_order(straightened(quads, skew(quads)), right_to_left=is_right_to_left(line.text for line in lines))
    page = Block(frame.names.of(blocks.PAGE, 0), blocks.PAGE, frame.page)
    line_blocks: list[Block] = []
    word_blocks: list[Block] = []
    for place, index in enumerate(order, 1):
        line = lines[index]
        parent = _block(frame, (blocks.LINE, place), (line.text, line.confidence), (quads[index], size), page.id)
        line_blocks.append(parent)
        for word in line.words:
            at = (blocks.WORD, len(word_blocks) + 1)
            word_blocks.append(_block(frame, at, (word.text, word.confidence), (upright(word.quad), size), parent.id))
    mean = round(fmean(block.confidence or 0.0 for block in word_blocks), 2) if word_blocks else None
    return Assembled((page, *line_blocks, *word_blocks), rotation, mean)


def _block(
    frame: Frame, at: tuple[str, int], read: tuple[str, float], where: tuple[Quad, tuple[float, float]], parent: str
) -> Block:
    (block_type, ordinal), (text, confidence), (quad, (width, height)) = at, read, where
    points = [(_unit(x / width), _unit(y / height)) for x, y in quad]
    box = box_of(points)
    return Block(
        id=frame.names.of(block_type, ordinal),
        block_type=block_type,
        page=frame.page,
        text=text,
        confidence=round(confidence, 2),
        confidence_source=frame.source,
        left=box.left,
        top=box.top,
        width=round(box.width, 6),
        height=round(box.height, 6),
        polygon=tuple(value for point in points for value in point),
        parent_id=parent,
        parent_ids=(parent,),
        reading_order=ordinal,
    )


def _unit(value: float) -> float:
    return 0.0 if value <= 0 else 1.0 if value >= 1 else round(value, 6)

"""One page of Textract's blocks to ours. Written for speed: a batch of documents has millions of blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any, Final

from airflow_lakehouse.ocr import blocks as kinds
from airflow_lakehouse.ocr.blocks import Block, BlockNames
from airflow_lakehouse.ocr.geometry import Box, Quad, box_of, quad_of, skew, straightened, turn_needed, turn_quad
from airflow_lakehouse.ocr.order import is_right_to_left, reading_order

Raw = Mapping[str, Any]

TEXTRACT: Final = "textract"
UNKNOWN: Final = "UNKNOWN"
_CHILD: Final = "CHILD"
_KEYED: Final = ("VALUE", "ANSWER")
"""Relations from a key to its values, and from a question to its answers."""
_PARENTS: Final = {
    kinds.LINE: 0,
    kinds.TABLE: 1,
    kinds.KEY_VALUE_SET: 2,
    kinds.KEY: 2,
    kinds.VALUE: 2,
    kinds.QUERY: 2,
}
"""Which of several parents comes first."""
_OTHER_PARENT: Final = 5
_LETTER: Final = 0.45
"""Mean width of a letter over the height of its line, spaces included."""
_LONG: Final = 10
_ENOUGH: Final = 5
"""Characters and lines from which the shape of letters can be told."""
_LONG_LINE: Final = 3
"""Width over height from which a line's slant is more than noise."""
_LEVEL: Final = 0.001
_PLAIN: Final = (kinds.LINE, kinds.WORD)
_SPOKEN: Final = frozenset(
    (kinds.CELL, kinds.MERGED_CELL, kinds.KEY_VALUE_SET, kinds.KEY, kinds.VALUE, "TABLE_TITLE", "TABLE_FOOTER")
)
"""Blocks without a text of their own, which is that of their words."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A page.

    :param blocks: PAGE first, then lines and words in reading order, then the others.
    :param rotation: degrees by which the page was turned, clockwise, to be upright.
    :param mean_confidence: mean over its words, or over its lines where it has no words; None without any.
    """

    blocks: tuple[Block, ...]
    rotation: int
    mean_confidence: float | None


class Page:
    """The blocks of one page and how they hang together.

    Whoever collects the blocks fills :attr:`by_id`, :attr:`by_kind` and :attr:`related` (identifiers by type; those of
    blocks with relationships a second time), and then calls :meth:`relate`.
    """

    __slots__ = ("by_id", "by_kind", "children", "key_of", "more", "parent", "related")

    def __init__(self) -> None:
        self.by_id: dict[str, Raw] = {}
        self.by_kind: dict[str, list[str]] = defaultdict(list)
        self.related: dict[str, list[str]] = defaultdict(list)
        self.children: dict[str, list[str]] = {}
        self.parent: dict[str, str] = {}
        self.more: dict[str, list[str]] = defaultdict(list)
        """Parents beside the one a block belongs to most, which is known first: by the order they are looked at in."""
        self.key_of: dict[str, str] = {}

    def relate(self) -> None:
        """Learn from the blocks' relationships which lie in which."""
        for kind in sorted(self.related, key=lambda kind: _PARENTS.get(kind, _OTHER_PARENT)):
            if kind != kinds.PAGE:  # What lies in nothing else lies on it.
                for name in self.related[kind]:
                    self._relate(name)

    def _relate(self, name: str) -> None:
        by_id, parent, more = self.by_id, self.parent, self.more
        for relation in by_id[name]["Relationships"]:
            # A part of a result may name blocks that are in none of its parts.
            inside = [one for one in relation.get("Ids") or () if one in by_id and one != name]
            kind = relation.get("Type")
            if kind == _CHILD:
                self.children[name] = [*self.children[name], *inside] if name in self.children else inside
            elif kind in _KEYED:
                for one in inside:
                    self.key_of.setdefault(one, name)
            for one in inside:
                if one not in parent:
                    parent[one] = name
                elif parent[one] != name and name not in more[one]:
                    more[one].append(name)

    def parents_of(self, name: str) -> list[str]:
        """Return the blocks a block lies in or belongs to, the one it belongs to most first.

        :param name: the block.
        """
        return [self.parent[name], *self.more.get(name, ())] if name in self.parent else []

    def kind_of(self, name: str) -> str:
        """Return the type of a block.

        :param name: the block.
        """
        return self.by_id[name].get("BlockType") or UNKNOWN

    def said(self, name: str) -> tuple[str | None, str | None]:
        """Return text and selection of a block: its own, or of a cell, key or value those of what is in it.

        :param name: the block.
        """
        block = self.by_id[name]
        text, status = block.get("Text"), block.get("SelectionStatus")
        children = self.children.get(name)
        if not children or block.get("BlockType") not in _SPOKEN:
            return text, status
        if block.get("BlockType") == kinds.MERGED_CELL:
            # Its children are cells, which have the words.
            children = [one for cell in children for one in self.children.get(cell, ())]
        words = []
        for child in children:
            inside = self.by_id[child]
            if word := inside.get("Text"):
                words.append(word)
            else:
                status = status or inside.get("SelectionStatus")
        return text or " ".join(words) or None, status


class _Writer:
    """Makes our blocks of a page, and their identifiers."""

    def __init__(self, page: Page, names: BlockNames, number: int, rotation: int) -> None:
        self.page = page
        self.number = number
        self.rotation = rotation
        self.names = names
        self.page_id = names.of(kinds.PAGE, 0)
        self.ids: dict[str, str] = dict.fromkeys(page.by_kind.get(kinds.PAGE, ()), self.page_id)

    def name_all(self, kind: str, names: Sequence[str]) -> None:
        """Give blocks of a type their identifiers, in their order."""
        self.ids.update(zip(names, self.names.count(kind, len(names)), strict=True))

    def plain(self, kind: str, names: Sequence[str]) -> list[Block]:
        """Return lines or words, in their order: most blocks of every page."""
        ids, number, place = self.ids, self.number, self._place
        by_id, parent, more = self.page.by_id, self.page.parent, self.page.more
        on_page: tuple[str, ...] = (self.page_id,)
        new = tuple.__new__
        made = []
        for ordinal, name in enumerate(names, 1):
            get = by_id[name].get
            confidence = get("Confidence")
            if confidence.__class__ is not float or not 0 <= confidence <= 100:  # noqa: PLR2004 - per cent
                confidence = _percent(confidence)
            above = parent.get(name)
            held = on_page if above is None else (ids[above],)
            if name in more:
                held = (*held, *(ids[one] for one in more[name]))
            left, top, width, height, polygon = place(get("Geometry"))
            # Not through the class: it would take the arguments one by one, for each of a page's thousand blocks.
            values = (
                ids[name], kind, number, get("Text"), confidence, None if confidence is None else TEXTRACT,
                left, top, width, height, polygon, held[0], ordinal,
                None, None, None, None, held, (), get("TextType"), None, None, None, None,
            )  # fmt: skip
            made.append(new(Block, values))
        return made

    def other(self, kind: str, names: Sequence[str]) -> list[Block]:
        """Return blocks of another type, in their order."""
        ids, number, place = self.ids, self.number, self._place
        by_id, parent, more = self.page.by_id, self.page.parent, self.page.more
        on_page: tuple[str, ...] = (self.page_id,)
        new = tuple.__new__
        made = []
        for ordinal, name in enumerate(names, 1):
            get = by_id[name].get
            confidence = _percent(get("Confidence"))
            above = parent.get(name)
            held = on_page if above is None else (ids[above],)
            if name in more:
                held = (*held, *(ids[one] for one in more[name]))
            left, top, width, height, polygon = place(get("Geometry"))
            text, selection, key, alias = self._form(name, kind)
            values = (
                ids[name], kind, number, text, confidence, None if confidence is None else TEXTRACT,
                left, top, width, height, polygon, held[0], ordinal,
                get("RowIndex"), get("ColumnIndex"), get("RowSpan"), get("ColumnSpan"),
                held, tuple(get("EntityTypes") or ()), get("TextType"), selection, key, alias, None,
            )  # fmt: skip
            made.append(new(Block, values))
        return made

    def _form(self, name: str, kind: str) -> tuple[str | None, str | None, str | None, str | None]:
        """Return text, selection, key and its alias."""
        page = self.page
        if kind == kinds.QUERY:
            return (None, None, *_query(page.by_id[name]))
        text, selection = page.said(name)
        holder = page.key_of.get(name)
        if kind == kinds.SELECTION_ELEMENT and holder is None:
            holder = next((page.key_of[one] for one in page.parents_of(name) if one in page.key_of), None)
        if holder is None:
            return text, selection, None, None
        if page.kind_of(holder) == kinds.QUERY:
            return (text, selection, *_query(page.by_id[holder]))
        return text, selection, page.said(holder)[0], None

    def _place(self, geometry: Raw | None) -> tuple[Any, ...]:
        """Return left, top, width, height and polygon."""
        if geometry and not self.rotation:
            try:
                box, (a, b, c, d) = geometry["BoundingBox"], geometry["Polygon"]
                left, top, width, height = box["Left"], box["Top"], box["Width"], box["Height"]
                if left >= 0 and top >= 0 and left + width <= 1 and top + height <= 1:
                    return left, top, width, height, (a["X"], a["Y"], b["X"], b["Y"], c["X"], c["Y"], d["X"], d["Y"])
            except (KeyError, TypeError, ValueError):
                pass  # Absent, null, or of other than four corners.
        return self._turned(geometry or {})

    def _turned(self, geometry: Raw) -> tuple[Any, ...]:
        quad = quad_of_geometry(geometry)
        if quad is None:
            return (None, None, None, None, ())
        # The service's own boxes reach a hair beyond the page; nobody can point there.
        turned = [(_share(x), _share(y)) for x, y in turn_quad(quad, self.rotation, 1, 1)]
        box = box_of(turned)
        return box.left, box.top, box.width, box.height, tuple([value for point in turned for value in point])


def flatten_page(page: Page, names_of: BlockNames, number: int) -> Flat:
    """Return the blocks of a page.

    :param page: its blocks.
    :param names_of: gives them their identifiers.
    :param number: 1-based page.
    """
    page.relate()
    by_kind = page.by_kind
    lines, rotation = _read_lines(page)
    words = _read_words(page, lines)
    writer = _Writer(page, names_of, number, rotation)
    ordered = {kinds.LINE: lines, kinds.WORD: words}
    for kind, names in by_kind.items():
        if kind not in (kinds.PAGE, kinds.LINE, kinds.WORD):
            ordered[kind] = _cells(page, names) if kind in (kinds.CELL, kinds.MERGED_CELL) else names
    # All are named before any is made: each says the names of its parents.
    for kind, names in ordered.items():
        writer.name_all(kind, names)
    made = [Block(writer.page_id, kinds.PAGE, number)]
    for kind, names in ordered.items():
        made += writer.plain(kind, names) if kind in _PLAIN else writer.other(kind, names)
    scored = kinds.WORD if words else kinds.LINE
    values = [block.confidence for block in made if block.block_type == scored and block.confidence is not None]
    return Flat(tuple(made), rotation, round(sum(values) / len(values), 2) if values else None)


def _read_lines(page: Page) -> tuple[list[str], int]:
    """Return the lines in reading order, and the turn that makes the page upright."""
    names = page.by_kind.get(kinds.LINE, [])
    texts = [page.by_id[name].get("Text") or "" for name in names]
    boxes, rotation = _level_boxes(page, names), 0
    if boxes is None:
        names, texts, boxes, rotation = _turned_lines(page, names, texts)
    wide = _page_aspect(boxes, texts)
    boxes = [Box(left * wide, top, right * wide, bottom) for left, top, right, bottom in boxes]
    order = reading_order(boxes, right_to_left=is_right_to_left(texts))
    nowhere = names[len(boxes) :]
    return [*(names[place] for place in order), *nowhere], rotation


def _level_boxes(page: Page, names: Sequence[str]) -> list[Box] | None:
    """Return where lines are, a slant taken out of it; None unless all of them have a place and run to the right."""
    boxes: list[Box] = []
    slopes: list[float] = []
    try:
        for name in names:
            geometry = page.by_id[name]["Geometry"]
            box, points = geometry["BoundingBox"], geometry["Polygon"]
            a, b = points[0], points[1]
            across, down = b["X"] - a["X"], b["Y"] - a["Y"]
            if across <= abs(down):
                return None
            left, top, height = box["Left"], box["Top"], box["Height"]
            boxes.append(Box(left, top, left + box["Width"], top + height))
            if across > _LONG_LINE * height:
                slopes.append(down / across)
    except (KeyError, TypeError, IndexError):
        return None
    slope = median(slopes) if slopes else 0.0
    if abs(slope) < _LEVEL:
        return boxes
    # Each line is put to where it would begin on a level page; its own height is hardly more for its slant.
    return [
        Box(left, top - slope * (left + right) / 2, right, bottom - slope * (left + right) / 2)
        for left, top, right, bottom in boxes
    ]


def _turned_lines(
    page: Page, names: Sequence[str], texts: Sequence[str]
) -> tuple[list[str], list[str], list[Box], int]:
    """Return lines, texts, places and turn of a page on its side, or with lines of no place: those come last."""
    placed: list[tuple[str, str, Quad]] = []
    nowhere: list[str] = []
    for name, text in zip(names, texts, strict=True):
        quad = quad_of_geometry(page.by_id[name].get("Geometry") or {})
        if quad is None:
            nowhere.append(name)
        else:
            placed.append((name, text, quad))
    rotation = turn_needed((quad, len(text)) for _, text, quad in placed)
    quads = [turn_quad(quad, rotation, 1, 1) for _, _, quad in placed]
    every = [*(name for name, _, _ in placed), *nowhere]
    return every, [text for _, text, _ in placed], straightened(quads, skew(quads)), rotation


def _read_words(page: Page, lines: list[str]) -> list[str]:
    """Return the words, line by line, then those in no line."""
    every = dict.fromkeys(page.by_kind.get(kinds.WORD, ()))
    ordered = {word: None for line in lines for word in page.children.get(line, ()) if word in every}
    return [*ordered, *(word for word in every if word not in ordered)]


def _cells(page: Page, names: list[str]) -> list[str]:
    """Return cells table by table, row by row: the service gives them in an order of its own."""
    tables = {name: place for place, name in enumerate(page.by_kind.get(kinds.TABLE, ()))}

    def place(name: str) -> tuple[int, int, int]:
        table = min((tables[parent] for parent in page.parents_of(name) if parent in tables), default=len(tables))
        cell = page.by_id[name]
        return table, cell.get("RowIndex") or 0, cell.get("ColumnIndex") or 0

    return sorted(names, key=place)


def quad_of_geometry(geometry: Raw) -> Quad | None:
    """Return the corners of a block in text order, or None where it has no place.

    :param geometry: as Textract gives it, with anything absent or null.
    """
    try:
        a, b, c, d = geometry["Polygon"]
        quad = ((a["X"], a["Y"]), (b["X"], b["Y"]), (c["X"], c["Y"]), (d["X"], d["Y"]))
        if None not in chain.from_iterable(quad):
            return quad
    except (KeyError, TypeError, ValueError):
        pass  # Absent, null, or of other than four corners.
    box = geometry.get("BoundingBox") or {}
    left, top, width, height = (box.get(name) for name in ("Left", "Top", "Width", "Height"))
    if left is None or top is None or width is None or height is None:
        return None
    return quad_of(Box(left, top, left + width, top + height))


def _page_aspect(boxes: Sequence[Box], texts: Sequence[str]) -> float:
    """Return about how wide a page is for its height, which the service does not say, by the shape of its letters."""
    letters = [
        (box.right - box.left) / (len(text) * (box.bottom - box.top))
        for box, text in zip(boxes, texts, strict=True)
        if len(text) >= _LONG and box.bottom > box.top
    ]
    if len(letters) < _ENOUGH:
        return 1.0
    return min(2.5, max(0.4, _LETTER / max(1e-6, median(letters))))


def _query(raw: Raw) -> tuple[str | None, str | None]:
    query = raw.get("Query") or {}
    return query.get("Text"), query.get("Alias")


def _share(value: float) -> float:
    return 0.0 if value < 0 else 1.0 if value > 1 else value


def _percent(value: Any) -> float | None:
    return None if value is None else min(100.0, max(0.0, float(value)))

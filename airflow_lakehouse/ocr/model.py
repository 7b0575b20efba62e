"""What an engine is, what it gives, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from airflow_lakehouse.ocr.geometry import Quad

INSTALL: Final = "pip install 'airflow-lakehouse[ocr]'"


@dataclass(frozen=True, slots=True)
class Word:
    """One word where it was found, in the units of the page or image it was read from.

    :param text: the word.
    :param confidence: 0 to 100.
    :param quad: corners in text order.
    """

    text: str
    confidence: float
    quad: Quad


@dataclass(frozen=True, slots=True)
class Line:
    """One line of words in reading direction.

    :param words: at least one.
    :param confidence: 0 to 100.
    :param quad: corners in text order.
    """

    words: tuple[Word, ...]
    confidence: float
    quad: Quad

    @property
    def text(self) -> str:
        """The words with one space between them."""
        return " ".join(word.text for word in self.words)


class OcrEngine(Protocol):
    """Reads the image of a page. Building one is cheap; models are loaded by the first page."""

    @property
    def name(self) -> str:
        """Stored with every block."""

    @property
    def version(self) -> str:
        """Stored with every block; results of another version are not reused."""

    def read_page(self, image: NDArray[Any]) -> Sequence[Line]:
        """Return the lines of a page, in pixels.

        :param image: height x width x 3, 8 bit, BGR.
        :raises SetupError: when the engine cannot start on this machine.
        """


@dataclass(frozen=True, slots=True)
class EngineKind:
    """An engine as a plugin brings it; see :mod:`airflow_lakehouse.ocr.hookspecs`.

    :param name: lower case; what a profile or ``--ocr`` calls it.
    :param build: makes one, given how many threads it may use; cheap, as models are loaded by the first page.
    :param install: command that installs what it needs.
    :param needs: distributions it needs, beside the one that brings it.
    """

    name: str
    build: Callable[[int], OcrEngine]
    install: str
    needs: tuple[str, ...] = ()

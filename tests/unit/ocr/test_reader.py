from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import OcrError, SetupError
from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.reader import Worker, read_document, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_lakehouse.ocr import reader
    from airflow_lakehouse.ocr.blocks import PageRead

LONG = "\n".join("The quick brown fox jumps over the lazy dog " * 3 for _ in range(25))


def _disturb(
    tmp_path: Path, data: bytes, limits: Limits, signal_number: int
) -> tuple[reader.DocumentResult, list[PageRead]]:
    """Read a document, sending its process a signal when the third page is there."""
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    heard: list[PageRead] = []
    with Worker("none", limits) as worker:

        def disturb(read: PageRead) -> None:
            heard.append(read)
            if len(heard) == 3 and worker._process is not None:
                os.kill(worker._process.pid, signal_number)

        return worker.read(path, sha256_of(path), on_page=disturb), heard


def test_a_crash_costs_one_page(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    """The page on which the process dies fails by name; those before it stand and those after it are read."""
    result, heard = _disturb(tmp_path, make_pdf([LONG] * 12), Limits(), signal.SIGKILL)
    assert [page.page for page in result.results] == list(range(1, 13))
    assert result.count("ok") == 11
    assert [page.reason for page in result.results if page.status == "failed"] == ["ENGINE_CRASHED"]
    assert sorted(read.result.page for read in heard) == list(range(1, 13))


def test_a_hang_ends_with_the_page_limit(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    """A process that stops answering is replaced, and its page fails as TIMEOUT."""
    result, _ = _disturb(tmp_path, make_pdf([LONG] * 12), Limits(page_seconds=0.5), signal.SIGSTOP)
    assert result.count("ok") == 11
    assert [page.reason for page in result.results if page.status == "failed"] == ["TIMEOUT"]


def test_when_restarts_are_used_up_the_rest_fails(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    """Every page has an outcome even if the process may not be started again."""
    result, _ = _disturb(tmp_path, make_pdf([LONG] * 12), Limits(max_restarts=0), signal.SIGKILL)
    assert result.count("ok") + result.count("failed") == 12
    assert {page.reason for page in result.results if page.status == "failed"} == {"ENGINE_CRASHED"}
    first_failed = next(page.page for page in result.results if page.status == "failed")
    assert {page.status for page in result.results[first_failed - 1 :]} == {"failed"}


def test_a_document_over_a_limit_is_rejected(make_pdf: Callable[..., bytes]) -> None:
    """Size and page count are bounds with reasons of their own."""
    data = make_pdf(["one", "two", "three"])
    pages = read_document(data, engine="none", limits=Limits(max_pages=2))
    assert (pages.status, pages.reason, pages.pages) == ("rejected", "TOO_MANY_PAGES", 3)
    size = read_document(data, engine="none", limits=Limits(max_bytes=100))
    assert (size.status, size.reason) == ("rejected", "TOO_LARGE")


def test_reading_twice_gives_the_same_blocks(make_pdf: Callable[..., bytes]) -> None:
    """Ids, order, text and coordinates do not change from one reading to the next."""
    data = make_pdf([LONG, "short"])
    first, second = (read_document(data, engine="none") for _ in range(2))
    assert [read.blocks for read in first.page_reads] == [read.blocks for read in second.page_reads]


def test_a_page_shown_on_its_side_is_turned_upright(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    """A page whose text runs down or backwards when displayed gives the upright page's coordinates."""
    found = {}
    with Worker("none") as worker:
        for rotate in (0, 90, 180, 270):
            path = tmp_path / f"{rotate}.pdf"
            path.write_bytes(make_pdf(["Sodium 139\nPotassium"], rotate=rotate))
            (found[rotate],) = worker.read(path, "a" * 64).page_reads
    for rotate in (90, 180, 270):
        result = found[rotate].result
        assert (result.rotation, result.width_pt, result.height_pt) == (360 - rotate, 400, 600)
        for a, b in zip(found[0].blocks, found[rotate].blocks, strict=True):
            assert (a.id, a.text) == (b.id, b.text)
            assert a.polygon == pytest.approx(b.polygon, abs=1e-4)


def test_pages_of_a_reading_that_failed_are_not_given_to_the_next_document(
    tmp_path: Path, make_pdf: Callable[..., bytes]
) -> None:
    """A disk that is full while pages are stored must not put one patient's pages into another's document."""
    first, second = tmp_path / "a.pdf", tmp_path / "b.pdf"
    first.write_bytes(make_pdf([LONG] * 12))
    second.write_bytes(make_pdf(["Sodium 139"]))

    def full(_read: PageRead) -> None:
        raise OSError(28, "No space left on device")

    with Worker("none") as worker:
        with pytest.raises(OSError, match="No space"):
            worker.read(first, sha256_of(first), on_page=full)
        result = worker.read(second, sha256_of(second))
    assert result.pages == 1
    assert [block.text for block in result.page_reads[0].blocks if block.block_type == "LINE"] == ["Sodium 139"]


def test_an_engine_that_cannot_start_is_an_error_of_the_setup(
    tmp_path: Path, scan: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library missing below RapidOCR stops the run and names itself; it does not fail every scan for good."""
    (tmp_path / "rapidocr").mkdir()
    (tmp_path / "rapidocr" / "__init__.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"libGL\.so\.1.*airflow-lakehouse\[ocr\]"):
        read_document(scan, engine="local")


def test_a_scan_without_an_engine_fails_by_name(scan: bytes) -> None:
    """With engine ``none`` a page without a text layer is failed, and says that OCR was off."""
    (page,) = read_document(scan, engine="none").results
    assert (page.status, page.reason, page.method_reason) == ("failed", "OCR_DISABLED", "NO_TEXT_LAYER")


def test_stop_ends_a_reading_of_another_thread(tmp_path: Path, make_pdf: Callable[..., bytes]) -> None:
    """A task that is told to stop does not wait for the document in hand."""
    path = tmp_path / "a.pdf"
    path.write_bytes(make_pdf([LONG] * 12))
    with Worker("none") as worker, pytest.raises(OcrError, match="stopped"):
        worker.read(path, sha256_of(path), on_page=lambda _read: worker.stop())

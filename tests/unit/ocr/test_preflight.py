from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from airflow_lakehouse.ocr.limits import Limits
from airflow_lakehouse.ocr.preflight import TEXTRACT_ASYNC, TEXTRACT_SYNC, Bounds, Checked, Preflight, local_bounds
from airflow_lakehouse.ocr.reader import read_document
from airflow_lakehouse.parsing.model import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = "\n".join("The quick brown fox jumps over the lazy dog " for _ in range(20))


@pytest.fixture(scope="module")
def textract() -> Iterator[Preflight]:
    """One process for all documents of this module."""
    with Preflight(TEXTRACT_ASYNC) as preflight:
        yield preflight


def _pdf(size: tuple[float, float] = (400, 600), pages: int = 1, password: str = "") -> bytes:
    data = BytesIO()
    encrypt = StandardEncryption(password, canPrint=0, strength=128) if password else None
    canvas = Canvas(data, pagesize=size, invariant=True, encrypt=encrypt)
    for _ in range(pages):
        canvas.drawString(50, 50, "Sodium 139")
        canvas.showPage()
    canvas.save()
    return data.getvalue()


def _image(kind: str, size: tuple[int, int] = (60, 40), frames: int = 1) -> bytes:
    data = BytesIO()
    pictures = [Image.new("L", size, 255) for _ in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(data, kind, **more)
    return data.getvalue()


def _reason(found: Checked | Rejected) -> str:
    assert isinstance(found, Rejected), found
    assert found.position == 0
    assert found.detail
    return found.reason


def test_a_document_is_measured(textract: Preflight, make_pdf: Callable[..., bytes], scan: bytes) -> None:
    """Pages and their sizes are told, and on request which of them need no OCR; a scan is not among those."""
    found = textract.check(make_pdf([LONG, "", LONG]), born_digital=True)
    assert found == Checked("pdf", 3, ((400, 600),) * 3, (1, 3))
    assert textract.check(scan, born_digital=True) == Checked("pdf", 1, ((400, 600),))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_images_are_documents(textract: Preflight, kind: str) -> None:
    """By their first bytes, whatever they are called; sizes are pixels."""
    assert textract.check(_image(kind), born_digital=True) == Checked(kind.lower(), 1, ((60, 40),))


def test_every_frame_of_a_tiff_is_a_page(textract: Preflight, make_pdf: Callable[..., bytes]) -> None:
    """A fax of three pages is paid for as three, and read as three."""
    fax = _image("TIFF", frames=3)
    assert textract.check(fax) == Checked("tiff", 3, ((60, 40),) * 3)
    result = read_document(fax, engine="none")
    assert [(page.page, page.status, page.reason) for page in result.results] == [
        (number, "blank", "EMPTY_PAGE") for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EMPTY_FILE"),
        (b"<html>not found</html>", "NOT_A_PDF"),
        (b"GIF89a" + bytes(100), "NOT_A_PDF"),
        (b"%PDF-1.7 and nothing else", "CORRUPT_PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "CORRUPT_IMAGE"),
        (b"II*\x00" + struct.pack("<I", 8) + bytes(100), "CORRUPT_IMAGE"),
        (_pdf(size=(9001, 600)), "PAGE_TOO_LARGE"),
        (_image("PNG", (10_001, 4)), "IMAGE_TOO_LARGE"),
        (_pdf(password="secret"), "ENCRYPTED"),
    ],
    ids=["empty", "html", "gif", "torn-pdf", "torn-png", "torn-tiff", "page", "image", "encrypted"],
)
def test_each_rejection_has_its_reason(textract: Preflight, data: bytes, reason: str) -> None:
    """What Textract would refuse, after it was uploaded and started, is refused before, and says why."""
    assert _reason(textract.check(data)) == reason


def test_sizes_on_which_the_sources_differ_are_not_rejected(textract: Preflight) -> None:
    """Between the old and the new limit of page size the service decides, and the page is named."""
    found = textract.check(_pdf(size=(2881, 600), pages=2))
    assert isinstance(found, Checked)
    assert found.doubtful_pages == (1, 2)


def test_a_password_opens_and_is_told_to_nobody(textract: Preflight, caplog: pytest.LogCaptureFixture) -> None:
    """The local engine reads with it; Textract takes no such document; a wrong one has a reason of its own."""
    data = _pdf(password="s3cr3t-w0rd")
    assert _reason(textract.check(data, password="s3cr3t-w0rd")) == "PASSWORD_PROTECTED"
    with Preflight(local_bounds(Limits())) as local:
        assert isinstance(local.check(data, password="s3cr3t-w0rd"), Checked)
        wrong = local.check(data, password="s3cr3t-w0rd-n0t")
    assert _reason(wrong) == "WRONG_PASSWORD"
    assert "s3cr3t" not in f"{wrong!r}{caplog.text}"
    result = read_document(data, engine="none", password="s3cr3t-w0rd")
    assert [page.status for page in result.results] == ["ok"]
    assert "s3cr3t" not in repr(result)


def test_synchronous_operations_take_one_page() -> None:
    """The same document is legal for a job and not for a call."""
    with Preflight(TEXTRACT_SYNC) as sync:
        assert isinstance(sync.check(_pdf()), Checked)
        assert _reason(sync.check(_pdf(pages=2))) == "TOO_MANY_PAGES"


@pytest.mark.parametrize("kind", sorted(TEXTRACT_ASYNC.max_bytes))
def test_size_is_bound_by_format(kind: str, tmp_path: Path) -> None:
    """Every format's own bound holds to the byte; what is too large is never opened."""
    head = {"pdf": b"%PDF-1.4", "png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "tiff": b"II*\x00"}[kind]
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(TEXTRACT_ASYNC.max_bytes[kind] + 1)
    with Preflight(TEXTRACT_ASYNC) as preflight:
        assert _reason(preflight.check(path)) == "TOO_LARGE"
        assert preflight._worker._process is None


def test_a_format_without_a_bound_is_not_taken() -> None:
    """Bounds are data: an engine that reads PDFs alone says so by naming no other format."""
    only_pdf = Bounds({"pdf": 10**6}, 10, 9000, 9000, 10_000, takes_passwords=True, takes_xfa=True)
    with Preflight(only_pdf) as preflight:
        assert _reason(preflight.check(_image("PNG"))) == "UNSUPPORTED_FORMAT"


def test_an_image_without_its_paper_is_read_on_white() -> None:
    """Black strokes on a transparent ground are seen: were the ground black, the page would be blank."""
    picture = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (100, 100, 300, 200))
    data = BytesIO()
    picture.save(data, "PNG")
    (page,) = read_document(data.getvalue(), engine="none").results
    assert (page.status, page.reason) == ("failed", "OCR_DISABLED")

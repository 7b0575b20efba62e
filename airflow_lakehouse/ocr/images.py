"""Images as documents: every frame of one is a page, shown pixel for pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    import pypdfium2 as pdfium
    from numpy.typing import NDArray

DPI: Final = 200
"""What pages are rendered at: an image of that many pixels an inch is not resampled."""
_SAME_SCALE: Final = 0.01
_GIVEN_UP_PIXELS: Final = 400_000_000
"""A decoded image of more takes over a gigabyte; a PNG of a few kilobytes can claim it."""


class ImageDocument:
    """An image file with the part of PDFium's document that pages are read through.

    Every page is a document of its own, made when it is asked for: a TIFF may have thousands of frames.

    :param path: the file.
    :raises OSError: when Pillow cannot open it, or knows no such image.
    :raises MemoryError: when the image claims more pixels than are decoded.
    """

    formenv = None
    """Images have no form fields."""

    def __init__(self, path: Path) -> None:
        from PIL import Image

        # Bounded here, frame by frame; Pillow would warn at a fifth of it and raise an error of its own beyond.
        Image.MAX_IMAGE_PIXELS = None
        self._image = Image.open(path)
        self._pages = int(getattr(self._image, "n_frames", 1))

    def __len__(self) -> int:
        """Return how many frames it has."""
        return self._pages

    def sizes(self) -> list[tuple[float, float]]:
        """Return width and height of every frame, pixels."""
        found = []
        for place in range(self._pages):
            self._image.seek(place)
            found.append((float(self._image.width), float(self._image.height)))
        return found

    def __getitem__(self, place: int) -> pdfium.PdfPage:
        """Return a frame as the page of a PDF.

        :param place: 0-based.
        """
        import pypdfium2 as pdfium

        picture = self._frame(place)
        document = pdfium.PdfDocument.new()
        width, height = (side * 72 / DPI for side in picture.size)
        page = document.new_page(width, height)
        image = pdfium.PdfImage.new(document)
        bitmap = pdfium.PdfBitmap.from_pil(picture)
        image.set_bitmap(bitmap)
        image.set_matrix(pdfium.PdfMatrix().scale(width, height))
        page.insert_obj(image)
        page.gen_content()
        bitmap.close()
        return page

    def pixels(self, place: int, scale: float) -> NDArray[Any]:
        """Return a frame as pixels, height x width x 3, 8 bit, BGR; at scale 1 as they are in the file.

        :param place: 0-based.
        :param scale: pixels for one of the frame.
        """
        import numpy as np

        picture = self._frame(place)
        if abs(scale - 1) > _SAME_SCALE:
            picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
        return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])

    def _frame(self, place: int) -> Any:
        from PIL import Image, ImageOps

        self._image.seek(place)
        if self._image.width * self._image.height > _GIVEN_UP_PIXELS:
            raise MemoryError
        upright = ImageOps.exif_transpose(self._image)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            # What is transparent is paper; black by default, it would hide black text.
            upright = upright.convert("RGBA")
            paper = Image.new("RGBA", upright.size, "white")
            return Image.alpha_composite(paper, upright).convert("RGB")
        return upright.convert("RGB")

    def close(self) -> None:
        """Close the file."""
        self._image.close()

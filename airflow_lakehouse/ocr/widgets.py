"""Form fields of a page: what each is called, what was filled in, and where."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import pypdfium2 as pdfium

    from airflow_lakehouse.ocr.geometry import Box

_MOST_FIELDS: Final = 5_000
_LONGEST: Final = 20_000
"""Bytes of a value; a hostile file may claim any number."""


class Field(NamedTuple):
    """One field.

    :param key: what it is called: its label for people, else its name.
    :param value: what was filled in; None for nothing, and for boxes to tick.
    :param is_selected: whether a box is ticked; None for other fields.
    :param box: where it is, on the displayed page.
    """

    key: str
    value: str | None
    is_selected: bool | None
    box: Box


def fields(pdf: Any, page: pdfium.PdfPage, displayed: Callable[[float, float, float, float], Box]) -> list[Field]:
    """Return the fields of a page. To be asked before the page is flattened: then they are gone.

    :param pdf: the open document.
    :param page: a loaded page.
    :param displayed: returns a rectangle of the page, given as left, bottom, right, top, as displayed.
    """
    from pypdfium2 import raw

    form = pdf.formenv
    if form is None:
        return []
    found = []
    for place in range(min(_MOST_FIELDS, raw.FPDFPage_GetAnnotCount(page))):
        annotation = raw.FPDFPage_GetAnnot(page, place)
        if not annotation:
            continue
        try:
            if raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_WIDGET:
                field = _field(form, annotation, displayed)
                if field is not None:
                    found.append(field)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return found


def _field(form: Any, annotation: Any, displayed: Callable[[float, float, float, float], Box]) -> Field | None:
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    rect = raw.FS_RECTF()
    if kind in (raw.FPDF_FORMFIELD_UNKNOWN, raw.FPDF_FORMFIELD_PUSHBUTTON, raw.FPDF_FORMFIELD_SIGNATURE):
        return None
    if not raw.FPDFAnnot_GetRect(annotation, rect):
        return None
    key = _text(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    key = key or _text(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    if not key:
        return None
    box = displayed(rect.left, rect.bottom, rect.right, rect.top)
    if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        return Field(key, None, bool(raw.FPDFAnnot_IsChecked(form, annotation)), box)
    return Field(key, _text(raw.FPDFAnnot_GetFormFieldValue, form, annotation) or None, None, box)


def _text(get: Any, form: Any, annotation: Any) -> str:
    length = min(_LONGEST, get(form, annotation, None, 0))
    if length <= 2:  # noqa: PLR2004 - the zero at its end
        return ""
    buffer = ctypes.create_string_buffer(length)
    get(form, annotation, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
    return " ".join(buffer.raw.decode("utf-16-le", "replace").partition("\0")[0].split())

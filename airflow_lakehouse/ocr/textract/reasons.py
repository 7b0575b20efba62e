"""Why Amazon Textract did not read a document, or a batch did not."""

from __future__ import annotations

from typing import Final

BAD_DOCUMENT: Final = "TEXTRACT_BAD_DOCUMENT"
"""Textract cannot read the document (``BadDocumentException``)."""
UNSUPPORTED_DOCUMENT: Final = "TEXTRACT_UNSUPPORTED_DOCUMENT"
"""Textract does not take the format (``UnsupportedDocumentException``)."""
DOCUMENT_TOO_LARGE: Final = "TEXTRACT_DOCUMENT_TOO_LARGE"
"""Textract finds the document too large (``DocumentTooLargeException``)."""
JOB_FAILED: Final = "TEXTRACT_JOB_FAILED"
"""Every job that was started for the document ended as FAILED; the next run starts another one."""
INVALID_OBJECT: Final = "TEXTRACT_INVALID_S3_OBJECT"
"""Textract cannot reach the object: its name, its Region, or the rights of the role; the next run tries again."""
TIMEOUT: Final = "TEXTRACT_TIMEOUT"
"""The document took longer than it may; only in a batch's report: its job goes on, the next run takes its result."""
OVERWRITTEN: Final = "TEXTRACT_OVERWRITTEN"
"""The object was overwritten again and again while it was read; only in a batch's report, the next run reads it."""

TRIED_AGAIN: Final = (JOB_FAILED, INVALID_OBJECT)
"""Rejections that say nothing of the content: the next run looks again."""

"""What a sample holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SampleReport:
    """Counts of what was written.

    :param files: files.
    :param records: resource type to records, repeats and older versions included.
    :param broken: kind of defect to records that must end in quarantine.
    :param documents: PDFs, the broken one included.
    :param pages: pages of the PDFs that can be read.
    """

    files: int = 0
    records: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    pages: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "files": self.files,
            "records": dict(self.records),
            "broken": dict(self.broken),
            "documents": self.documents,
            "pages": self.pages,
        }

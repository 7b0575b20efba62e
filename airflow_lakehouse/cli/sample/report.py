"""What a sample holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class SampleReport:
    """Counts of what was written.

    :param files: files, PDFs included.
    :param records: resource type to well-formed records; repeats, older versions and flagged ones included.
    :param broken: reason code to records that must end in quarantine with it.
    :param flagged: flag to records that are loaded and carry it; they are among ``records``.
    :param documents: PDFs, the broken ones included.
    :param pages: pages of the PDFs that can be read.
    """

    files: int
    records: Mapping[str, int]
    broken: Mapping[str, int]
    flagged: Mapping[str, int]
    documents: int
    pages: int

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "files": self.files,
            "records": dict(self.records),
            "broken": dict(self.broken),
            "flagged": dict(self.flagged),
            "documents": self.documents,
            "pages": self.pages,
        }


@dataclass
class Tally:
    """The counts while they grow; see :class:`SampleReport` for their meaning."""

    files: int = 0
    records: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    pages: int = 0

    def report(self) -> SampleReport:
        """Return the counts as they are now."""
        return SampleReport(
            files=self.files,
            records=MappingProxyType(dict(sorted(self.records.items()))),
            broken=MappingProxyType(dict(sorted(self.broken.items()))),
            flagged=MappingProxyType(dict(sorted(self.flagged.items()))),
            documents=self.documents,
            pages=self.pages,
        )

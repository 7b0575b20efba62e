"""Why a FHIR record was rejected, and what was odd about one that was loaded. Each code is stated here alone."""

from __future__ import annotations

from typing import Final

EMPTY_FILE: Final = "EMPTY_FILE"
"""The file holds no record at all."""
INVALID_UTF8: Final = "INVALID_UTF8"
"""The bytes are not UTF-8, so the exact text cannot be kept as text."""
INVALID_JSON: Final = "INVALID_JSON"
"""Not JSON: a comment, a bare word, NaN, a control character, too deep."""
TRUNCATED_JSON: Final = "TRUNCATED_JSON"
"""JSON that stops before its end."""
TRAILING_CONTENT: Final = "TRAILING_CONTENT"
"""Something follows the object on its line, or the last value of the file: an object, a comma, a brace too many."""
NOT_AN_OBJECT: Final = "NOT_AN_OBJECT"
"""JSON, but no object where a resource belongs."""
NO_RESOURCE_TYPE: Final = "NO_RESOURCE_TYPE"
"""An object that does not say what resource it is: resourceType is absent, or no name."""
EMPTY_ENTRY: Final = "EMPTY_ENTRY"
"""A Bundle entry with neither a resource nor a deletion."""
CONDITIONAL_DELETE: Final = "CONDITIONAL_DELETE"
"""A Bundle entry that deletes what a search finds; which resources that are, only the server knows."""

MISSING_ID: Final = "MISSING_ID"
"""Flag: the resource has no id; it is in bronze and cannot be in silver."""
BAD_ID: Final = "BAD_ID"
"""Flag: the id is none FHIR allows (1 to 64 letters, digits, ``-`` and ``.``); it is taken as it was sent."""
ID_FROM_FULL_URL: Final = "ID_FROM_FULL_URL"
"""Flag: the id is the uuid of the Bundle entry's fullUrl."""
BAD_META: Final = "BAD_META"
"""Flag: meta is not an object, or meta.lastUpdated not an instant."""

"""One corpus of awkward FHIR records, a case each, for every tool that :mod:`fhir_peers` compares.

A case is a file. Most are NDJSON in which the awkward record, ``x``, stands between two good ones, ``n1`` and ``n2``.
What is right follows from FHIR R4 (https://hl7.org/fhir/R4/), not from what any tool does.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One kind of trouble.

    :param name: what is wrong, as a reader of the table sees it.
    :param content: the file's bytes.
    :param type: resource type of the awkward record.
    :param probe: column of silver that shows whether it was understood; empty where being there is all.
    :param path: the same as a SQL expression on the resource as FHIR nests it.
    :param right: what must be there, as text; None for null.
    :param rows: how many rows of ``x`` there must be; 0 where it must not be among the good ones.
    :param suffix: of the file's name.
    :param sent: the probed value as the source wrote it; a tool that types nothing may show that.
    """

    name: str
    content: bytes
    type: str = "Patient"
    probe: str = ""
    path: str = ""
    right: str | None = None
    rows: int = 1
    suffix: str = "ndjson"
    sent: str | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether the source deleted the record, so that no row is what is right."""
        return b'"DELETE"' in self.content

    @property
    def neighbours(self) -> int:
        """How many good records stand beside it."""
        # Where gzip cut it off, the second is not there any more.
        return sum(b'"%s"' % one in self.content for one in (b"n1", b"n2")) if self.suffix != "ndjson.gz" else 1


def _resource(id_: str, type_: str = "Patient", **more: Any) -> bytes:
    return json.dumps({"resourceType": type_, "id": id_, **more}).encode()


def _observation(id_: str, **more: Any) -> bytes:
    said = {"status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": id_}]}}
    own = {"subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-01-02T03:04:05Z"}
    return _resource(id_, "Observation", **{**said, **own, **more})


def _between(*lines: bytes, type_: str = "Patient") -> bytes:
    ends = [_observation(id_) if type_ == "Observation" else _resource(id_, type_) for id_ in ("n1", "n2")]
    return b"\n".join([ends[0], *lines, ends[1]]) + b"\n"


def _line(name: str, line: bytes, *, rows: int = 0) -> Case:
    return Case(name, _between(line), rows=rows)


def _gender(name: str, *lines: bytes, right: str) -> Case:
    return Case(name, _between(*lines), probe="gender", path="gender", right=right)


def _value(name: str, text: str, probe: str, path: str, right: str | None) -> Case:
    line = _observation("x").replace(b'"status"', text.encode() + b', "status"', 1)
    return Case(name, _between(line, type_="Observation"), "Observation", probe, path, right)


def _quantity(name: str, number: str, right: str | None) -> Case:
    return _value(name, f'"valueQuantity": {{"value": {number}, "unit": "g"}}', "value", "valueQuantity.value", right)


def _time(name: str, text: str, right: str | None) -> Case:
    line = _observation("x", effectiveDateTime=text)
    return Case(
        name, _between(line, type_="Observation"), "Observation", "obs_time", "effectiveDateTime", right, sent=text
    )


def _subject(name: str, reference: dict[str, Any], right: str | None, **more: Any) -> Case:
    content = _between(_observation("x", subject=reference, **more), type_="Observation")
    sent = reference.get("reference")
    return Case(name, content, "Observation", "patient_id", "subject.reference", right, sent=sent)


def cases() -> tuple[Case, ...]:
    """Return the corpus."""
    return (*_broken(), *_shapes(), *_versions(), *_values(), *_times(), *_references(), *_drift())


def _broken() -> list[Case]:
    x = _resource("x")
    payload = base64.b64encode(b"\7" * (16 * 2**20))
    return [
        _line("line cut off", x[:-5]),
        _line("line of garbage", b"garbage"),
        _line("empty object", b"{}"),
        _line("array in a line", b"[" + x + b"]"),
        _line("NaN for a number", x[:-1] + b', "multipleBirthInteger": NaN}'),
        _line("single quotes", x.replace(b'"', b"'")),
        _line("comment", x.replace(b"{", b"{/* c */", 1)),
        _line("comma before the brace", x[:-1] + b",}"),
        _line("two objects on one line", x + _resource("y")),
        _line("two objects, braces in their texts", x[:-1] + b', "language": "{"}' + x[:-1] + b', "language": "}"}'),
        Case("first byte of the file wrong", b"[" + _resource("y")[1:] + b"\n" + _between(x)),
        _line("byte that is not UTF-8", _resource("x", language="M")[:-2] + b'\xfc"}'),
        _line("control character in a text", _resource("x", language="M")[:-2] + b'\x01"}'),
        _line("lone surrogate", x[:-1] + b', "language": "\\ud800"}', rows=1),
        _line("1,200 objects deep", x[:-1] + b', "extension": ' + b'{"a":' * 1200 + b"1" + b"}" * 1200 + b"}"),
        _line("text of 22 MB", x[:-1] + b', "photo": [{"data": "%s"}]}' % payload, rows=1),
    ]


def _shapes() -> list[Case]:
    x, lines = _resource("x"), _between(_resource("x"))
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": json.loads(x)}]})
    stored = gzip.compress(_between(*(_resource(f"g{number}") for number in range(40)), x), 0, mtime=0)
    return [
        Case("byte-order mark, CRLF, blank lines", b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n\r\n")),
        Case("no newline at the end", lines[:-1]),
        Case("gzip without its last bytes", stored[:-30], rows=1, suffix="ndjson.gz"),
        Case("Bundle on a line", _between(bundle.encode())),
        Case("pretty-printed file", json.dumps(json.loads(x), indent=1).encode(), suffix="json"),
        Case("file that is one array", b"[" + x + b", " + _resource("n1") + b"]", suffix="json"),
        Case("NaN in one entry of a Bundle", _bundle_of(b'{"resourceType": "Basic", "x": NaN}', x), suffix="json"),
        Case("two resources in one entry", _bundle_of(x + b', "resource": ' + _resource("y")), rows=0, suffix="json"),
        Case("another type in the file", _between(_resource("m", "Medication"), x)),
    ]


def _bundle_of(*resources: bytes) -> bytes:
    entries = b", ".join(b'{"resource": %s}' % one for one in resources)
    return b'{"resourceType": "Bundle", "type": "collection", "entry": [%s]}' % entries


def _version(gender: str, version: str, updated: str | None = None) -> bytes:
    meta = {"versionId": version, **({"lastUpdated": updated} if updated else {})}
    return _resource("x", meta=meta, gender=gender)


def _versions() -> list[Case]:
    late, early = _version("male", "2", "2026-02-01T00:00:00Z"), _version("female", "1", "2026-01-01T00:00:00Z")
    zones = [
        _version("male", "1", "2026-01-01T05:00:00Z"),
        _version("female", "1", "2026-01-01T10:00:00+10:00"),
    ]
    deleted = {"resourceType": "Bundle", "type": "history", "entry": [{"resource": json.loads(early)}]}
    deleted["entry"].insert(0, {"request": {"method": "DELETE", "url": "Patient/x"}})  # type: ignore[attr-defined]
    deleted["entry"][0]["response"] = {"lastModified": "2026-03-01T00:00:00Z"}  # type: ignore[index]
    return [
        _line("no id", b'{"resourceType": "Patient", "gender": "male"}'),
        Case("id that is a number", _between(_resource("x").replace(b'"x"', b"123", 1))),
        _gender("newer version before the older", late, early, right="male"),
        _gender("version 10 before version 9", _version("male", "10"), _version("female", "9"), right="male"),
        _gender("time zones in lastUpdated", *zones, right="male"),
        _gender("the same line twice", late, late, right="male"),
        Case("deleted after it was created", json.dumps(deleted).encode(), rows=0, suffix="json"),
    ]


def _values() -> list[Case]:
    parts = [{"code": {"coding": [{"code": f"c{number}"}]}, "valueString": "v"} for number in range(2)]
    with_parts = _observation("x", component=parts)
    return [
        _quantity("12345678901234567890.12", "12345678901234567890.12", "12345678901234567890.12"),
        _quantity("0.1234567890123456789", "0.1234567890123456789", "0.1234567890123456789"),
        _quantity("1.5e-7", "1.5e-7", "0.00000015"),
        _quantity("1e-13", "1e-13", "1e-13"),
        _quantity("number as text", '"5"', "5"),
        _quantity("1e400", "1e400", "1e400"),
        _value("false", '"valueBoolean": false', "value_text", "valueBoolean", "false"),
        _value("0", '"valueInteger": 0', "value", "valueInteger", "0"),
        _value("two values", '"valueString": "a", "valueInteger": 5', "value_text", "valueString", "a"),
        _value("comparator", '"valueQuantity": {"value": 5, "comparator": "<"}', "comparator", "", "<"),
        Case("components", _between(with_parts, type_="Observation"), "Observation", rows=3),
    ]


def _times() -> list[Case]:
    return [
        _time("only a year", "2026", None),
        _time("only a month", "2026-03", None),
        _time("30 February", "2026-02-30", None),
        _time("hour 24", "2026-01-01T24:00:00Z", None),
        _time("time without zone", "2026-01-01T10:00:00", None),
        _time("offset", "2026-01-01T10:00:00+10:00", "2026-01-01 00:00:00"),
        _time("out of every calendar", "9999-12-31T23:59:59-14:00", None),
        _time("ten digits of a second", "2026-01-01T10:00:00.1234567891Z", "2026-01-01 10:00:00.123456"),
    ]


def _references() -> list[Case]:
    uuid = "11111111-2222-3333-4444-555555555555"
    entries = [
        {"fullUrl": f"urn:uuid:{uuid}", "resource": {"resourceType": "Patient", "id": "p"}},
        {"resource": json.loads(_observation("x", subject={"reference": f"urn:uuid:{uuid}"}))},
    ]
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
    inner = {"contained": [{"resourceType": "Patient", "id": "in"}]}
    return [
        Case("urn:uuid inside a Bundle", bundle, "Observation", "patient_id", "subject.reference", "p", 1, "json"),
        _subject("absolute", {"reference": "https://x.org/fhir/Patient/p"}, "p"),
        _subject("versioned", {"reference": "Patient/p/_history/2"}, "p"),
        _subject("to a group", {"reference": "Group/g"}, None),
        _subject("contained", {"reference": "#in"}, None, **inner),
        _subject("conditional", {"reference": "Patient?identifier=5"}, None),
        _subject("display only", {"display": "somebody"}, None),
    ]


def _drift() -> list[Case]:
    r5 = _resource("x", "Encounter", status="completed", **{"class": [{"coding": [{"code": "AMB"}]}]})
    modifier = [{"url": "https://x.org/not", "valueBoolean": True}]
    return [
        _gender("field that nobody knows", _resource("x", gender="male", favouriteColour="red"), right="male"),
        _gender("name that is a text", _resource("x", gender="male", name="Jane"), right="male"),
        _gender("birthDate that is a number", _resource("x", gender="male", birthDate=1980), right="male"),
        _gender("key twice", _resource("x", gender="f")[:-1] + b', "gender": "male"}', right="male"),
        _gender("key in another case", _resource("x", gender="male", Gender="female"), right="male"),
        _line("modifier extension", _resource("x", modifierExtension=modifier), rows=0),
        _line("modifier extension in a part", _resource("x", contact=[{"modifierExtension": modifier}]), rows=0),
        Case("Encounter of R5", _between(r5, type_="Encounter"), "Encounter", "status", "status", "completed"),
    ]


COLUMNS: Final = {"value": ("value_number", "value_text")}
"""Probe to the columns of silver that may hold it, where the probe is no column itself."""


def write(folder: Path) -> list[tuple[Case, Path]]:
    """Write the corpus, a folder a case, so that no case meets the ids of another.

    :param folder: where to.
    :return: each case and its file.
    """
    written = []
    for number, case in enumerate(cases()):
        path = folder / f"source=c{number:02}" / f"case.{case.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content)
        written.append((case, path))
    return written


def error_name(error: Exception) -> str:
    """Return the innermost Java class that an error names, else its own.

    :param error: from Spark.
    """
    words = [word.strip(":,;()[]") for word in str(error).split()]
    named = [word for word in words if word.endswith(("Exception", "Error")) and "." in word]
    inner = [word for word in named if "spark" not in word.lower()]
    return (inner or named or [type(error).__name__])[-1].rpartition(".")[2]

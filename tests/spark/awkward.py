"""A drop of FHIR files with one kind of trouble each. What becomes of every record is in ``awkward_expected.json``."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def _patient(id_: str, **more: Any) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": id_, **more}).encode()


def _bundle(kind: str, *entries: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries)}).encode()


def _lines(*lines: bytes) -> bytes:
    return b"\n".join(lines) + b"\n"


def _entry(id_: str, **more: Any) -> dict[str, Any]:
    return {"resource": json.loads(_patient(id_, **more))}


def _request(method: str, url: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}}


def write_corpus(root: Path) -> None:
    """Write the files.

    :param root: folder to write them to.
    """
    root.mkdir(parents=True)
    for name, content in {**_encodings(), **_json(), **_identities(), **_bundles(), **_gzips(), **_fields()}.items():
        (root / name).write_bytes(content)


def _encodings() -> dict[str, bytes]:
    a, b = _patient("a"), _patient("b")
    return {
        "bom_crlf_blank.ndjson": b"\xef\xbb\xbf" + a + b"\r\n\r\n  \r\n" + b,
        "utf16.ndjson": (a.decode() + "\n").encode("utf-16"),
        "latin1_line.ndjson": _lines(a, b'{"resourceType":"Patient","id":"l","x":"M\xfcller"}', b),
        "empty.ndjson": b"",
        "blank.json": b" \n \n",
        "noise.bin": bytes(range(256)),
        "name \u00e9 %41.ndjson": a,
    }


def _json() -> dict[str, bytes]:
    a, b = _patient("a"), _patient("b")
    wrong = [b"NaN", b".5", b"01", b"+1", b"1.", b"0x10", b"Infinity", b"'x'", b'"\x01"', b'"\\x"', b"tru"]
    deep = [b"[" * 5000 + b"]" * 5000, b'{"a":' * 1200 + b"1" + b"}" * 1200]
    glued = [a + b, a + b"  " + b, a + b"," + b, a + b", x " + b, a + b"}", a + b",", a + b" // said", b"// said"]
    return {
        "truncated_tail.ndjson": _lines(a, b)[:-1] + b'\n{"resourceType":"Patient","id":"c"',
        "values.ndjson": _lines(a, *(b'{"resourceType":"Patient","id":"v","x":%s}' % one for one in wrong), b),
        "surrogate.ndjson": _lines(a, b'{"resourceType":"Patient","id":"s","x":"\\ud800"}', b),
        "deep.ndjson": _lines(a, *(b'{"resourceType":"Basic","id":"d","x":%s}' % one for one in deep), b),
        "glued.ndjson": _lines(a, *glued, b),
        "not_objects.ndjson": _lines(a, b"[]", b'"x"', b"5", b"null", b"garbage", b"{}", b),
        "quotes.ndjson": _lines(a, b"{'resourceType':'Patient'}", b'{resourceType:"Patient"}', a[:-1] + b",}", b),
        "comments.ndjson": _lines(a, b'{"resourceType":"Patient",/*c*/"id":"c"}', b),
        "array.json": b"[" + a + b', 5, "x", null, ' + b + b"]",
        "pretty.json": json.dumps(json.loads(a), indent=2).encode(),
        "huge.ndjson": _lines(
            a, b'{"resourceType":"Binary","id":"h","data":"%s"}' % base64.b64encode(b"\7" * (45 * 2**20)), b
        ),
    }


def _identities() -> dict[str, bytes]:
    ids = [b"123", b'"%s"' % (b"x" * 65), b'"urn:uuid:1"', b"null", b'["a"]', b'""', b'" a "', b"{}"]
    types = [b"5", b'""', b"null", b'"patient"', b'"Novelty"', b'["Patient"]']
    metas = [b'"x"', b"[]", b'{"lastUpdated":"2026-13-45T00:00:00Z"}', b'{"versionId":5,"lastUpdated":"2026-01-01"}']
    metas += [b'{"lastUpdated":"9999-12-31T23:59:59-14:00"}', b'{"lastUpdated":"0000-01-01T00:00:00Z"}']
    modifiers = [b'[{"url":"x","valueBoolean":true}]', b"[]", b"null", b'{"url":"x"}']
    return {
        "modifiers.ndjson": _lines(
            *(b'{"resourceType":"Patient","id":"x%d","modifierExtension":%s}' % one for one in enumerate(modifiers))
        ),
        "ids.ndjson": _lines(
            b'{"resourceType":"Patient"}', *(b'{"resourceType":"Patient","id":%s}' % one for one in ids)
        ),
        "types.ndjson": _lines(b'{"id":"t"}', *(b'{"resourceType":%s,"id":"t"}' % one for one in types)),
        "metas.ndjson": _lines(*(b'{"resourceType":"Patient","id":"m","meta":%s}' % one for one in metas)),
        "keys.ndjson": _lines(
            b'{"resourceType":"Patient","id":"k1","gender":"male","gender":"female"}',
            b'{"resourceType":"Patient","id":"k2","Gender":"male","gender":"female"}',
            b'{"ResourceType":"Patient","ID":"k3"}',
        ),
    }


def _bundles() -> dict[str, bytes]:
    deletes = [_request("DELETE", url) for url in ("Patient/a", "/Patient/b/", "https://x/fhir/Patient/c")]
    odd = [_request("DELETE", "Patient?identifier=x"), _request("GET", "Patient/1"), {"response": {"status": "200"}}]
    transaction = _bundle("transaction", *deletes, *odd, {"resource": None}, 5, _entry("d"))
    history = _bundle("history", _entry("h", meta={"versionId": "2"}), _entry("h", meta={"versionId": "10"}))
    return {
        "transaction.json": transaction,
        "history.json": history,
        "searchset.json": _bundle("searchset", _entry("s"), {"resource": {"resourceType": "OperationOutcome"}}),
        "bundles.ndjson": _lines(*(_bundle("collection", _entry(f"{one}a"), _entry(f"{one}b")) for one in range(3))),
        "no_entries.json": _bundle("collection"),
        "deleted.ndjson": _lines(_bundle("transaction", _request("DELETE", "Patient/z"))),
        "error.ndjson": _lines(b'{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}'),
        "log.ndjson": _lines(b'{"exportId":"1","eventId":"kickoff"}', b'{"exportId":"1","eventId":"status_complete"}'),
        "manifest.json": b'{"transactionTime":"2026-01-01T00:00:00Z","output":[],"error":[]}',
        "mixed.ndjson": _lines(
            _patient("m"), _bundle("collection", _entry("n")), _bundle("searchset"), b'{"resourceType":"Medication"}'
        ),
        "entry_no_array.json": b'{"resourceType":"Bundle","entry":{"resource":1}}',
        "broken_bundle.json": _bundle("collection", _entry("b1"), _entry("b2"))[:-30],
    }


def _gzips() -> dict[str, bytes]:
    two = _lines(_patient("a"), _patient("b"))
    # Stored, not deflated: where the cut falls must not depend on who compresses.
    stored = gzip.compress(_lines(*(_patient(f"s{one}") for one in range(20))), 0, mtime=0)
    return {
        "named_nothing": gzip.compress(two, mtime=0),
        "members.ndjson.gz": gzip.compress(two, mtime=0) + gzip.compress(_lines(_patient("c")), mtime=0),
        "cut_off.ndjson.gz": stored[: len(stored) // 2],
        "junk_behind.ndjson.gz": gzip.compress(two, mtime=0) + b"junk",
        "plain.ndjson.gz": two,
    }


def _fields() -> dict[str, bytes]:
    """Fields of the wrong kind: the row stays, the field is null, the text is kept."""
    said = b'"status":"final","code":{"coding":[{"code":"c"}]},"subject":{"reference":"Patient/p"}'
    values = [
        b'"effectiveDateTime":"2026-01-01T24:00:00Z"',
        b'"effectiveDateTime":"2026-01-01T23:59:60Z"',
        b'"effectiveDateTime":"9999-12-31"',
        b'"effectiveDateTime":"9999-12-31T23:59:59-14:00"',
        b'"effectiveDateTime":"0001-01-01"',
        b'"effectiveDateTime":"0000"',
        b'"effectiveDateTime":["2026"]',
        b'"effectiveDateTime":"2026-01-02","valueQuantity":{"value":1e400}',
        b'"effectiveDateTime":"2026-01-03","valueQuantity":{"value":"5"}',
        b'"effectiveDateTime":"2026-01-04","valueString":""',
        b'"effectiveDateTime":"2026-01-05","component":{"a":1}',
        b'"effectiveDateTime":"0001-01-01T23:00:00+01:00"',
        b'"effectiveDateTime":"0001-01-01T00:59:59+01:00"',
        b'"effectiveDateTime":"9999-12-31T01:00:00-14:00"',
    ]
    lines = [b'{"resourceType":"Observation","id":"o%d",%s,%s}' % (no, said, one) for no, one in enumerate(values)]
    return {
        "observations.ndjson": _lines(*lines),
        "kinds.ndjson": _lines(
            b'{"resourceType":"Patient","id":"w1","name":"Jane","birthDate":5,"gender":{"a":1},"telecom":null}',
            b'{"resourceType":"Patient","id":"w2","birthDate":"0000-01-01","deceasedBoolean":"yes"}',
            b'{"resourceType":"Encounter","id":"w3","period":"x","class":{"code":["a"]},"subject":[1],"status":7}',
            b'{"resourceType":"Condition","id":"w4","code":{"coding":"x"},"onsetDateTime":"2026","clinicalStatus":"a"}',
            b'{"resourceType":"DocumentReference","id":"w5","content":[{"attachment":{"data":"!!!"}}]}',
        ),
    }

"""Write the elements of FHIR R4 as the FHIR parser needs them: type to field to type, an array marked with ``*``.

The input is ``r4.d.ts`` of the npm package ``@types/fhir`` (MIT), which states the JSON form of every R4 type
(https://hl7.org/fhir/R4/json.html); the definitions themselves are HL7's, under CC0:

    npm pack @types/fhir@0.0.41 && tar xzf types-fhir-0.0.41.tgz
    python tools/fhir_elements.py fhir/r4.d.ts > airflow_lakehouse/parsers/fhir/r4_elements.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

_INTERFACE = re.compile(
    r"^export interface (\w+)(?:<[^>]*>)?(?: extends (\w+))?[^{]*\{$(.*?)^\}", re.MULTILINE | re.DOTALL
)
_FIELD = re.compile(r"^  (?:readonly )?(\w+)\??: (.+);$", re.MULTILINE)
_PRIMITIVES = ("string", "number", "boolean")


def elements(text: str) -> dict[str, dict[str, str]]:
    """Return type to field to type.

    :param text: of the declaration file.
    """
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    own, bases = {}, {}
    for name, base, body in _INTERFACE.findall(text):
        own[name] = {field: _type(declared) for field, declared in _FIELD.findall(body)}
        bases[name] = base
    found = {}
    for name in own:
        fields: dict[str, str] = {}
        ancestor = name
        while ancestor in own:
            fields = {**own[ancestor], **fields}
            ancestor = bases[ancestor]
        # The companions of primitives (_birthDate) follow from the primitives themselves.
        found[name] = {field: type_ for field, type_ in sorted(fields.items()) if not field.startswith("_")}
    return found


def _type(declared: str) -> str:
    """Return the name of a type; a choice of literals is a string."""
    plain = declared.replace("| undefined", "").replace("(", "").replace(")", "").strip()
    many = "*" if plain.endswith("[]") else ""
    plain = re.sub(r"<.*", "", plain.removesuffix("[]"))
    return ("string" if "'" in plain else plain) + many


def main() -> None:
    """Read the file that is named and print JSON, one type a line."""
    found = elements(Path(sys.argv[1]).read_text())
    lines = [
        f"{json.dumps(name)}: {json.dumps(fields, separators=(',', ':'))}" for name, fields in sorted(found.items())
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()

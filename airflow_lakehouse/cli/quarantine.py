"""``lakehouse quarantine``: what was rejected, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.show import as_text
from airflow_lakehouse.cli.warehouse import add_warehouse, positive, print_json, profile_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from airflow_lakehouse.profile import Profile

_PLACE: Final = ("source_uri", "source_etag", "position", "entry", "reason", "detail", "parser")
_SHOWN_BYTES: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    add_warehouse(parser)
    parser.add_argument("--reason", metavar="CODE", help="only rejects of this reason")
    parser.add_argument("--limit", type=positive, default=3, metavar="N", help="examples a reason (default 3)")
    parser.add_argument("--show-text", action="store_true", help="print the rejected bytes too: they may name patients")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print reasons with counts, and examples.

    :param options: the parsed options.
    """
    reasons, examples = read_quarantine(profile_of(options), options.reason, options.limit, text=options.show_text)
    if options.json:
        print_json({"reasons": reasons, "examples": examples})
        return 0
    sys.stdout.write(as_text(reasons) if reasons else "nothing is in quarantine\n")
    for example in examples:
        sys.stdout.write("\n" + "".join(f"{name}: {value}\n" for name, value in example.items() if value is not None))
    return 0


def read_quarantine(
    profile: Profile, reason: str | None, limit: int, *, text: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return counts and examples of what is in quarantine; of files that were replaced, nothing.

    :param profile: the lakehouse.
    :param reason: only this one.
    :param limit: examples a reason.
    :param text: also return the rejected bytes of the examples.
    """
    from airflow_lakehouse.spark.bronze.quarantine import live_rejects
    from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

    # The bytes are the bulk of the table, and nobody's business unless asked for.
    fields = (*_PLACE, "raw") if text else _PLACE
    live = sorted(
        live_rejects(load_pyiceberg(profile), reason, fields),
        key=lambda row: (row["reason"], row["source_uri"], row["position"], row["entry"]),
    )
    return _counts(live), [_example(row) for row in _first(live, limit)]


def _counts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    files: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in rows:
        files.setdefault((row["reason"], row["parser"]), []).append((row["source_uri"], row["source_etag"]))
    return [
        {"reason": reason, "parser": parser, "records": len(found), "files": len(set(found))}
        for (reason, parser), found in sorted(files.items(), key=lambda one: -len(one[1]))
    ]


def _first(rows: list[dict[str, Any]], limit: int) -> Iterable[dict[str, Any]]:
    seen: dict[str, int] = {}
    for row in rows:
        seen[row["reason"]] = seen.get(row["reason"], 0) + 1
        if seen[row["reason"]] <= limit:
            yield row


def _example(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in _PLACE if name != "source_etag"}
    if row.get("raw") is not None:
        shown["text"] = bytes(row["raw"][:_SHOWN_BYTES]).decode("utf-8", "replace")
    return shown

"""What ``lakehouse demo`` shows at its end."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.cli.show import as_text, read_rows
from airflow_lakehouse.cli.tables import list_tables
from airflow_lakehouse.tables import bronze

if TYPE_CHECKING:
    from airflow_lakehouse.cli.airflow_home import AirflowHome
    from airflow_lakehouse.profile import Profile

PREVIEW_ROWS: Final = 5
_NARROWEST: Final = 120
_UNTOLD: Final = ("source_system", "source_uri", "doc_id", "code_system", "replaced_by")


def render(home: AirflowHome, seconds: dict[str, float]) -> str:
    """Return tables with their rows, quarantine by reason, a preview of gold, times, and what to try next.

    :param home: where it ran.
    :param seconds: stage to seconds.
    """
    tables = list_tables(home.profile)
    gold = [table["name"] for table in tables if table["namespace"] == "gold"]
    parts = [
        _titled("Tables", _numbers([(table["name"], f"{table['rows']:,}") for table in tables], "rows")),
        _titled("Quarantine", _quarantine(home.profile)),
        *(_titled(name, as_text(_fitting(read_rows(home.profile, name, PREVIEW_ROWS)))) for name in gold),
        _titled("Time", _numbers([(name, f"{value:,.1f}") for name, value in seconds.items()], "seconds")),
        _titled("What to try next", what_next(home)),
    ]
    return "\n".join(parts)


def in_words(result: dict[str, Any]) -> str:
    """Return a task's counts as a few words.

    :param result: what the task returned.
    """
    plain = {"files": "file", "documents": "document", "pages_ok": "page", "pages_failed": "unreadable page"}
    # A sensor counts files; a job tells how many it found, loaded and skipped.
    counts = {**result, "files": files.get("loaded", 0)} if isinstance(files := result.get("files"), dict) else result
    words = [_counted(counts[name], word) for name, word in plain.items() if counts.get(name)]
    if result.get("dt"):
        words.append(_counted(len(result["dt"]), "day"))
    if result.get("tables"):
        words.append(f"{sum(table.get('added', 0) for table in result['tables'].values()):,} rows added")
    if result.get("quarantine"):
        words.append(f"{sum(result['quarantine'].values()):,} quarantined")
    return ", ".join(words) or ("nothing new" if result.get("status") == "unchanged" else "")


def quarantine_reasons(profile: Profile) -> Counter[str]:
    """Return how many records lie in quarantine for each reason.

    :param profile: the lakehouse.
    """
    from airflow_lakehouse.spark.storage.catalog import find_table, load_pyiceberg

    table = find_table(load_pyiceberg(profile), bronze.QUARANTINE.identifier)
    if table is None:
        return Counter()
    return Counter(table.scan(selected_fields=("reason",)).to_arrow()["reason"].to_pylist())


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _numbers(rows: list[tuple[str, str]], title: str) -> str:
    """Return names at the left and numbers under one another at the right."""
    names = max(len(name) for name, _ in rows)
    width = max(len(title), *(len(number) for _, number in rows))
    return "".join(f"{name:{names}}  {number:>{width}}\n" for name, number in [("", title), *rows])


def _quarantine(profile: Profile) -> str:
    reasons = quarantine_reasons(profile)
    if not reasons:
        return "nothing was rejected\n"
    return _numbers([(reason, f"{count:,}") for reason, count in reasons.most_common()], "records")


def _fitting(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep as many telling columns as a terminal line has room for: not those that are empty, or address a file."""
    room = max(_NARROWEST, shutil.get_terminal_size().columns) - len(" (+99 columns)")
    names = list(rows[0]) if rows else []
    telling = [name for name in names if name not in _UNTOLD and any(row[name] is not None for row in rows)]
    kept: list[str] = []
    for name in telling:
        column = as_text([{name: row[name]} for row in rows]).splitlines()
        room -= max(len(line) for line in column) + 2
        if room < 0 and kept:
            break
        kept.append(name)
    left_out = len(names) - len(kept)
    more = {f"(+{left_out} columns)": ""} if left_out else {}
    return [{**{name: row[name] for name in kept}, **more} for row in rows]


def what_next(home: AirflowHome) -> str:
    """Return commands to try after a run, one a line, and where its log is.

    :param home: where it ran.
    """
    return (
        f"{_looks(home)}"
        "  make demo RAW=/your/drop     your own FHIR and PDFs\n"
        "  make up                      the same DAG under Airflow's scheduler, in the browser\n"
        f"Log of the run: {home.logs / 'demo.log'}\n"
    )


def _looks(home: AirflowHome) -> str:
    if home.lakehouse is not None:
        # The servers end with the run, and a command that names their buckets could only fail.
        return "  make demo                    on this machine's disk, where the tables stay and can be shown\n"
    warehouse = home.profile.warehouse
    return (
        f"  lakehouse show silver_dim_patient --warehouse {warehouse}\n"
        f"  lakehouse show bronze_quarantine --warehouse {warehouse} --json --limit 3\n"
        "  make demo                    once more: nothing is loaded twice\n"
    )


def _titled(title: str, text: str) -> str:
    return f"{title}\n{'=' * len(title)}\n{text}"

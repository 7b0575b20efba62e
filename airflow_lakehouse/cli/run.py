"""``lakehouse run``: the whole pipeline on this machine, without Airflow; the same jobs the operators submit."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from airflow_lakehouse.cli.pipeline import STAGES, Request, run_pipeline
from airflow_lakehouse.cli.warehouse import add_as_of, add_days, add_warehouse, print_json
from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.profile import DEIDENTIFY, KEY_VARIABLE, OCR_ENGINES, Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("raw", nargs="?", metavar="RAW", help="the drop: a folder or one file; not needed with --full")
    add_warehouse(parser)
    add_days(parser, "only these days; a single one is also that of files whose path names none")
    parser.add_argument(
        "--source-system",
        metavar="NAME",
        help="who sent files whose path names nobody; with --full, the sender whose rows are looked at",
    )
    parser.add_argument("--through", choices=STAGES, default=STAGES[-1], help="last stage (default gold)")
    parser.add_argument("--ocr", choices=OCR_ENGINES, default="local", help="what reads pages (default local)")
    parser.add_argument(
        "--textract", default="", metavar="DIR", help="where OCR results go (default WAREHOUSE/textract)"
    )
    parser.add_argument(
        "--textract-options",
        type=_object,
        default={},
        metavar="JSON",
        help='what is asked of Textract and how, such as \'{"features": ["TABLES"], "max_pages": 500}\'',
    )
    parser.add_argument(
        "--max-bad-ratio", metavar="SHARE", help="fail, after all is written, if more records are rejected: 0 to 1"
    )
    add_as_of(parser, "make silver from bronze")
    parser.add_argument(
        "--full",
        action="store_true",
        help="make silver anew from bronze: all of it, or what --dt and --source-system name",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="CHECK",
        help="publish silver although this check of it fails; see ops.audits",
    )
    parser.add_argument(
        "--deidentify", choices=DEIDENTIFY[1:], help="make silver without persons: dates shifted, or years alone"
    )
    parser.add_argument("--deidentify-key", metavar="FILE", help=f"file with its key (default: ${KEY_VARIABLE})")
    parser.add_argument("--parser", action="append", default=[], metavar="FILE", help="a parser plugin of one file")


def run(options: argparse.Namespace) -> int:
    """Run the pipeline; the last line of standard output is its summary as one JSON object.

    :param options: the parsed options.
    """
    profile = Profile(
        options.warehouse,
        raw=options.raw,
        textract=options.textract,
        ocr=options.ocr,
        textract_options=options.textract_options,
        parsers=tuple(options.parser),
        deidentify=options.deidentify or "",
        deidentify_key=options.deidentify_key or "",
    )
    try:
        request = Request(
            profile,
            options.dt,
            options.source_system,
            options.through,
            options.max_bad_ratio,
            full=options.full,
            as_of=options.as_of,
            accept=tuple(options.accept),
        )
        summary = run_pipeline(request)
    except LakehouseError as error:
        sys.stderr.write(f"lakehouse run: {error}\n")
        print_json({"status": "failed", "error": str(error), "error_type": type(error).__name__})
        return error.exit_code
    print_json(summary)
    return 0


def _object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return values

"""``lakehouse fake-textract``: Amazon Textract on the loopback address, to try pipelines and their failures with."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    :param parser: of the subcommand.
    """
    parser.add_argument("--port", type=int, default=0, help="of the address (default: any free one)")
    parser.add_argument("--responses", type=Path, metavar="DIR", help="recorded responses, one a file: form.png.json")
    parser.add_argument(
        "--engine", choices=("local", "none"), default="none", help="what reads documents without one (default none)"
    )
    parser.add_argument("--delay", type=float, default=1.0, metavar="SECONDS", help="how long a job takes (default 1)")
    parser.add_argument("--window", type=int, default=100, metavar="N", help="jobs at once (default 100)")
    parser.add_argument("--start-tps", type=float, default=10.0, metavar="N", help="starts a second (default 10)")
    parser.add_argument("--get-tps", type=float, default=25.0, metavar="N", help="looks a second (default 25)")
    parser.add_argument("--throttle", type=float, default=0.0, metavar="SHARE", help="requests it refuses, 0 to 1")
    parser.add_argument(
        "--subscribe", action="append", default=[], metavar="ARN=URL", help="SQS queue that gets a topic's messages"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C; the first line of standard output says how boto3 gets there.

    S3 and SQS are reached as the environment says (``AWS_ENDPOINT_URL``).

    :param options: the parsed options.
    """
    from airflow_lakehouse.testing.fake_textract import FakeTextract, fake_textract_server
    from airflow_lakehouse.testing.fake_textract_answers import Recorded, read_here

    here = read_here(options.engine)
    fake = FakeTextract(
        Recorded(options.responses, here) if options.responses else here,
        window=options.window,
        start_tps=options.start_tps,
        get_tps=options.get_tps,
        delay=options.delay,
    )
    if options.throttle:
        fake.refuse("ThrottlingException", probability=options.throttle)
    for pair in options.subscribe:
        topic, _, url = pair.partition("=")
        fake.subscribe(topic, url)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with fake_textract_server(fake, options.port):
        sys.stdout.write(" ".join(f"{name}={value}" for name, value in fake.environ.items()) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            stopped.wait()
    return 0

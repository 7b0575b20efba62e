"""A thousand documents through Amazon Textract's window: all accounted for, never over it, and how long that takes.

The service is the fake of :mod:`airflow_lakehouse.testing.fake_textract`, in a process of its own; S3 is ministack.
The batch runs as it does in a triggerer: a :class:`TextractTrigger` in an event loop, whose lag is measured beside it.

::

    python benchmarks/textract_batch.py --documents 1000 --window 20 --job-seconds 4
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import multiprocessing
import os
import random
import threading
import time
import uuid
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from airflow_lakehouse.testing.s3_server import CREDENTIALS, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

BURSTS = (0.15, 0.4, 0.65)
"""When a burst begins, as a share of the least time."""
BURST_SECONDS = 3.0
CODES = ("ThrottlingException", "ProvisionedThroughputExceededException", "LimitExceededException")
BAD_EVERY = 100


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--job-seconds", type=float, default=4.0, help="how long a job takes")
    options = parser.parse_args()
    least = options.documents * options.job_seconds / options.window
    with s3_server() as server, service(server, options, least) as (endpoint, pipe):
        os.environ |= {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": server,
            "AWS_ENDPOINT_URL_TEXTRACT": endpoint,
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS": endpoint,
        }
        textract_dir, batch_id = prepare(options)
        # What a triggerer has loaded before any trigger of ours runs.
        importlib.import_module("airflow.jobs.triggerer_job_runner")
        idle, pauses = asyncio.run(idle_lag()), watch_collections()
        pipe.send("begin")
        started = time.monotonic()
        event, lag = asyncio.run(run(textract_dir, batch_id))
        seconds = time.monotonic() - started
        pipe.send("end")
        told = pipe.recv()
    counts = event["counts"]
    figures = {
        "documents": counts["documents"],
        "accounted for": sum(counts[how] for how in ("read", "reused", "unreadable", "failed", "postponed")),
        "rejected": counts["rejected"],
        "jobs": told["jobs"],
        "window": options.window,
        "most in flight": told["most_in_flight"],
        "refusals": told["refusals"],
        "seconds": round(seconds, 1),
        "least seconds": round(least, 1),
        "of the least": round(seconds / least, 3),
        "loop lag, most": round(lag, 3),
        "loop lag of an idle loop": round(idle, 3),
        "garbage collection, most": round(max(pauses, default=0.0), 3),
    }
    print(json.dumps(figures, indent=2))


def prepare(options: argparse.Namespace) -> tuple[str, str]:
    """Write the documents and the batch; return root and id."""
    from reportlab.pdfgen.canvas import Canvas

    from airflow_lakehouse.ocr.store import DocumentToRead
    from airflow_lakehouse.ocr.textract.saved import SavedBatch
    from airflow_lakehouse.ocr.textract.service import Service, own_clients

    service = Service(own_clients())
    bucket = f"benchmark-{uuid.uuid4().hex[:8]}"
    service.s3.create_bucket(Bucket=bucket)
    documents = []
    for number in range(options.documents):
        stream = BytesIO()
        canvas = Canvas(stream, invariant=True)
        canvas.drawString(72, 720, f"Document {number}")
        canvas.save()
        key = f"drop/{'bad' if number % BAD_EVERY == 0 else 'good'}-{number}.pdf"
        etag = service.s3.put_object(Bucket=bucket, Key=key, Body=stream.getvalue())["ETag"].strip('"')
        documents.append(DocumentToRead(f"s3://{bucket}/{key}", etag))
    saved = SavedBatch(service, f"s3://{bucket}/ocr", "benchmark")
    saved.save(documents, {"poll_seconds": 0.2})
    return saved.textract_dir, saved.batch_id


def watch_collections() -> list[float]:
    """Return a list that takes the seconds of each garbage collection, which stops every thread."""
    pauses: list[float] = []
    began = [0.0]

    def note(phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            began[0] = time.monotonic()
        else:
            pauses.append(time.monotonic() - began[0])

    gc.callbacks.append(note)
    return pauses


async def idle_lag(seconds: float = 10.0) -> float:
    """Return the lag of a loop that does nothing: what a busy machine makes of it."""
    worst, until = 0.0, time.monotonic() + seconds
    while (before := time.monotonic()) < until:
        await asyncio.sleep(0.05)
        worst = max(worst, time.monotonic() - before - 0.05)
    return worst


async def run(textract_dir: str, batch_id: str) -> tuple[dict[str, Any], float]:
    """Run the trigger, and return its event and the longest time for which the loop did nothing else."""
    from airflow_lakehouse.triggers.textract import TextractTrigger

    worst, is_done = 0.0, asyncio.Event()

    async def measure() -> None:
        nonlocal worst
        while not is_done.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.05)
            worst = max(worst, time.monotonic() - before - 0.05)

    beside = asyncio.create_task(measure())
    events = [event.payload async for event in TextractTrigger(textract_dir, batch_id).run()]
    is_done.set()
    await beside
    if events[0]["status"] != "done":
        raise SystemExit(events[0]["reason"])
    return events[0], worst


@contextmanager
def service(server: str, options: argparse.Namespace, least: float) -> Iterator[tuple[str, Connection]]:
    """Run the fake in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    given = (theirs, server, options.window, options.job_seconds, least)
    process = context.Process(target=serve, args=given, daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()


def serve(pipe: Connection, server: str, window: int, job_seconds: float, least: float) -> None:
    """Serve until told to end, with bursts of refusals on the way."""
    from airflow_lakehouse.testing.fake_textract import FakeTextract, fake_textract_server
    from airflow_lakehouse.testing.fake_textract_answers import Answer, Asked

    os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": server}
    words = [{"Id": f"w{n}", "BlockType": "WORD", "Page": 1, "Text": "x", "Confidence": 99.0} for n in range(300)]
    page = {"Id": "p", "BlockType": "PAGE", "Page": 1, "Relationships": [{"Type": "CHILD", "Ids": ["w1"]}]}

    def answer(_: Asked) -> Answer:
        return Answer([page, *words])

    fake = FakeTextract(answer, window=window, delay=job_seconds, start_tps=20, get_tps=40)
    fake.refuse("BadDocumentException", "Start.*", keys="bad-")
    with fake_textract_server(fake):
        pipe.send(fake.endpoint)
        pipe.recv()
        threading.Thread(target=burst, args=(fake, least), daemon=True).start()
        pipe.recv()
        refusals = {code: fake.counts[code] for code in (*CODES, "BadDocumentException")}
        pipe.send({"jobs": len(fake.jobs), "most_in_flight": fake.most_in_flight, "refusals": refusals})


def burst(fake: Any, least: float) -> None:
    """Refuse half of all requests, for some seconds, again and again."""
    began = time.monotonic()
    for share in BURSTS:
        time.sleep(max(0.0, began + share * least - time.monotonic()))
        fake.refuse(random.choice(CODES), probability=0.5)  # noqa: S311 - no secret
        time.sleep(BURST_SECONDS)
        fake.heal()
        fake.refuse("BadDocumentException", "Start.*", keys="bad-")


if __name__ == "__main__":
    main()

"""The Textract operator, its trigger and its decorator, against the fake service over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_lakehouse._compat import DAG, AirflowException, AirflowFailException, TaskDeferred
from airflow_lakehouse.decorators.textract import textract_task
from airflow_lakehouse.hooks.textract import TextractHook
from airflow_lakehouse.links import TextractReportLink
from airflow_lakehouse.operators.documents import ReadDocumentsOperator
from airflow_lakehouse.operators.textract import TextractOperator
from airflow_lakehouse.triggers.textract import TextractTrigger
from tests.unit.ocr.textract.lake import HURRIED, pdf, wait_for

if TYPE_CHECKING:
    from tests.unit.ocr.textract.lake import Lake


class Ti(SimpleNamespace):
    """A task instance, with what it pushes."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.pushed[key] = value


def context() -> Any:
    """Return the context of an attempt."""
    return {"ti": Ti(dag_id="dag", run_id="run", task_id="read", map_index=-1, pushed={})}


def operator(lake: Lake, **arguments: Any) -> TextractOperator:
    """Return an operator on a bucket."""
    settings = {**HURRIED, **arguments.pop("settings", {})}
    given = {"textract_dir": lake.textract_dir, "deferrable": False, **arguments}
    return TextractOperator(task_id="read", settings=settings, **given)


def run_deferred(task: Any, given: Any) -> dict[str, Any]:
    """Run a task that defers, its trigger as a triggerer does, and what comes after."""
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(given)
    path, arguments = deferred.value.trigger.serialize()
    assert path == "airflow_lakehouse.triggers.textract.TextractTrigger"
    event = fire(TextractTrigger(**json.loads(json.dumps(arguments))))
    result: dict[str, Any] = task.execute_complete(given, event)
    return result


def fire(trigger: TextractTrigger) -> dict[str, Any]:
    """Return the payload of the trigger's one event."""

    async def one() -> Any:
        return [event.payload async for event in trigger.run()]

    events = asyncio.run(one())
    assert len(events) == 1
    payload: dict[str, Any] = events[0]
    return payload


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_prefix_is_read_in_one_task(lake: Lake, deferrable: bool) -> None:
    """Both ways come to the same counts, a report a line a document, and a link."""
    for number in range(3):
        lake.put(f"letters/{number}.PDF", pdf(2, str(number)))
    lake.put("letters/readme.txt", b"no document")
    task, given = operator(lake, prefix=f"s3://{lake.bucket}/letters/", deferrable=deferrable), context()
    counts = run_deferred(task, given) if deferrable else task.execute(given)
    assert (counts["documents"], counts["read"], counts["pages_ok"], counts["jobs"]) == (3, 3, 6, 3)
    report = lake.s3.get_object(Bucket=lake.bucket, Key=counts["report"].split("/", 3)[3])["Body"].read()
    lines = [json.loads(line) for line in report.splitlines()]
    assert {line["pages_ok"] for line in lines} == {2}
    assert all(line["job_id"] and line["token"] and line["attempt"] == 1 for line in lines)
    assert lake.bucket in given["ti"].pushed[TextractReportLink().xcom_key]


def test_documents_come_from_upstream_or_a_manifest(lake: Lake) -> None:
    """As a list of URIs, as objects with a version, as a rendered text, and from a file."""
    one, two = lake.put("a.pdf", pdf(1)), lake.put("b.pdf", pdf(2))
    objects = [{"uri": one.source_uri, "etag": one.source_etag}, two.source_uri]
    for documents in (objects, json.dumps([one.source_uri, two.source_uri]), str([one.source_uri, two.source_uri])):
        assert operator(lake, documents=documents).execute(context())["documents"] == 2
    lake.put("list.jsonl", f'{{"uri": "{one.source_uri}"}}\n\n{two.source_uri}\n'.encode())
    manifest = f"s3://{lake.bucket}/list.jsonl"
    assert operator(lake, manifest=manifest).execute(context())["reused"] == 2
    assert len(lake.fake.jobs) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"documents": "s3://bucket/a.pdf", "prefix": "s3://bucket/"},
        {"documents": "s3://bucket/a.pdf", "features": ["HANDWRITING"]},
        {"documents": "s3://bucket/a.pdf", "settings": {"max_pgaes": 3}},
        {"documents": "s3://bucket/a.pdf", "queries": ["x" * 201]},
        {"prefix": "/on/this/machine"},
    ],
)
def test_what_cannot_work_fails_at_once(lake: Lake, arguments: dict[str, Any]) -> None:
    """Before anything is paid for, and without a retry."""
    with pytest.raises(AirflowFailException, match="Legal"):
        operator(lake, **arguments).execute(context())
    assert not lake.fake.counts["StartDocumentAnalysis"]


def test_a_triggerer_that_dies_and_another_one_pay_once(lake: Lake) -> None:
    """The same trigger runs twice at once, one of the two is cancelled: one job a document."""
    documents = [lake.put(f"{number}.pdf", pdf(1, str(number))).source_uri for number in range(4)]
    lake.fake.service.delay = 0.3
    task = operator(lake, documents=documents, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())
    arguments = deferred.value.trigger.serialize()[1]

    async def one(trigger: TextractTrigger) -> Any:
        async for event in trigger.run():
            return event
        raise AssertionError

    async def both() -> Any:
        first, second = (asyncio.create_task(one(TextractTrigger(**arguments))) for _ in range(2))
        await asyncio.to_thread(wait_for, lambda: len(lake.fake.jobs) > 1)
        first.cancel()
        return (await second).payload

    event = asyncio.run(both())
    assert event["status"] == "done"
    assert event["counts"]["pages_ok"] == 4
    assert len(lake.fake.jobs) == 4


def test_errors_keep_their_class_through_the_trigger(lake: Lake) -> None:
    """A wrong role fails the task for good; a batch that took too long is worth another attempt."""
    document = lake.put("a.pdf", pdf(1)).source_uri
    lake.fake.refuse("AccessDeniedException", "Start.*")
    with pytest.raises(AirflowFailException, match=r"ConfigurationError: .*AccessDenied"):
        run_deferred(operator(lake, documents=document, deferrable=True), context())
    lake.fake.heal()
    lake.fake.service.delay = 60
    slow = operator(lake, documents=document, deferrable=True, job_timeout=timedelta(seconds=0.2))
    with pytest.raises(AirflowException, match="took longer") as caught:
        run_deferred(slow, context())
    assert not isinstance(caught.value, AirflowFailException)


def test_no_text_of_a_document_leaves_the_results(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs, nor XCom, events, trigger arguments, the report or the ledger say what a document says."""
    caplog.set_level(logging.DEBUG, "airflow_lakehouse")
    documents = [lake.put(f"{number}.pdf", pdf(1, f"confidential {number}")).source_uri for number in range(3)]
    lake.fake.fail(keys="1[.]pdf")
    lake.fake.refuse("BadDocumentException", "Start.*", keys="2[.]pdf")
    task, given = operator(lake, documents=documents, deferrable=True), context()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(given)
    arguments = deferred.value.trigger.serialize()[1]
    event = fire(TextractTrigger(**arguments))
    said = json.dumps([event, arguments, given["ti"].pushed, task.execute_complete(given, event)])
    kept = [key for key in lake.keys("ocr/") if not key.rpartition("/")[2].isdigit()]
    for key in kept:
        said += lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read().decode()
    assert "confidential" not in said + caplog.text
    assert event["counts"]["rejected"] == {"TEXTRACT_BAD_DOCUMENT": 1, "TEXTRACT_JOB_FAILED": 1}


def test_the_decorator_reads_what_a_function_returns(lake: Lake) -> None:
    """A function names the documents; what it asks of the context it is given."""
    document = lake.put("a.pdf", pdf(2)).source_uri

    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @textract_task(textract_dir=lake.textract_dir, settings=dict(HURRIED), deferrable=False)
        def letters(name: str, ti: Any = None) -> list[str]:
            assert ti.dag_id == "dag"
            return [name]

        task: Any = letters(document).operator  # type: ignore[attr-defined] # what Airflow makes of it
    assert task.execute(context())["pages_ok"] == 2


def test_the_documents_of_a_drop_are_read_as_the_connection_says(
    lake: Lake, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator of the example DAG uses Textract when the connection says so, deferred or not."""
    pytest.importorskip("sqlalchemy", minversion="2.0", reason="PyIceberg's SQL catalog needs it")
    lake.put("drop/docs/dt=2026-01-15/a.pdf", pdf(2))
    extra = {
        "warehouse": str(tmp_path / "wh"),
        "raw": f"s3://{lake.bucket}/drop",
        "textract": lake.textract_dir,
        "ocr": "textract",
        "textract_options": {**HURRIED, "features": ["TABLES"]},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE", json.dumps({"conn_type": "lakehouse", "extra": extra}))
    counts = run_deferred(ReadDocumentsOperator(task_id="read", deferrable=True), context())
    assert (counts["read"], counts["pages_ok"]) == (1, 2)
    assert lake.fake.counts["StartDocumentAnalysis"] == 1
    assert ReadDocumentsOperator(task_id="read", deferrable=False).execute(context())["reused"] == 1


def test_waiters_wait_for_jobs_of_others(lake: Lake) -> None:
    """The provider's own waiters have none for Textract."""
    lake.put("a.pdf", pdf(1))
    lake.fake.service.delay = 0.2
    hook = TextractHook(region_name="us-east-1")
    client = hook.get_conn()
    place = {"S3Object": {"Bucket": lake.bucket, "Name": "a.pdf"}}
    job = client.start_document_text_detection(DocumentLocation=place)["JobId"]
    waiter = hook.get_waiter("document_text_detection_complete", client)
    waiter.wait(JobId=job, WaiterConfig={"Delay": 0.05, "MaxAttempts": 100})
    assert client.get_document_text_detection(JobId=job)["JobStatus"] == "SUCCEEDED"
    client.close()

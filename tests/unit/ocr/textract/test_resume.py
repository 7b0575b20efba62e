from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_lakehouse.ocr import flatten
from airflow_lakehouse.ocr.textract import fetching
from airflow_lakehouse.testing.fake_textract_jobs import LIFE_SECONDS
from tests.unit.ocr.textract.lake import Killed, answer, pdf, read_and_die, result_of, wait_for

if TYPE_CHECKING:
    from tests.unit.ocr.textract.lake import Lake


def test_a_retry_after_seven_days_takes_the_result_that_was_stored(lake: Lake) -> None:
    """Once stored, a result does not depend on Textract's own."""
    document = lake.put("drop/a.pdf", pdf())
    lake.read(document)
    lake.fake.advance(LIFE_SECONDS + 1)
    assert lake.read(document).counts()["reused"] == 1
    assert len(lake.fake.jobs) == 1


@pytest.mark.parametrize("days", [0, 6.9, 7.1])
def test_a_retry_finds_the_job_of_a_run_that_died_or_starts_it_again_once_it_is_gone(lake: Lake, days: float) -> None:
    """Within the token's life no second job is paid for; after it there is nothing left, and one more is."""
    document = lake.put("drop/a.pdf", pdf(2))
    with pytest.raises(Killed):
        read_and_die(lake, [document], at=("get_document_text_detection", 1, "before"))
    lake.fake.advance(days * 24 * 3600)
    counts = lake.read(document).counts()
    assert (counts["read"], counts["pages_ok"]) == (1, 2)
    assert len(lake.fake.jobs) == (2 if days > 7 else 1)


def test_a_job_whose_results_expire_half_way_is_started_again_and_not_mixed(lake: Lake) -> None:
    """No page of the first job is left among those of the second."""
    document = lake.put("drop/a.pdf", pdf(30))
    lake.fake.service.answers = lambda _: answer(30, words=120)
    with pytest.raises(Killed):
        read_and_die(lake, [document], at=("get_document_text_detection", 3, "before"))
    assert result_of(lake, document) is None
    lake.fake.advance(LIFE_SECONDS + 1)
    lake.fake.service.answers = lambda _: answer(30, words=90)
    assert lake.read(document).counts()["pages_ok"] == 30
    manifest = result_of(lake, document)
    assert manifest is not None
    assert {page.n_blocks for page in manifest.results} == {92}


def test_a_long_document_goes_on_where_a_killed_run_has_been(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of responses, those whose pages were stored are not asked for again."""
    monkeypatch.setattr(flatten, "_HELD_BLOCKS", 2000)
    monkeypatch.setattr(fetching, "PAGES_BETWEEN_MARKS", 10)
    document = lake.put("drop/a.pdf", pdf(60))
    lake.fake.service.answers = lambda _: answer(60, words=300)
    with pytest.raises(Killed):
        read_and_die(lake, [document], at=("get_document_text_detection", 15, "before"))
    before = lake.fake.counts["GetDocumentTextDetection"]
    assert lake.read(document).counts()["pages_ok"] == 60
    assert lake.fake.counts["GetDocumentTextDetection"] - before < 12
    manifest = result_of(lake, document)
    assert manifest is not None
    assert {page.n_blocks for page in manifest.results} == {302}
    assert not [key for key in lake.keys("ocr/") if key.endswith("progress.json")]


def test_results_left_in_s3_are_taken_when_the_job_has_expired(lake: Lake) -> None:
    """With OutputConfig nothing is paid for twice, ever: what Textract left is complete, with its null fields."""
    document = lake.put("drop/a.pdf", pdf(3))
    lake.fake.service.answers = lambda _: answer(3, words=700)
    output = f"s3://{lake.bucket}/left"
    with pytest.raises(Killed):
        read_and_die(lake, [document], at=("get_document_text_detection", 1, "before"), output=output)
    wait_for(lambda: len(lake.keys("left/")) == 4)
    lake.fake.advance(LIFE_SECONDS + 1)
    assert lake.read(document, output=output).counts()["pages_ok"] == 3
    assert len(lake.fake.jobs) == 1


def test_a_retry_hears_no_second_message_and_ends_all_the_same(lake: Lake) -> None:
    """The job of a run that died is looked at, not waited for."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"ends-{lake.bucket}")["QueueUrl"]
    topic = "arn:aws:sns:us-east-1:123456789012:AmazonTextractEnds"
    lake.fake.subscribe(topic, queue)
    channel = {"topic_arn": topic, "role_arn": "arn:aws:iam::123456789012:role/textract"}
    document = lake.put("drop/a.pdf", pdf())
    with pytest.raises(Killed):
        read_and_die(lake, [document], at=("start_document_text_detection", 1, "after"), **channel)
    wait_for(lambda: all(job.has_ended for job in lake.fake.jobs))
    sqs.purge_queue(QueueUrl=queue)
    assert lake.read(document, queue_url=queue, **channel).counts()["pages_ok"] == 1
    assert len(lake.fake.jobs) == 1


def test_a_worker_killed_at_any_request_loses_nothing_and_pays_once(lake: Lake) -> None:
    """Whatever the last request was: no half document is shown, and the next run ends it."""
    deaths = [die_and_go_on(lake, number, "before" if number % 2 else "after") for number in range(1, 25)]
    assert sum(deaths) > 15


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_before_or_after_any_request_loses_nothing(lake: Lake, when: str) -> None:
    """The same for every request, whether it was done or not."""
    deaths = [die_and_go_on(lake, number, when) for number in range(1, 35)]
    assert sum(deaths) > 20


def die_and_go_on(lake: Lake, number: int, when: str) -> bool:
    """Die at a request of a batch, look at what is shown, and go on; tell whether it came to that request."""
    content, before = pdf(2, f"document {number}"), len(lake.fake.jobs)
    documents = [lake.put(f"drop/{number}/{name}.pdf", content) for name in "ab"]
    has_died = False
    try:
        read_and_die(lake, documents, at=("", number, when), workers=1)
    except Killed:
        has_died = True
        for document in documents:
            manifest = result_of(lake, document)
            assert manifest is None or manifest.pages == 2
    assert lake.read(*documents).counts()["pages_ok"] == 4
    assert len(lake.fake.jobs) == before + 1
    return has_died

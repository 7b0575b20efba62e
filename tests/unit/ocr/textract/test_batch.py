from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_lakehouse.exceptions import ConfigurationError, JobError
from airflow_lakehouse.ocr import flatten
from airflow_lakehouse.ocr.results import read_blocks, read_manifest, read_pointer
from airflow_lakehouse.ocr.textract import fetching
from airflow_lakehouse.ocr.textract.objects import S3Objects
from airflow_lakehouse.testing.fake_textract_jobs import LIFE_SECONDS
from tests.unit.ocr.textract.lake import answer, pdf

if TYPE_CHECKING:
    from airflow_lakehouse.ocr.results import Manifest
    from airflow_lakehouse.ocr.store import DocumentToRead
    from tests.unit.ocr.textract.lake import Lake


def result_of(lake: Lake, document: DocumentToRead) -> Manifest | None:
    """Return what readers see of a document."""
    objects = S3Objects(lake.s3, lake.bucket, "ocr")
    pointer = read_pointer(objects, document.source_uri, document.source_etag)
    manifest = read_manifest(objects, pointer.result) if pointer else None
    if pointer and manifest:
        for page in manifest.results:
            assert len(read_blocks(objects, pointer.result, page)) == page.n_blocks
    return manifest


def test_a_document_is_read_once_and_every_page_is_there(lake: Lake) -> None:
    """One job for one document; a second run finds its result and asks Textract for nothing."""
    document = lake.put("drop/a.pdf", pdf(3))
    counts = lake.read(document).counts()
    assert (counts["read"], counts["pages_ok"], counts["jobs"], counts["pages_to_pay"]) == (1, 3, 1, 3)
    again = lake.read(document).counts()
    assert (again["reused"], again["pages_ok"], again["jobs"]) == (1, 3, 0)
    assert len(lake.fake.jobs) == 1


def test_results_have_the_same_layout_as_those_of_the_local_engine(lake: Lake) -> None:
    """The parser of documents reads both: pages 1, 2, ... and a manifest, found by a pointer."""
    document = lake.put("drop/a.pdf", pdf(2))
    lake.read(document)
    manifest = result_of(lake, document)
    assert manifest is not None
    assert [(page.page, page.status, page.engine) for page in manifest.results] == [
        (1, "ok", "textract"),
        (2, "ok", "textract"),
    ]
    assert manifest.results[0].job_id == lake.fake.jobs[0].job_id


def test_the_same_bytes_under_two_keys_are_one_job_and_two_results(lake: Lake) -> None:
    """Content is paid for once, and each key finds its result."""
    documents = [lake.put(f"drop/{name}.pdf", pdf(2)) for name in "abc"]
    counts = lake.read(*documents).counts()
    assert len(lake.fake.jobs) == 1
    assert (counts["read"], counts["reused"], counts["pages_ok"]) == (1, 2, 6)
    assert all(result_of(lake, document) for document in documents)


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


def test_a_failed_job_is_started_again_with_another_token(lake: Lake) -> None:
    """The old token would give the failed job again."""
    document = lake.put("drop/a.pdf", pdf())
    lake.fake.fail(times=1)
    counts = lake.read(document).counts()
    assert (counts["read"], counts["pages_ok"], counts["jobs"]) == (1, 1, 2)
    tokens = {job.asked.request["ClientRequestToken"] for job in lake.fake.jobs}
    assert len(tokens) == 2


def test_a_document_whose_jobs_all_fail_is_rejected_and_tried_again_by_the_next_run(lake: Lake) -> None:
    """It has a row in quarantine, and a later run mends it."""
    document = lake.put("drop/a.pdf", pdf())
    lake.fake.fail(times=2)
    assert lake.read(document).counts()["rejected"] == {"TEXTRACT_JOB_FAILED": 1}
    manifest = result_of(lake, document)
    assert manifest is not None
    assert manifest.is_rejected
    assert lake.read(document).counts()["pages_ok"] == 1
    assert len({job.asked.request["ClientRequestToken"] for job in lake.fake.jobs}) == 3


def test_too_many_failures_fail_the_batch_after_all_is_stored(lake: Lake) -> None:
    """The task fails, so that somebody looks; what was read stays."""
    good, bad = lake.put("drop/good.pdf", pdf(2)), lake.put("drop/bad.pdf", pdf(3))
    lake.fake.fail(keys="bad")
    with pytest.raises(JobError, match=r"50.0% of 2 documents .*TEXTRACT_JOB_FAILED 1"):
        lake.read(good, bad, max_failed_fraction=0.1)
    manifest = result_of(lake, good)
    assert manifest is not None
    assert not manifest.is_rejected


def test_an_object_overwritten_after_it_was_listed_is_read_as_it_is_now(lake: Lake) -> None:
    """The next listing finds the new version read; the old one is not paid for."""
    old = lake.put("drop/a.pdf", pdf(1))
    new = lake.put("drop/a.pdf", pdf(2))
    counts = lake.read(old).counts()
    assert (counts["changed"], counts["pages_ok"], len(lake.fake.jobs)) == (1, 2, 1)
    assert result_of(lake, old) is None
    assert result_of(lake, new) is not None


def test_an_object_overwritten_while_its_job_runs_shows_no_page_of_the_wrong_version(lake: Lake) -> None:
    """What the job found may be of either version, so none of it is shown for the old one."""
    old = lake.put("drop/a.pdf", pdf(1))
    lake.fake.service.delay = 0.3
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(lake.read, old)
        wait_for(lambda: bool(lake.fake.jobs))
        new = lake.put("drop/a.pdf", pdf(2))
        counts = running.result().counts()
    assert (counts["read"], counts["changed"], counts["pages_ok"]) == (1, 1, 2)
    assert result_of(lake, old) is None
    assert result_of(lake, new) is not None


def test_in_a_bucket_with_versions_the_job_reads_the_version_that_was_looked_at(lake: Lake) -> None:
    """Whatever is written meanwhile, the result is of the bytes that were hashed."""
    lake.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    old = lake.put("drop/a.pdf", pdf(1))
    lake.fake.service.delay = 0.3
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(lake.read, old)
        wait_for(lambda: bool(lake.fake.jobs))
        lake.put("drop/a.pdf", pdf(2))
        counts = running.result().counts()
    assert (counts["changed"], counts["pages_ok"], len(lake.fake.jobs)) == (0, 1, 1)
    assert result_of(lake, old) is not None


def test_two_triggerers_at_once_pay_for_one_job_a_document(lake: Lake) -> None:
    """Both come to the end, with the same results."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, f"document {number}")) for number in range(6)]
    lake.fake.service.delay = 0.1
    with ThreadPoolExecutor(2) as executor:
        both = list(executor.map(lambda _: lake.read(*documents).counts(), range(2)))
    assert len(lake.fake.jobs) == 6
    assert [counts["pages_ok"] for counts in both] == [6, 6]
    assert all(result_of(lake, document) for document in documents)


def test_pages_that_textract_could_not_read_are_named(lake: Lake) -> None:
    """PARTIAL_SUCCESS: the pages that are there are shown, the others have failed, and none is missing."""
    document = lake.put("drop/a.pdf", pdf(4))
    lake.fake.lose_pages(2, 4)
    counts = lake.read(document).counts()
    assert (counts["read"], counts["pages_ok"], counts["pages_failed"]) == (1, 2, 2)
    manifest = result_of(lake, document)
    assert manifest is not None
    assert [page.reason for page in manifest.results] == [None, "INVALID_PAGE", None, "INVALID_PAGE"]


def test_a_page_that_textract_says_nothing_of_has_failed_and_one_without_text_is_blank(lake: Lake) -> None:
    """Pages expected are ok, blank or failed, whatever comes back."""
    document = lake.put("drop/a.pdf", pdf(3))
    blank = {"Id": "p2", "BlockType": "PAGE", "Page": 2}
    one = answer(1)
    one.blocks.append(blank)
    lake.fake.service.answers = lambda _: one
    lake.read(document)
    manifest = result_of(lake, document)
    assert manifest is not None
    found = [(page.status, page.reason) for page in manifest.results]
    assert found == [("ok", None), ("blank", "NO_TEXT_FOUND"), ("failed", "PAGE_MISSING")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("BadDocumentException", "TEXTRACT_BAD_DOCUMENT"),
        ("UnsupportedDocumentException", "TEXTRACT_UNSUPPORTED_DOCUMENT"),
        ("DocumentTooLargeException", "TEXTRACT_DOCUMENT_TOO_LARGE"),
        ("InvalidS3ObjectException", "TEXTRACT_INVALID_S3_OBJECT"),
    ],
)
def test_an_error_of_one_document_leaves_the_others_alone(lake: Lake, code: str, reason: str) -> None:
    """It is rejected with a reason of its own."""
    good, bad = lake.put("drop/good.pdf", pdf(2)), lake.put("drop/bad.pdf", pdf(3))
    lake.fake.refuse(code, "Start.*", keys="bad")
    counts = lake.read(good, bad).counts()
    assert (counts["read"], counts["pages_ok"], counts["rejected"]) == (2, 2, {reason: 1})


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidKMSKeyException", "InvalidParameterException"])
def test_an_error_of_the_configuration_stops_the_batch_at_once(lake: Lake, code: str) -> None:
    """No document would fare better, and none is rejected for it."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(5)]
    lake.fake.refuse(code, "Start.*")
    with pytest.raises(ConfigurationError, match=code):
        lake.read(*documents)
    assert not any(result_of(lake, document) for document in documents)


def test_objects_that_cannot_be_reached_one_after_the_other_are_a_matter_of_the_role(lake: Lake) -> None:
    """A thousand documents are not rejected because a role lacks a right."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(12)]
    lake.fake.refuse("InvalidS3ObjectException", "Start.*")
    with pytest.raises(ConfigurationError, match="cannot reach 5 objects"):
        lake.read(*documents)


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "InternalServerError",
    ],
)
def test_a_service_that_is_busy_is_asked_again_and_nothing_is_paid_for_twice(lake: Lake, code: str) -> None:
    """Throttling and a full window are no failures of the task."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(4)]
    lake.fake.refuse(code, probability=0.4, times=6)
    counts = lake.read(*documents).counts()
    assert (counts["read"], counts["pages_ok"], counts["rejected"]) == (4, 4, {})
    assert len(lake.fake.jobs) == 4


def test_answers_that_get_lost_are_asked_for_again(lake: Lake) -> None:
    """A start whose answer was lost has started a job: it is found by its token."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(4)]
    lake.fake.lose_responses(probability=0.5, times=5)
    assert lake.read(*documents).counts()["pages_ok"] == 4
    assert len(lake.fake.jobs) == 4


def test_the_window_is_never_exceeded_and_is_found_where_nobody_tells(lake: Lake) -> None:
    """The account's window is smaller than what is asked for; no job is lost by that."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(10)]
    lake.fake.service.window, lake.fake.service.delay = 3, 0.1
    assert lake.read(*documents, max_in_flight=8).counts()["pages_ok"] == 10
    assert lake.fake.most_in_flight <= 3
    assert len(lake.fake.jobs) == 10


@pytest.mark.parametrize("is_allowed", [True, False])
def test_quotas_are_read_where_they_may_be(lake: Lake, is_allowed: bool) -> None:
    """With them the window is never run into; without, it begins with defaults."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(5)]
    lake.fake.service.window, lake.fake.service.delay, lake.fake.quotas_allowed = 2, 0.05, is_allowed
    assert lake.read(*documents, max_in_flight=None).counts()["pages_ok"] == 5
    assert (lake.fake.counts["LimitExceededException"] == 0) == is_allowed


def test_a_dry_run_counts_and_estimates_and_leaves_nothing(lake: Lake) -> None:
    """No job, no object: pages, and what they would cost."""
    documents = [lake.put("drop/a.pdf", pdf(3)), lake.put("drop/b.pdf", pdf(3)), lake.put("drop/c.pdf", b"no document")]
    before = lake.keys()
    counts = lake.read(*documents, dry_run=True, features=["tables", "forms"]).counts()
    assert (counts["counted"], counts["reused"], counts["pages_to_pay"]) == (1, 1, 3)
    assert counts["rejected"] == {"NOT_A_PDF": 1}
    assert counts["estimated_usd"] == pytest.approx(3 * 0.065)
    assert not lake.fake.jobs
    assert lake.keys() == before


def test_a_limit_of_pages_postpones_what_does_not_fit(lake: Lake) -> None:
    """Never more is paid for than was allowed; the next run goes on."""
    documents = [lake.put(f"drop/{number}.pdf", pdf(2, str(number))) for number in range(4)]
    counts = lake.read(*documents, max_pages=5).counts()
    assert (counts["read"], counts["postponed"], counts["pages_to_pay"]) == (2, 2, 4)
    assert lake.read(*documents, max_pages=5).counts()["postponed"] == 0
    assert len(lake.fake.jobs) == 4


def test_born_digital_documents_are_read_here_on_request(lake: Lake) -> None:
    """Their text layer costs nothing."""
    text = " ".join(["Discharge summary of a patient with a long course"] * 2)
    document = lake.put("drop/a.pdf", pdf(2, text))
    counts = lake.read(document, skip_text_layer=True).counts()
    assert (counts["read"], counts["pages_ok"], counts["jobs"]) == (1, 2, 0)
    assert lake.read(document, skip_text_layer=True).counts()["reused"] == 1


def test_a_document_that_vanished_or_is_none_is_counted(lake: Lake) -> None:
    """Nothing is silently left out."""
    gone, none, empty = lake.put("drop/a.pdf", pdf()), lake.put("drop/b.pdf", b"text"), lake.put("drop/c.pdf", b"")
    lake.s3.delete_object(Bucket=lake.bucket, Key="drop/a.pdf")
    counts = lake.read(gone, none, empty).counts()
    assert (counts["unreadable"], counts["read"]) == (1, 2)
    assert counts["rejected"] == {"EMPTY_FILE": 1, "NOT_A_PDF": 1}
    assert counts["documents"] == sum(counts[how] for how in ("read", "reused", "unreadable", "failed", "postponed"))


def test_a_name_that_textract_does_not_take_is_copied_and_the_copy_removed(lake: Lake) -> None:
    """A number sign in a key is no reason to lose a document."""
    document = lake.put("drop/scan #4.pdf", pdf(2))
    assert lake.read(document).counts()["pages_ok"] == 2
    assert not [key for key in lake.keys("ocr/") if key.endswith("/document")]


def test_messages_of_ends_are_hints_and_foreign_ones_are_left_alone(lake: Lake) -> None:
    """A job that ends is looked at at once; a message that is not ours stays in the queue for whose it is."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"ends-{lake.bucket}")["QueueUrl"]
    topic = "arn:aws:sns:us-east-1:123456789012:AmazonTextractEnds"
    lake.fake.subscribe(topic, queue)
    foreign = json.dumps({"JobId": "of somebody else", "Status": "SUCCEEDED"})
    sqs.send_message(QueueUrl=queue, MessageBody=foreign)
    sqs.send_message(QueueUrl=queue, MessageBody="no JSON at all")
    lake.fake.service.delay = 0.3
    documents = [lake.put(f"drop/{number}.pdf", pdf(1, str(number))) for number in range(3)]
    # Without a hint, the first look at a job would come after a minute.
    report = lake.read(
        *documents,
        queue_url=queue,
        topic_arn=topic,
        role_arn="arn:aws:iam::123456789012:role/textract",
        poll_seconds=60,
    )
    assert report.counts()["pages_ok"] == 3
    assert report.seconds < 20
    left = Counter[str]()
    for _ in range(3):
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages", ()
        ):
            left[message["Body"]] += 1
    assert set(left) == {foreign, "no JSON at all"}


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


class Killed(BaseException):
    """The process is no more."""


def read_and_die(lake: Lake, documents: list[DocumentToRead], *, at: tuple[str, int, str], **settings: Any) -> None:
    """Read, and die at a request: the so many-th of an operation, before it is sent or after it was done."""
    from airflow_lakehouse.ocr.textract.run import read_batch
    from airflow_lakehouse.ocr.textract.settings import Settings
    from tests.unit.ocr.textract.lake import HURRIED

    operation, number, when = at
    left = [number]

    class Dying:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._client, name)
            if not callable(method) or name in ("get_paginator", "close"):
                return method

            def call(**arguments: Any) -> Any:
                if left[0] <= 0:
                    raise Killed
                if operation in name:
                    left[0] -= 1
                if left[0] <= 0 and when == "before":
                    raise Killed
                found = method(**arguments)
                if left[0] <= 0:
                    if "Body" in found:
                        found["Body"].close()
                    raise Killed
                return found

            return call

    read_batch(
        documents,
        textract_dir=lake.textract_dir,
        settings=Settings.of({**HURRIED, **settings}),
        make_client=lambda service: Dying(lake.client(service)),
        inspector=lake.inspector,
    )


def wait_for(condition: Any) -> None:
    """Wait until something holds."""
    import time

    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

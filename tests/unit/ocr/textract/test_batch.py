from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_lakehouse.exceptions import ConfigurationError, InputError
from airflow_lakehouse.ocr.results import noted_again, read_pointer, write_pointer
from airflow_lakehouse.ocr.textract.objects import S3Objects
from airflow_lakehouse.ocr.textract.saved import documents_of
from tests.unit.ocr.textract.lake import answer, pdf, result_of

if TYPE_CHECKING:
    from tests.unit.ocr.textract.lake import Lake


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


def test_a_limit_of_pages_holds_for_what_is_started_again(lake: Lake) -> None:
    """A job that fails is paid for, and so is the next one for the same document."""
    document = lake.put("drop/a.pdf", pdf(2))
    lake.fake.fail(times=1)
    counts = lake.read(document, max_pages=3).counts()
    assert (counts["postponed"], counts["jobs"], counts["pages_to_pay"]) == (1, 1, 2)
    assert lake.read(document, max_pages=3).counts()["pages_ok"] == 2


def test_a_document_whose_jobs_failed_is_loaded_again_once_it_is_read(lake: Lake) -> None:
    """Bronze has it in quarantine; the later reading is another result, and so is noted."""
    document = lake.put("drop/a.pdf", pdf(2))
    lake.fake.fail(times=2)
    assert lake.read(document, job_attempts=2).counts()["rejected"] == {"TEXTRACT_JOB_FAILED": 1}
    objects = S3Objects(lake.s3, lake.bucket, "ocr")
    assert not noted_again(objects)
    assert lake.read(document).counts()["pages_ok"] == 2
    (noted,) = noted_again(objects).values()
    manifest = result_of(lake, document)
    assert (noted.source_uri, manifest and manifest.status) == (document.source_uri, "ok")


def test_a_reading_that_people_have_chosen_stays(lake: Lake) -> None:
    """A document for which people want another engine is not taken back, and not paid for."""
    document = lake.put("drop/a.pdf", pdf(2))
    lake.read(document)
    objects = S3Objects(lake.s3, lake.bucket, "ocr")
    pointer = read_pointer(objects, document.source_uri, document.source_etag)
    assert pointer is not None
    chosen = replace(pointer, engine="local", engine_version="1", pinned=True)
    write_pointer(objects, chosen)
    lake.read(document)
    assert read_pointer(objects, document.source_uri, document.source_etag) == chosen
    assert len(lake.fake.jobs) == 1


@pytest.mark.parametrize(
    "given",
    [
        '["s3://b/o\'brien.pdf", {"uri": "s3://b/c.pdf", "dt": null}]',
        repr(["s3://b/o'brien.pdf", {"uri": "s3://b/c.pdf", "dt": None}]),
    ],
)
def test_lists_are_json_or_what_a_template_renders(given: str) -> None:
    """People write one, an upstream task's return value becomes the other."""
    found = documents_of(given)
    assert [(one.source_uri, one.dt) for one in found] == [("s3://b/o'brien.pdf", None), ("s3://b/c.pdf", None)]
    with pytest.raises(InputError, match="no JSON"):
        documents_of("[s3://b/c.pdf]")


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

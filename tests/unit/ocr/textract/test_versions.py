from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import JobError
from tests.unit.ocr.textract.lake import pdf, result_of, wait_for

if TYPE_CHECKING:
    from tests.unit.ocr.textract.lake import Lake


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

"""What the fake Textract does beside answering: objects of OutputConfig, and messages of jobs' ends.

An SNS topic is stood in for by the SQS queue that subscribes to it: the message is put there as SNS would.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.testing.fake_textract_jobs import MOST_BLOCKS, Job, response_of

if TYPE_CHECKING:
    from airflow_lakehouse.testing.fake_textract_answers import Answer

ACCESS_CHECK: Final = ".s3_access_check"
_NULLS: Final = ("Text", "TextType", "Confidence", "RowIndex", "ColumnIndex", "RowSpan", "ColumnSpan", "Relationships")
"""Keys of a block that are there, and null, in what Textract writes to S3."""
_MORE_NULLS: Final = ("EntityTypes", "SelectionStatus", "Query", "Hint", "PageClassification")


def write_access_check(s3: Any, job: Job) -> None:
    """Write the object that is there from the start, before there is any result.

    :param s3: boto3 client.
    :param job: the job.
    """
    bucket = job.asked.request["OutputConfig"]["S3Bucket"]
    s3.put_object(Bucket=bucket, Key=f"{_prefix(job)}/{ACCESS_CHECK}", Body=b"")


def write_output(s3: Any, job: Job, answer: Answer) -> None:
    """Write the responses of a job that has ended: 1, 2, ... with every key that has no value null.

    :param s3: boto3 client.
    :param job: the job.
    :param answer: what it has found.
    """
    bucket, offset, number = job.asked.request["OutputConfig"]["S3Bucket"], 0, 0
    while number == 0 or offset < len(answer.blocks):
        response = response_of(job, answer, offset, MOST_BLOCKS)
        blocks = response.get("Blocks")
        values = {
            "NextToken": None,
            "StatusMessage": None,
            "Warnings": None,
            "DocumentMetadata": None,
            **response,
            "Blocks": [{**dict.fromkeys((*_NULLS, *_MORE_NULLS)), **block} for block in blocks] if blocks else blocks,
        }
        offset, number = offset + MOST_BLOCKS, number + 1
        s3.put_object(Bucket=bucket, Key=f"{_prefix(job)}/{number}", Body=json.dumps(values).encode())


def message_of(job: Job, status: str) -> dict[str, Any]:
    """Return the message of a job's end.

    :param job: the job.
    :param status: how it has ended.
    """
    place = job.asked.request["DocumentLocation"]["S3Object"]
    return {
        "JobId": job.job_id,
        "Status": "FAILED" if status == "FAILED" else "SUCCEEDED",
        "API": f"Start{job.api}",
        "JobTag": job.asked.request.get("JobTag", ""),
        "Timestamp": int(time.time() * 1000),
        "DocumentLocation": {"S3ObjectName": place["Name"], "S3Bucket": place["Bucket"]},
    }


def envelope_of(topic: str, message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as SNS puts it into a queue whose delivery is not raw.

    :param topic: ARN.
    :param message: its message.
    """
    return {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": topic,
        "Message": json.dumps(message),
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "SignatureVersion": "1",
    }


def _prefix(job: Job) -> str:
    output = job.asked.request["OutputConfig"]
    return f"{output.get('S3Prefix') or 'textract_output'}/{job.job_id}"

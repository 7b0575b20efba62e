"""The calls: clients of AWS, made once, and the two operations of a job."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_lakehouse.ocr.textract.ledger import Entry

MOST_BLOCKS: Final = 1000
"""Blocks of one response: Textract's most, and its default."""
_CONNECTIONS: Final = 32


def own_clients(region: str | None = None) -> Callable[[str], Any]:
    """Return what makes clients from the environment's credentials.

    :param region: by default the environment's.
    """
    import boto3
    from botocore.config import Config

    session: Any = boto3.session.Session(region_name=region)

    def make(service: str) -> Any:
        return session.client(service, config=Config(**client_config(service)))

    return make


def client_config(service: str) -> dict[str, Any]:
    """Return what a client of a service is configured with.

    boto would itself sleep and retry when the window is full or a request is throttled, and hide both from the batch
    that has to slow down.

    :param service: its name in boto3.
    """
    attempts = 1 if service == "textract" else 5
    return {"retries": {"mode": "standard", "total_max_attempts": attempts}, "max_pool_connections": _CONNECTIONS}


class Service:
    """Clients by name, and Textract's asynchronous operations.

    :param make: returns a client of a service; called once for each.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the client of a service. Clients may be used by many threads; making one may not.

        :param service: its name in boto3.
        """
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def close(self) -> None:
        """Close the clients' connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()

    @property
    def s3(self) -> Any:
        """Client of S3."""
        return self.client("s3")

    @property
    def account(self) -> str:
        """Who is asked: requests of the same endpoint and credentials share their quotas."""
        client = self.client("textract")
        credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
        return f"{client.meta.endpoint_url} {getattr(credentials, 'access_key', '')}"

    def start(self, entry: Entry) -> str:
        """Start the job of an entry, or find it if it was started with the same token, and return its id.

        :param entry: what is asked.
        """
        from airflow_lakehouse.ocr.textract.location import Location

        operation = _operation(self.client("textract"), "start", entry.api)
        location = Location.from_dict(entry.location).request()
        answer = operation(DocumentLocation=location, ClientRequestToken=entry.token, **entry.request)
        return str(answer["JobId"])

    def get(self, api: str, job_id: str, next_token: str = "") -> dict[str, Any]:
        """Return one response of a job: its status and, once it has ended, up to a thousand blocks.

        :param api: end of the operations' names; a job of one API is unknown to the other.
        :param job_id: of the job.
        :param next_token: of the response before.
        """
        operation = _operation(self.client("textract"), "get", api)
        more = {"NextToken": next_token} if next_token else {}
        answer: dict[str, Any] = operation(JobId=job_id, MaxResults=MOST_BLOCKS, **more)
        return answer


def _operation(client: Any, verb: str, api: str) -> Any:
    return getattr(client, f"{verb}_{'document_analysis' if api == 'DocumentAnalysis' else 'document_text_detection'}")

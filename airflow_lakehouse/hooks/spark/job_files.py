"""What a remote job is given and leaves, as small objects below the root of the job scripts.

::

    <scripts>/jobs/<token>/
      arguments.json   what the job was given
      claim            when somebody set out to start it, where the service has no client token
      job.json         its handle, once it was started
      result.json      written by the job itself, also when it fails

No record text and no secret is in any of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import JobError, JobLostError, LakehouseError
from airflow_lakehouse.hooks.spark.base import JobHandle, check_token
from airflow_lakehouse.spark.bundle import build_bundle, publish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.hooks.spark.aws import Aws
    from airflow_lakehouse.ocr.folder import Folder

S3: Final = "s3"


class S3Folder:
    """A folder in S3, reached as the runner's connection says (a :class:`~airflow_lakehouse.ocr.folder.Folder`).

    :param aws: the account.
    :param root: ``s3://bucket/prefix``.
    """

    def __init__(self, aws: Aws, root: str) -> None:
        self._aws = aws
        self._root = root.rstrip("/")
        self._bucket, _, self._prefix = self._root.removeprefix("s3://").partition("/")

    def read(self, name: str) -> bytes | None:
        """As :meth:`Folder.read`."""
        try:
            return bytes(self._aws.call(S3, "get_object", self._object(name))["Body"])
        except JobLostError:
            return None

    def size(self, name: str) -> int | None:
        """As :meth:`Folder.size`."""
        try:
            return int(self._aws.call(S3, "head_object", self._object(name))["ContentLength"])
        except JobLostError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """As :meth:`Folder.write`."""
        self._aws.call(S3, "put_object", {**self._object(name), "Body": data})

    def delete(self, name: str) -> None:
        """As :meth:`Folder.delete`."""
        self._aws.call(S3, "delete_object", self._object(name))

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; tell whether it was written. Of many who try at once, one does.

        :param name: below the root.
        :param data: its bytes.
        """
        if self.read(name) is not None:
            return False
        try:
            self._aws.call(S3, "put_object", {**self._object(name), "Body": data, "IfNoneMatch": "*"})
        except LakehouseError:
            # 412, or 409 while another writes: whose it is now tells.
            return self.read(name) == data
        return True

    def names(self, folder: str) -> list[str]:
        """As :meth:`Folder.names`."""
        prefix = f"{self._object(folder)['Key']}/"
        found: list[str] = []
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "Delimiter": "/"}
        while True:
            page = self._aws.call(S3, "list_objects_v2", asked)
            found += [item["Key"].removeprefix(prefix) for item in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return sorted(found)
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def uri(self, name: str) -> str:
        """As :meth:`Folder.uri`."""
        return f"{self._root}/{name}"

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}".lstrip("/")}


@dataclass(frozen=True)
class Prepared:
    """What a service is told to start.

    :param zip_uri: the bundle.
    :param script_uri: the script.
    :param arguments: of the script, name to value.
    """

    zip_uri: str
    script_uri: str
    arguments: dict[str, str]

    @property
    def command_line(self) -> list[str]:
        """The arguments as a command line has them."""
        return [word for name, value in self.arguments.items() for word in (f"--{name}", value)]


class JobFiles:
    """The objects of one job.

    :param folder: root of the job scripts.
    :param token: what the job is started under.
    """

    def __init__(self, folder: Folder, token: str) -> None:
        self.folder = folder
        self.token = check_token(token)

    def prepare(self, job: str, arguments: Mapping[str, Any], entry_point: str = "") -> Prepared:
        """Put everything there that the job needs, and tell where it is.

        :param job: name of the job.
        :param arguments: JSON values for it. Its single-file parsers come with the bundle.
        :param entry_point: URI of another script than this package's own.
        """
        given = dict(arguments)
        profile = given.get("profile") or {}
        published = publish(build_bundle(profile.get("parsers") or ()), self.folder)
        if profile:
            given["profile"] = {**profile, "parsers": []}
        # Whoever comes first: a job that runs already must find what it was started with.
        if self.folder.size(self.name("arguments.json")) is None:
            self.folder.write(self.name("arguments.json"), json.dumps(given, sort_keys=True).encode())
        uris = {name: self.folder.uri(self.name(f"{name}.json")) for name in ("arguments", "result")}
        return Prepared(published.zip_uri, entry_point or published.script_uri, {"job": job, **uris})

    def remember(self, handle: JobHandle) -> JobHandle:
        """Keep the handle of the job that was started, and return it.

        :param handle: the job.
        """
        self.folder.write(self.name("job.json"), json.dumps(handle.as_dict()).encode())
        return handle

    def recall(self) -> JobHandle | None:
        """Return the job that was started, or None."""
        kept = self._json("job.json")
        return JobHandle.from_dict(kept) if kept else None

    def result(self) -> dict[str, Any] | None:
        """Return what the job reported, a failure too; None where it has reported nothing."""
        return self._json("result.json")

    def outcome(self) -> dict[str, Any]:
        """Return what a job that succeeded reported.

        :raises JobError: when it left no result.
        """
        found = self.result()
        if found is None:
            raise JobError(
                f"job {self.token[:12]} has ended and left no {self.folder.uri(self.name('result.json'))}",
                remedy="look whether the role of the job may write there, and read its log",
            )
        return found

    def name(self, file: str) -> str:
        """Return the name of one of the objects, below the root.

        :param file: such as ``result.json``.
        """
        return f"jobs/{self.token}/{file}"

    def _json(self, file: str) -> dict[str, Any] | None:
        data = self.folder.read(self.name(file))
        try:
            return dict(json.loads(data)) if data else None
        except ValueError:
            return None

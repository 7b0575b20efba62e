"""What is asked of Textract, checked before anything is paid for.

Limits are those of https://docs.aws.amazon.com/textract/latest/APIReference/API_StartDocumentAnalysis.html.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

FEATURES: Final = ("TABLES", "FORMS", "QUERIES", "SIGNATURES", "LAYOUT")
ALL_PAGES: Final = ("*",)
"""Textract's own default is the first page alone."""
RECIPE: Final = "1"
"""Raised when the same answers would be stored otherwise; results of another recipe are not reused."""
_MOST_QUERIES: Final = 30
_LONGEST_QUERY: Final = 200
_LONGEST_ALIAS: Final = 60
_PAGES: Final = re.compile(r"\*|\d+|\d+-(\d+|\*)")
_TAG: Final = re.compile(r"[a-zA-Z0-9_.\-:]{1,64}")
_TOPIC: Final = re.compile(r"arn:[a-z\d-]+:sns:[a-z\d-]+:\d{12}:.+")
_ROLE: Final = re.compile(r"arn:[a-z\d-]+:iam::\d{12}:role/.+")


@dataclass(frozen=True, slots=True)
class Query:
    """A question that Textract answers from the document.

    :param text: the question, 1 to 200 characters.
    :param alias: what the answer is called; the question itself by default.
    :param pages: page numbers, ranges (``2-4``, ``2-*``) or ``*``; all of them by default.
    :raises ConfigurationError: when Textract would not take it.
    """

    text: str
    alias: str | None = None
    pages: tuple[str, ...] = ALL_PAGES

    def __post_init__(self) -> None:
        if not 1 <= len(self.text) <= _LONGEST_QUERY:
            raise ConfigurationError(
                f"a query has {len(self.text)} characters", legal=f"1 to {_LONGEST_QUERY} characters"
            )
        if self.alias is not None and not 1 <= len(self.alias) <= _LONGEST_ALIAS:
            raise ConfigurationError(
                f"the alias of a query has {len(self.alias)} characters", legal=f"1 to {_LONGEST_ALIAS}"
            )
        _check_pages(self.pages)

    @classmethod
    def of(cls, given: str | Mapping[str, Any] | Query) -> Query:
        """Return a query from its text, or from ``text``, ``alias`` and ``pages``, in Textract's spelling or ours.

        :param given: one of them.
        """
        if isinstance(given, Query):
            return given
        if isinstance(given, str):
            return cls(given)
        values = _lower(given, "query", cls)
        return cls(**{**values, "pages": _pages(values.get("pages"))})

    def request(self) -> dict[str, Any]:
        """Return what Textract is sent."""
        alias = {"Alias": self.alias} if self.alias else {}
        return {"Text": self.text, **alias, "Pages": list(self.pages)}


@dataclass(frozen=True, slots=True)
class Adapter:
    """A version of an adapter, trained for the queries of one kind of document.

    :param adapter_id: its id.
    :param version: its version.
    :param pages: as of a query.
    """

    adapter_id: str
    version: str
    pages: tuple[str, ...] = ALL_PAGES

    def __post_init__(self) -> None:
        if not self.adapter_id or not self.version:
            raise ConfigurationError("an adapter needs an id and a version", legal='{"adapter_id": ..., "version": ..}')
        _check_pages(self.pages)

    @classmethod
    def of(cls, given: Mapping[str, Any] | Adapter) -> Adapter:
        """Return an adapter from ``adapter_id``, ``version`` and ``pages``, in Textract's spelling or ours.

        :param given: them, or an adapter.
        """
        if isinstance(given, Adapter):
            return given
        values = _lower(given, "adapter", cls)
        return cls(**{**values, "pages": _pages(values.get("pages"))})

    def request(self) -> dict[str, Any]:
        """Return what Textract is sent."""
        return {"AdapterId": self.adapter_id, "Version": self.version, "Pages": list(self.pages)}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is asked of Textract for every document of a batch.

    Without features, text is detected; with some, documents are analysed. The two have quotas of their own.

    :param features: of :data:`FEATURES`; giving queries adds ``QUERIES``.
    :param queries: at most thirty.
    :param adapters: for the queries.
    :param output: ``s3://bucket/prefix`` where Textract also leaves its answers; they outlive its own seven days.
    :param kms_key: key that encrypts ``output``.
    :param topic_arn: SNS topic that is told of each job's end.
    :param role_arn: role by which Textract may tell it.
    :param job_tag: label in the message, 1 to 64 of letters, digits and ``_.-:``.
    :raises ConfigurationError: when Textract would not take it.
    """

    features: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    output: str = ""
    kms_key: str = ""
    topic_arn: str = ""
    role_arn: str = ""
    job_tag: str = ""

    def __post_init__(self) -> None:
        self._check_features()
        self._check_output()
        if bool(self.topic_arn) != bool(self.role_arn):
            raise ConfigurationError("topic_arn and role_arn come together", legal="both, or neither")
        if self.topic_arn and not (_TOPIC.fullmatch(self.topic_arn) and _ROLE.fullmatch(self.role_arn)):
            raise ConfigurationError(
                f"topic {self.topic_arn!r} or role {self.role_arn!r} is no ARN",
                legal="arn:aws:sns:REGION:ACCOUNT:NAME and arn:aws:iam::ACCOUNT:role/NAME",
            )
        if self.job_tag and not _TAG.fullmatch(self.job_tag):
            raise ConfigurationError(f"job_tag {self.job_tag!r}", legal="1 to 64 of letters, digits and _.-:")

    def _check_features(self) -> None:
        strangers = sorted(set(self.features) - set(FEATURES))
        if strangers:
            raise ConfigurationError(f"Textract has no feature {', '.join(strangers)}", legal=", ".join(FEATURES))
        if bool(self.queries) != ("QUERIES" in self.features):
            raise ConfigurationError("feature QUERIES needs queries", legal=f"1 to {_MOST_QUERIES} queries")
        if len(self.queries) > _MOST_QUERIES:
            raise ConfigurationError(f"{len(self.queries)} queries", legal=f"at most {_MOST_QUERIES}")
        names = [query.alias or query.text for query in self.queries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"two queries are called {twice[0]!r}", remedy="give each an alias of its own")
        if self.adapters and not self.queries:
            raise ConfigurationError("adapters answer queries, and there are none", remedy="give queries")

    def _check_output(self) -> None:
        if self.output and not re.fullmatch(r"s3://[^/]{3,}(/.*)?", self.output):
            raise ConfigurationError(f"output {self.output!r} is not in S3", legal="s3://bucket/prefix")
        if self.kms_key and not self.output:
            raise ConfigurationError("kms_key encrypts output, and there is none", remedy="give output=s3://...")

    @classmethod
    def of(cls, **given: Any) -> Parameters:
        """Return parameters from what people write: features in any case, queries as texts, adapters as objects.

        :param given: fields of this class.
        :raises ConfigurationError: when Textract would not take it.
        """
        features = given.pop("features", None) or ()
        features = features.replace(",", " ").split() if isinstance(features, str) else features
        queries = tuple(Query.of(one) for one in given.pop("queries", None) or ())
        names = {str(name).strip().upper() for name in features} | ({"QUERIES"} if queries else set())
        # In one order: the same features are the same request.
        ordered = tuple(name for name in FEATURES if name in names) + tuple(sorted(names - set(FEATURES)))
        adapters = tuple(Adapter.of(one) for one in given.pop("adapters", None) or ())
        rest = {name: value for name, value in given.items() if value is not None}
        return cls(ordered, queries, adapters, **rest)

    @property
    def api(self) -> str:
        """``DocumentAnalysis`` or ``DocumentTextDetection``: the end of the names of both operations."""
        return "DocumentAnalysis" if self.features else "DocumentTextDetection"

    @property
    def version(self) -> str:
        """What results are stored under: all that changes what is found."""
        if not self.features:
            return f"{RECIPE}-detect"
        names = "-".join(name.lower() for name in self.features)
        asked = json.dumps([[asdict(one) for one in group] for group in (self.queries, self.adapters)])
        detail = f"-{sha256(asked.encode()).hexdigest()[:12]}" if self.queries else ""
        return f"{RECIPE}-{names}{detail}"

    def request(self) -> dict[str, Any]:
        """Return the arguments of a Start operation, without the document and the token."""
        request: dict[str, Any] = {}
        if self.features:
            request["FeatureTypes"] = list(self.features)
        if self.queries:
            request["QueriesConfig"] = {"Queries": [query.request() for query in self.queries]}
        if self.adapters:
            request["AdaptersConfig"] = {"Adapters": [adapter.request() for adapter in self.adapters]}
        if self.output:
            bucket, _, prefix = self.output.removeprefix("s3://").partition("/")
            prefix = prefix.rstrip("/")
            request["OutputConfig"] = {"S3Bucket": bucket, **({"S3Prefix": prefix} if prefix else {})}
        if self.kms_key:
            request["KMSKeyId"] = self.kms_key
        if self.topic_arn:
            request["NotificationChannel"] = {"SNSTopicArn": self.topic_arn, "RoleArn": self.role_arn}
        if self.job_tag:
            request["JobTag"] = self.job_tag
        return request


def _check_pages(pages: tuple[str, ...]) -> None:
    bad = [page for page in pages if not _PAGES.fullmatch(page)]
    if bad or not pages:
        raise ConfigurationError(f"pages {list(pages)}", legal="page numbers, ranges such as 2-4 or 2-*, or *")


def _pages(given: Any) -> tuple[str, ...]:
    if given is None:
        return ALL_PAGES
    return tuple(str(page) for page in ([given] if isinstance(given, (str, int)) else given))


def _lower(given: Mapping[str, Any], what: str, cls: type) -> dict[str, Any]:
    """Return the fields of an object that may be spelled as Textract spells them."""
    spelled = {"AdapterId": "adapter_id"}
    values = {spelled.get(name, name.lower()): value for name, value in given.items()}
    legal = list(cls.__dataclass_fields__)  # type: ignore[attr-defined] # both are dataclasses
    strangers = sorted(set(values) - set(legal))
    if strangers or legal[0] not in values:
        raise ConfigurationError(f"a {what} with {', '.join(map(str, given)) or 'nothing'}", legal=", ".join(legal))
    return values

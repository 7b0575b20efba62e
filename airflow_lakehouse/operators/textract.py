"""Read documents with Amazon Textract: one task for one document or for thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.edge import airflow_errors
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import DEFAULT_CONN_ID
from airflow_lakehouse.operators.textract_batch import BatchOperator, aws_arguments, batch_id_of, split_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_lakehouse._compat import Context
    from airflow_lakehouse.ocr.store import DocumentToRead


class TextractOperator(BatchOperator):
    """Read documents in S3 with Amazon Textract, page by page, and store what it finds.

    One task for one document or for thousands: a window of jobs in flight, one budget of requests for all of them, and
    a ledger beside the results. Whoever dies, the next attempt finds the jobs that were started; a document version is
    paid for once. Results go to ``textract_dir``, in the layout the load reads; never through XCom.

    Returns counts only, see :meth:`airflow_lakehouse.ocr.textract.report.TextractReport.counts`, and ``report``, the
    URI of a line a document.

    :param documents: a URI, an object with ``uri`` and ``etag``, or a list of them; what an upstream task returned.
        (templated)
    :param prefix: all documents below ``s3://bucket/prefix``. (templated)
    :param manifest: a file that names documents: a JSON array, or a URI or JSON object a line. (templated)
    :param textract_dir: root of the results; by default the lakehouse connection's. (templated)
    :param features: of TABLES, FORMS, QUERIES, SIGNATURES, LAYOUT; none to detect text. (templated)
    :param queries: questions: texts, or objects with ``text``, ``alias`` and ``pages`` (all by default). (templated)
    :param adapters: objects with ``adapter_id``, ``version`` and ``pages``. (templated)
    :param settings: everything else: fields of :class:`~airflow_lakehouse.ocr.textract.parameters.Parameters` and
        :class:`~airflow_lakehouse.ocr.textract.settings.Options`, such as ``max_pages``, ``dry_run``,
        ``skip_text_layer`` and ``queue_url``; on top of the connection's ``textract_options``. (templated)
    :param lakehouse_conn_id: connection with the profile; not needed with ``textract_dir``. (templated)
    :param aws_conn_id: AWS connection; None for the environment's credentials. (templated)
    :param region_name: Region of Textract and of the documents. (templated)
    :param verify: see boto3.
    :param botocore_config: see botocore.
    """

    template_fields: Sequence[str] = (
        "documents",
        "prefix",
        "manifest",
        "textract_dir",
        "features",
        "queries",
        "adapters",
        "settings",
        "lakehouse_conn_id",
        "aws_conn_id",
        "region_name",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"queries": "json", "adapters": "json", "settings": "json"}
    ui_color = "#f3e6cf"

    def __init__(  # noqa: PLR0913 - what users set; each has a default
        self,
        *,
        documents: Any = None,
        prefix: str | None = None,
        manifest: str | None = None,
        textract_dir: str | None = None,
        features: Sequence[str] | str | None = None,
        queries: Sequence[Any] | None = None,
        adapters: Sequence[Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        lakehouse_conn_id: str = DEFAULT_CONN_ID,
        aws_conn_id: str | None = None,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.documents = documents
        self.prefix = prefix
        self.manifest = manifest
        self.textract_dir = textract_dir
        self.features = features
        self.queries = queries
        self.adapters = adapters
        self.settings = settings
        self.lakehouse_conn_id = lakehouse_conn_id
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the documents, or defer until they are read; return counts.

        :param context: the task's context.
        """
        from airflow_lakehouse.hooks.textract import TextractHook
        from airflow_lakehouse.ocr.textract.saved import SavedBatch
        from airflow_lakehouse.ocr.textract.settings import Settings

        with airflow_errors():
            textract_dir, settings, aws = self._where()
            Settings.of(settings)
            service = TextractHook(**aws).service()
            documents = self._find(service)
        saved = SavedBatch(service, textract_dir, batch_id_of(context))
        return self.read_batch(context, documents, saved, settings, aws)

    def _where(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the root of the results, the settings, and the arguments of the hook."""
        base: dict[str, Any] = {}
        textract_dir, region = self.textract_dir, self.region_name
        if not textract_dir:
            profile = LakehouseHook(self.lakehouse_conn_id).get_profile()
            textract_dir, base = profile.textract_uri, profile.textract_options
            region = region or profile.region
        given = {"features": self.features, "queries": self.queries, "adapters": self.adapters}
        settings, aws_conn_id = split_options({**base, **(self.settings or {})})
        settings |= {name: value for name, value in given.items() if value}
        aws = aws_arguments(self.aws_conn_id or aws_conn_id, region)
        more = {"verify": self.verify, "config": self.botocore_config}
        return textract_dir, settings, {**aws, **{name: value for name, value in more.items() if value is not None}}

    def _find(self, service: Any) -> list[DocumentToRead]:
        from airflow_lakehouse.ocr.textract import saved

        given = {"documents": self.documents, "prefix": self.prefix, "manifest": self.manifest}
        named = [name for name, value in given.items() if value not in (None, "", "None")]
        if len(named) != 1:
            raise ConfigurationError(
                f"documents are named by {', '.join(named) or 'nothing'}", legal="one of documents, prefix, manifest"
            )
        if self.prefix:
            return saved.in_prefix(service, self.prefix)
        return saved.in_manifest(service, self.manifest) if self.manifest else saved.documents_of(self.documents)

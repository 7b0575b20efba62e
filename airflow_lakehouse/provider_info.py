"""What Airflow is told about this provider.

Airflow 3.2 and newer call this while their own configuration is still loading: nothing here may import Airflow.
"""

from __future__ import annotations

from typing import Any, Final

from airflow_lakehouse.profile import CATALOGS, DEIDENTIFY, OCR_ENGINES, RUNNERS

_INTEGRATION = "Lakehouse"
_SETTINGS: dict[str, Any] = {
    "lakehouse": {
        "description": "Settings of the lakehouse provider.",
        "options": {
            "polls_per_second": {
                "description": "Calls a second that one triggerer makes at most to ask after jobs.",
                "version_added": "0.1.0",
                "type": "float",
                "example": None,
                "default": "20",
            }
        },
    }
}
HIDDEN_FIELDS: Final = ("host", "schema", "login", "password", "port")
"""Fields of Airflow's form that this connection has no use for: where things are is said in fields of their own."""

_HOOK = "airflow_lakehouse.hooks.lakehouse.LakehouseHook"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's ``provider_info.schema.json`` wants it."""
    return {
        "package-name": "airflow-lakehouse",
        "name": "Lakehouse",
        "description": "Raw drops (FHIR, PDF, anything with a parser) become Apache Iceberg tables.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["apache", "aws", "software"]}],
        "operators": [
            _modules(
                "operators.documents",
                "operators.iceberg_spark",
                "operators.maintenance",
                "operators.review",
                "operators.rollback",
                "operators.textract",
            )
        ],
        "sensors": [_modules("sensors.partition", "sensors.raw_drop", "sensors.raw_versions", "sensors.table")],
        "hooks": [_modules("hooks.lakehouse", "hooks.textract")],
        "triggers": [
            _modules(
                "triggers.partition",
                "triggers.raw_drop",
                "triggers.spark_job",
                "triggers.table",
                "triggers.textract",
                "triggers.watch",
            )
        ],
        "task-decorators": [
            {"name": "iceberg_spark", "class-name": "airflow_lakehouse.decorators.iceberg_spark.iceberg_spark_task"},
            {"name": "textract", "class-name": "airflow_lakehouse.decorators.textract.textract_task"},
        ],
        "extra-links": [
            f"airflow_lakehouse.links.{name}"
            for name in ("JobConsoleLink", "JobLogsLink", "SparkUiLink", "TextractReportLink")
        ],
        "config": _SETTINGS,
        "asset-uris": _asset_uris(),
        # As Airflow 2.11 calls them.
        "dataset-uris": _asset_uris(),
        "connection-types": [
            {
                "connection-type": "lakehouse",
                "hook-class-name": _HOOK,
                "hook-name": "Lakehouse",
                "ui-field-behaviour": {"hidden-fields": list(HIDDEN_FIELDS), "relabeling": {}, "placeholders": {}},
                "conn-fields": connection_fields(),
            }
        ],
    }


def _asset_uris() -> list[dict[str, Any]]:
    handler, factory = "airflow_lakehouse.assets.check_uri", "airflow_lakehouse.assets.create_asset"
    return [{"schemes": ["iceberg"], "handler": handler, "factory": factory}]


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_lakehouse.{name}" for name in names]}


def connection_fields() -> dict[str, Any]:
    """Return the fields of the connection form by name; Airflow before 3.2 asks the hook for them."""
    return {
        "warehouse": _field("Warehouse", "Root of the Iceberg data: a directory, or s3://..."),
        "raw": _field("Raw drop", "Root of the raw drop: a directory, or s3://..."),
        "catalog": _field("Catalog", "Which catalog holds the tables", choices=CATALOGS),
        "runner": _field("Runner", "Where Spark runs", choices=RUNNERS),
        "runner_options": _field(
            "Runner options", "A JSON object: application_id, execution_role_arn, aws_conn_id, ..."
        ),
        "scripts": _field("Job scripts", "Where a remote engine finds scripts and bundles: s3://..."),
        "ocr": _field("OCR engine", "What reads the pages of documents", choices=OCR_ENGINES),
        "textract": _field("OCR results", "Where OCR results go; <warehouse>/textract when empty"),
        "textract_options": _field("Textract", 'Object: what is asked of Textract, such as {"features": ["TABLES"]}'),
        "aws_conn_id": _field("AWS connection", "Airflow's connection for Glue and S3; empty takes what boto3 finds"),
        "region": _field("AWS region", "Region of the Glue catalog and of Textract"),
        "deidentify": _field("De-identify silver", "Empty, or what silver holds of dates", choices=DEIDENTIFY),
        "deidentify_key": _field("De-identification key", "File with the key; by default an environment variable"),
        "parsers": _field("Parsers", "Single-file parser plugins: paths with commas between"),
    }


def _field(label: str, description: str, choices: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if choices:
        schema |= {"enum": [*choices, None], "default": choices[0]}
    return {"label": label, "description": description, "schema": schema}

"""The roles of ``examples/terraform`` allow what the code calls, and nothing it does not."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore import xform_name
from botocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES: Final = ("emr-serverless", "glue", "logs", "s3", "sns", "sqs", "sts", "textract")
AIRFLOW, SPARK, TEXTRACT = "airflow", "spark", "textract"
HOOKS: Final = {"S3Hook": "s3", "SqsHook": "sqs"}
"""Classes of the amazon provider that give a client, and of which service."""

ON_THE_WORKER: Final = ("hooks", "operators", "sensors", "triggers", "dbt", "ocr/textract")
"""Parts that run in Airflow alone; all others run in Airflow and in Spark's jobs."""

NOT_DEPLOYED: Final = ("cli", "testing")
"""Parts that run as whoever calls them."""

ACTIONS: Final = {
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:UploadPart": ("s3:PutObject",),
    "sqs:ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sqs:DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
    "sts:GetCallerIdentity": (),
}
"""What an operation needs where its name is not the action's: Service Authorization Reference, by service."""

BESIDES: Final = {
    AIRFLOW: {
        "iam:PassRole": "a job, and Textract's notices, run under a role of their own",
        "s3:ListBucket": "S3 says 403 and not 404 of an object that is not there to who may not list",
    },
    SPARK: {
        **dict.fromkeys(
            ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload"),
            "Iceberg's S3FileIO, in Java",
        ),
        **dict.fromkeys(
            ("glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable"),
            "Iceberg's GlueCatalog, in Java",
        ),
        **dict.fromkeys(("logs:CreateLogStream", "logs:PutLogEvents"), "the engine writes the driver's log"),
    },
    TEXTRACT: {"sns:Publish": "Textract says that a job has ended"},
}
"""What a role needs that no call of ours shows, and what for."""

NEEDLESS: Final = {
    "glue:CreateDatabase": "Terraform makes the databases",
    "glue:DeleteDatabase": "no database is dropped",
    "glue:UpdateDatabase": "no property of a database is changed",
    "glue:GetConnection": "``get_connection`` is that of Airflow's hooks",
    "glue:GetSession": "``get_session`` is that of the amazon provider's hooks",
}
"""What PyIceberg can do and the package does not; and what is called alike and is no call to AWS."""


UNMISTAKABLE: Final = ("get_object", "put_object", "head_object", "delete_object", "delete_objects", "copy_object")
"""Methods that are S3's, in modules that get their client from another one."""


@cache
def operations(service: str) -> dict[str, str]:
    """Return a service's operations by the names boto3 gives them."""
    model = get_session().get_service_model(service)
    # Actions begin as requests are signed.
    return {xform_name(name): f"{model.signing_name}:{name}" for name in model.operation_names}


def _strings(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return the strings of a module but its docstrings, and the ends of those that are put together."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    whole: set[str] = set()
    parts: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            (parts if id(node) in inside else whole).add(node.value)
    return whole | parts, {part.strip("_") for part in parts if "_" in part.strip("_")}


def calls(source: str) -> Iterator[tuple[str, str]]:
    """Yield service and operation of every call a module can make of boto3.

    An operation is a method that is called, or a name handed on to what calls it. Which service is meant, where
    several have one of that name, is said by the services the module names.
    """
    tree = ast.parse(source)
    strings, ends = _strings(tree)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named: set[str] = {service for service in SERVICES if service in strings}
    named |= {service for hook, service in HOOKS.items() if hook in names}
    methods = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    for service in SERVICES:
        for operation in operations(service):
            by_name = operation in strings or any(operation.endswith(f"_{end}") for end in ends)
            rivals = {other for other in named if operation in operations(other)}
            by_method = operation in methods and (service in named or operation in UNMISTAKABLE)
            if (by_name and service in (rivals or {service})) or by_method:
                yield service, operation


@cache
def needed(root: Path) -> dict[str, dict[str, str]]:
    """Return the actions each role needs, and the file that calls them."""
    package = root / "airflow_lakehouse"
    found: dict[str, dict[str, str]] = {AIRFLOW: {}, SPARK: {}, TEXTRACT: {}}
    spec = find_spec("pyiceberg.catalog.glue")
    assert spec is not None
    assert spec.origin is not None
    modules = {path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*.py"))}
    modules["pyiceberg/catalog/glue.py"] = Path(spec.origin)
    for name, path in modules.items():
        if name.startswith(NOT_DEPLOYED):
            continue
        roles = (AIRFLOW,) if name.startswith(ON_THE_WORKER) else (AIRFLOW, SPARK)
        for service, operation in calls(path.read_text(encoding="utf-8")):
            plain = operations(service)[operation]
            for action in ACTIONS.get(plain, (plain,)):
                if action not in NEEDLESS:
                    for role in roles:
                        found[role].setdefault(action, name)
    return found


def allowed(root: Path, role: str) -> set[str]:
    """Return the actions the policy of a role allows."""
    policy: dict[str, Any] = json.loads((root / "examples/terraform/policies" / f"{role}.json").read_text())
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("role", [AIRFLOW, SPARK, TEXTRACT])
def test_each_role_may_do_what_the_code_does_and_nothing_else(role: str, root: Path) -> None:
    """A call that is not allowed fails in production alone; an action nobody needs is one an intruder has."""
    called = needed(root)[role]
    may = allowed(root, role)
    missing = {action: called.get(action) or BESIDES[role][action] for action in (called.keys() | BESIDES[role]) - may}
    assert not missing, f"add to examples/terraform/policies/{role}.json"
    assert not may - called.keys() - BESIDES[role].keys(), f"nobody needs these of {role}.json; or say why, in BESIDES"


def test_the_sweep_finds_calls_however_they_are_made() -> None:
    """By method, by paginator, by a name handed on, and by one put together; and no other package's methods."""
    source = """
    def work(self, client):
        SqsHook(aws_conn_id=None).get_conn().delete_message_batch(QueueUrl="q")
        boto3.client("s3").get_paginator("list_object_versions")
        aws.call("emr-serverless", "cancel_job_run", {})
        return getattr(client, f"{verb}_{'document_analysis' if wide else 'document_text_detection'}"), "textract"
    """
    found = {operations(service)[operation] for service, operation in calls(textwrap.dedent(source))}
    assert found == {
        "emr-serverless:CancelJobRun",
        "s3:ListObjectVersions",
        "sqs:DeleteMessageBatch",
        "textract:GetDocumentAnalysis",
        "textract:GetDocumentTextDetection",
        "textract:StartDocumentAnalysis",
        "textract:StartDocumentTextDetection",
    }
    assert list(calls("catalog.create_table(name); runner.start_job_run()")) == []


def test_nothing_is_allowed_everywhere_that_could_be_narrowed(root: Path) -> None:
    """Only Textract has no resources to name; no action has a wildcard."""
    for path in (root / "examples/terraform/policies").glob("*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            assert not [action for action in statement["Action"] if "*" in action]
            wide = statement["Resource"] == "*"
            assert not wide or all(action.startswith("textract:") for action in statement["Action"])


def test_policies_name_what_terraform_hands_them(root: Path) -> None:
    """Each variable of a policy is one of those ``iam.tf`` gives; Terraform would say so at apply, on an account."""
    terraform = (root / "examples/terraform/iam.tf").read_text()
    block = terraform[terraform.index("arns = {") : terraform.index("# Airflow's workers")]
    given = set(re.findall(r"^    (\w+) +=", block, re.MULTILINE))
    used = {name for path in (root / "examples/terraform/policies").glob("*.json") for name in _variables(path)}
    assert used == given


def _variables(path: Path) -> list[str]:
    return re.findall(r"\$\{(\w+)\}", path.read_text())

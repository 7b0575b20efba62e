"""What Airflow learns about the package, and what that costs it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import urlsplit

import airflow
import pytest
from airflow.plugins_manager import AirflowPlugin
from jsonschema import Draft7Validator

from airflow_lakehouse import operators, sensors, tables, triggers
from airflow_lakehouse._compat import BaseOperator, BaseTrigger
from airflow_lakehouse.airflow_plugin import LakehousePlugin
from airflow_lakehouse.assets import check_uri, create_asset, job_assets, table_asset
from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.lakehouse import LakehouseHook
from airflow_lakehouse.hooks.profile import AWS_FIELD
from airflow_lakehouse.profile import Profile
from airflow_lakehouse.provider_info import get_provider_info

if TYPE_CHECKING:
    from types import ModuleType

BASES = {
    "airflow_lakehouse.operators.textract_batch",
    "airflow_lakehouse.sensors.base",
    "airflow_lakehouse.triggers.base",
}


def _modules(package: ModuleType) -> set[str]:
    """Return the modules that define an operator, a sensor or a trigger; what only helps them is nothing to list."""
    found = {module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")}
    return {name for name in found - BASES if any(_defined(name, (BaseOperator, BaseTrigger)))}


def _defined(name: str, kinds: tuple[type, ...]) -> list[type]:
    classes = [kind for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass)]
    return [kind for kind in classes if kind.__module__ == name and issubclass(kind, kinds)]


def _classes() -> list[type[BaseOperator]]:
    found = {kind for name in _modules(operators) | _modules(sensors) for kind in _defined(name, (BaseOperator,))}
    return sorted(found, key=lambda kind: kind.__name__)


def _run_python(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip().splitlines()[-1]


def test_the_description_fits_airflows_schema() -> None:
    """Airflow refuses a provider whose description breaks its schema."""
    schema = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())
    Draft7Validator(schema).validate(get_provider_info())
    assert get_provider_info()["package-name"] == "airflow-lakehouse"


@pytest.mark.parametrize(("key", "package"), [("operators", operators), ("sensors", sensors), ("triggers", triggers)])
def test_every_module_is_listed(key: str, package: ModuleType) -> None:
    """A module that is not listed is unknown to Airflow's tools; one that is listed and gone breaks them."""
    listed = {name for entry in get_provider_info()[key] for name in entry["python-modules"]}
    assert listed == _modules(package)


def test_what_is_named_exists() -> None:
    """Hook, handler and factory can be imported from where the description says."""
    info = get_provider_info()
    uris = info["asset-uris"][0]
    decorators = [entry["class-name"] for entry in info["task-decorators"]]
    hook = info["connection-types"][0]["hook-class-name"]
    for path in (hook, uris["handler"], uris["factory"], *decorators, *info["extra-links"]):
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_the_form_offers_the_fields_of_a_profile() -> None:
    """The connection form and the profile cannot drift apart."""
    fields = set(get_provider_info()["connection-types"][0]["conn-fields"])
    # Free-form properties have no form field of their own: they are set in the extra. The AWS connection is no job's.
    assert fields == set(Profile.__dataclass_fields__) - {"catalog_properties"} | {AWS_FIELD}


@pytest.mark.parametrize("kind", _classes())
def test_template_fields_exist(kind: type[BaseOperator]) -> None:
    """Each template field is an argument, and an attribute that holds it untouched: Airflow renders it later.

    An operator that is another one with some of its arguments set has the template fields of that one.
    """
    operators_of = [base for base in kind.__mro__ if issubclass(base, BaseOperator) and base is not BaseOperator]
    made_by = [vars(base).get("__init__") for base in operators_of]
    parameters = {name for made in made_by if made for name in inspect.signature(made).parameters}
    template_fields: Any = kind.template_fields
    assert template_fields
    for name in template_fields:
        assert name in parameters
    required: dict[str, Any] = {
        "job": "raw_to_bronze",
        "table": "bronze_fhir_patient",
        "partition": {"dt": "{{ ds }}"},
        "to_run_id": "{{ params.run }}",
        "tables": "{{ params.tables }}",
        "python_callable": lambda _spark: None,
        "dt": "{{ ds }}",
        "prefix": "s3://drop/{{ ds }}",
        "queue_url": "{{ var.value.queue }}",
        "answers": "{{ params.answers }}",
        "document": {
            "page": 2,
            "pages_in_document": 3,
            "confidence": 61.5,
            "engine": "rapidocr",
            "sources": [["file:///raw/docs/a.pdf", "e", None, "default"]],
        },
    }
    taken = inspect.signature(kind.__init__).parameters
    arguments = {name: value for name, value in required.items() if name in taken}
    task = kind(task_id="task", **arguments)
    for name in template_fields:
        assert getattr(task, name) == arguments.get(name, getattr(kind(task_id="again", **arguments), name))
    assert set(kind.template_fields_renderers) <= set(template_fields)


def test_the_description_imports_no_airflow() -> None:
    """Airflow asks for it while its configuration is still loading; an import of Airflow would crash the worker."""
    code = (
        "import sys; from airflow_lakehouse.provider_info import get_provider_info; get_provider_info();"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in"
        " {'airflow', 'cosmos', 'pyspark', 'pyiceberg', 'boto3', 'pyarrow'}))"
    )
    assert _run_python(code) == "[]"


def test_a_parse_pays_little_for_the_provider() -> None:
    """Importing every operator and sensor after Airflow itself is quick and pulls in no heavy library."""
    imports = "; ".join(f"import {name}" for name in sorted(_modules(operators) | _modules(sensors)))
    code = (
        "import sys, time; from airflow_lakehouse._compat import BaseOperator, BaseSensorOperator;"
        f"start = time.process_time(); {imports};"
        "heavy = [n for n in ('cosmos.dbt', 'pyspark', 'pyiceberg', 'boto3', 'pyarrow', 'onnxruntime')"
        " if n in sys.modules];"
        "print(heavy, round(time.process_time() - start, 3))"
    )
    heavy, _, seconds = _run_python(code).rpartition(" ")
    assert heavy == "[]"
    # 0.05 s on an idle machine; the bound is for one that is busy.
    assert float(seconds) < 0.3


def test_every_table_has_an_asset() -> None:
    """Assets are derived from the tables: one each, with the table's place as its URI."""
    for table in tables.ALL:
        asset = table_asset(table.name)
        assert asset.uri == f"iceberg://lakehouse/{table.namespace}/{table.name}"
        # Airflow 2 knows a dataset by its URI alone.
        assert getattr(asset, "name", table.identifier) == table.identifier
    jobs = [asset.uri for job in ("raw_to_bronze", "bronze_to_silver") for asset in job_assets(job)]
    assert sorted(jobs) == sorted(table_asset(table.name).uri for table in tables.ALL if table.namespace != "ops")
    assert job_assets("somebody_elses") == []


def test_asset_uris_are_checked() -> None:
    """A URI that names no table is refused when the DAG is parsed, not never matched at night."""
    asset = create_asset(catalog="lakehouse", namespace="gold", table="gold_docs_quality")
    assert check_uri(urlsplit(str(asset.uri))).geturl() == asset.uri
    for wrong in ("iceberg://lakehouse/gold", "iceberg:///gold/t", "iceberg://lakehouse/a/b/c"):
        with pytest.raises(ConfigurationError, match="names no table"):
            check_uri(urlsplit(wrong))


def test_the_plugin_loads() -> None:
    """The class behind the plugin entry point is an Airflow plugin with the name users see."""
    assert issubclass(LakehousePlugin, AirflowPlugin)
    assert LakehousePlugin.name == "lakehouse"


def test_airflow_knows_the_connection_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed provider is found by Airflow: its connection type, its hook and every field of its form."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-lakehouse" in manager.providers
    hook: Any
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
    except ImportError:  # before Airflow 3.2
        hook = manager.hooks["lakehouse"]
    else:
        hook = ProvidersManagerTaskRuntime().hooks["lakehouse"]
    assert hook is not None
    assert hook.hook_class_name == "airflow_lakehouse.hooks.lakehouse.LakehouseHook"
    assert hook.connection_testable
    widgets = {name for name in manager.connection_form_widgets if name.startswith("extra__lakehouse__")}
    fields = {name.removeprefix("extra__lakehouse__") for name in widgets}
    if not manager.connection_form_widgets:
        # Airflow 3.0 without flask_appbuilder shows no provider's fields: those it would be given.
        for name in ("flask_appbuilder", "flask_appbuilder.fieldwidgets", "wtforms"):
            monkeypatch.setitem(sys.modules, name, mock.MagicMock())
        fields = set(LakehouseHook.get_connection_form_widgets())
    assert fields == set(get_provider_info()["connection-types"][0]["conn-fields"])


def test_parsing_gold_is_cheap() -> None:
    """Beyond the Task SDK itself a DAG with gold parses in under 1.5 s of processor time (Cosmos included)."""
    pytest.importorskip("cosmos")
    code = (
        "import time\n"
        "from airflow_lakehouse._compat import DAG\n"
        "began = time.process_time()\n"
        "from airflow_lakehouse.dbt.task_group import gold_task_group\n"
        "with DAG('d', schedule=None):\n"
        "    gold_task_group()\n"
        "print('seconds', time.process_time() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("seconds"))
    assert float(seconds) < 1.5

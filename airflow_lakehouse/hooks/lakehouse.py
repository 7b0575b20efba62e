"""The ``lakehouse`` connection: one place that says where the data is and what does the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse._compat import BaseHook
from airflow_lakehouse.exceptions import LakehouseError
from airflow_lakehouse.hooks.profile import CONN_TYPE, DEFAULT_CONN_ID, read_profile
from airflow_lakehouse.hooks.spark import runner_of
from airflow_lakehouse.profile import RUNNERS
from airflow_lakehouse.provider_info import HIDDEN_FIELDS, connection_fields

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from airflow_lakehouse.profile import Profile

LOCAL: Final = RUNNERS[0]


class LakehouseHook(BaseHook):
    """Read the ``lakehouse`` connection.

    Every field is in the connection's extra: ``raw``, ``warehouse``, ``catalog``, ``runner``, ``runner_options`` (an
    object), ``scripts``, ``ocr``, ``textract``, ``region``, ``parsers`` (a list, or paths with commas between),
    ``deidentify``, ``deidentify_key``, ``textract_options`` and ``catalog_properties`` (objects). They are the
    fields of :class:`~airflow_lakehouse.profile.Profile`; besides them
    :data:`~airflow_lakehouse.hooks.profile.AWS_FIELD` names the AWS connection that reaches a Glue catalog and S3 from
    Airflow.

    :param lakehouse_conn_id: id of the connection.
    """

    conn_name_attr = "lakehouse_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Lakehouse"

    def __init__(self, lakehouse_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lakehouse_conn_id = lakehouse_conn_id

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of the form, for Airflow before 3.2; later ones read the provider's description."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in connection_fields().items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how Airflow's own fields are shown, for Airflow before 3.2."""
        return {"hidden_fields": list(HIDDEN_FIELDS), "relabeling": {}, "placeholders": {}}

    def get_profile(self) -> Profile:
        """Return what the connection says.

        :raises ConfigurationError: when there is no such connection, or a field is unknown, missing or not legal.
        """
        return read_profile(self.lakehouse_conn_id)

    def get_catalog(self) -> Catalog:
        """Open the Iceberg catalog with PyIceberg.

        :raises ConfigurationError: when there is none yet; the first run makes a local one.
        """
        # Imported when used: this pulls pyarrow in, which a DAG parse must not pay for.
        from airflow_lakehouse.hooks.iceberg import open_catalog
        from airflow_lakehouse.spark.storage.catalog import load_pyiceberg

        return open_catalog(self.lakehouse_conn_id) or load_pyiceberg(self.get_profile())

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the catalog answers, the raw drop can be listed, and the runner can be used.

        :return: whether all is well, and one sentence for the connection form.
        """
        try:
            profile = self.get_profile()
            if profile.catalog == "sqlite" and not profile.catalog_file.exists():
                found = f"{profile.warehouse_dir} is new; the first run makes its catalog"
            else:
                found = f"catalog answers, {len(self.get_catalog().list_namespaces())} namespaces"
        except LakehouseError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - the form shows the reason, whatever library it came from
            return False, f"{type(error).__name__}: {error}"
        if profile.raw and "://" not in profile.raw and not os.access(profile.raw, os.R_OK | os.X_OK):
            return False, f"{found}; but the raw drop {profile.raw} is absent or cannot be read"
        if profile.runner == LOCAL:
            return True, f"{found}."
        try:
            is_well, said = runner_of(profile).test_connection()
        except LakehouseError as error:
            return False, f"{found}; but {error}"
        return is_well, f"{found}; {said.rstrip('.')}."

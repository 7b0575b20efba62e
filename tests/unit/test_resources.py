"""The resolver finds what ships with the package, in a checkout and in a wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_lakehouse.exceptions import SetupError, UsageError
from airflow_lakehouse.resources import resource_dir

if TYPE_CHECKING:
    from pathlib import Path


def test_checkout_has_the_dbt_project() -> None:
    """In this checkout the dbt project is found next to the package."""
    assert (resource_dir("dbt_example") / "dbt_project.yml").is_file()


def test_a_wheel_keeps_them_inside_the_package(tmp_path: Path) -> None:
    """An installed package finds its own folder, even where one of the same name lies beside it."""
    package = tmp_path / "site-packages" / "airflow_lakehouse"
    inside = package / "_assets" / "example_dags"
    inside.mkdir(parents=True)
    (package.parent / "example_dags").mkdir()
    assert resource_dir("example_dags", package=package) == inside


def test_a_missing_folder_names_both_places(tmp_path: Path) -> None:
    """The error says where was looked, in a wheel and in a checkout."""
    with pytest.raises(SetupError) as caught:
        resource_dir("spark_scripts", package=tmp_path / "pkg")
    assert str(tmp_path / "pkg" / "_assets" / "spark_scripts") in str(caught.value)
    assert str(tmp_path / "spark_scripts") in str(caught.value)


def test_an_unknown_name_lists_the_legal_ones() -> None:
    """A typing error is told what there is."""
    with pytest.raises(UsageError, match="spark_scripts, dbt_example, example_dags"):
        resource_dir("scripts")

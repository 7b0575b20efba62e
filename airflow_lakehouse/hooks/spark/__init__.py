"""Where Spark jobs run: runners, all alike behind :class:`~airflow_lakehouse.hooks.spark.base.SparkRunner`.

The runner ``glue`` is the class ``GlueRunner`` of the module ``glue`` here, and so for each name in
:data:`~airflow_lakehouse.profile.RUNNERS`. A module is imported when its runner is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.hooks.spark.base import JobHandle, JobState, JobStatus, SparkRunner
from airflow_lakehouse.profile import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_lakehouse.hooks.spark.emr_serverless import EmrServerlessRunner
    from airflow_lakehouse.hooks.spark.glue import GlueRunner
    from airflow_lakehouse.hooks.spark.local import LocalRunner
    from airflow_lakehouse.hooks.spark.spark_connect import SparkConnectRunner
    from airflow_lakehouse.hooks.spark.spark_submit import SparkSubmitRunner
    from airflow_lakehouse.profile import Profile

__all__ = [
    "EmrServerlessRunner",
    "GlueRunner",
    "JobHandle",
    "JobState",
    "JobStatus",
    "LocalRunner",
    "SparkConnectRunner",
    "SparkRunner",
    "SparkSubmitRunner",
    "runner_from",
    "runner_named",
    "runner_of",
]

_CLASSES: Final = {f"{name.title().replace('_', '')}Runner": name for name in RUNNERS}
_OF_PROFILE: Final = ("scripts", "region")
"""Fields of a profile that a runner has too, unless its options say otherwise."""


def runner_from(name: str, options: Mapping[str, Any]) -> SparkRunner:
    """Build a runner.

    :param name: one of :data:`~airflow_lakehouse.profile.RUNNERS`.
    :param options: what it is built with, as :meth:`SparkRunner.options` gives them.
    :raises ConfigurationError: when there is no such runner, or it takes no such option or value.
    """
    kind = _class_named(name)
    legal = _options_of(kind)
    strangers = sorted(set(options) - set(legal))
    if strangers:
        raise ConfigurationError(f"runner {name!r} takes no {', '.join(strangers)}", legal=", ".join(legal))
    try:
        runner: SparkRunner = kind(**options)
    except TypeError as error:
        # The dataclass's own words name what is missing.
        raise ConfigurationError(
            f"runner {name!r} cannot be built: {error}", legal=", ".join(legal), remedy="set them in runner_options"
        ) from error
    return runner


def runner_of(profile: Profile) -> SparkRunner:
    """Build the runner a profile names: its options, and what the profile itself says of the same name.

    :param profile: the lakehouse.
    :raises ConfigurationError: see :func:`runner_from`.
    """
    legal = _options_of(_class_named(profile.runner))
    said: dict[str, Any] = {
        name: getattr(profile, name) for name in _OF_PROFILE if name in legal and getattr(profile, name)
    }
    return runner_from(profile.runner, {**said, **profile.runner_options})


def runner_named(name: str) -> SparkRunner:
    """Return a runner that needs no options.

    :param name: such as ``local``.
    :raises ConfigurationError: see :func:`runner_from`.
    """
    return runner_from(name, {})


def _class_named(name: str) -> Any:
    found = next((kind for kind, one in _CLASSES.items() if one == name), None)
    if found is None:
        raise ConfigurationError(f"runner {name!r} is not known", legal=", ".join(RUNNERS))
    return __getattr__(found)


def _options_of(kind: Any) -> list[str]:
    return [one.name for one in fields(kind) if one.init]


def __getattr__(name: str) -> Any:
    """Import the module of a runner when its class is first used (PEP 562)."""
    if name not in _CLASSES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)

"""The bundle of this package on this machine, for spark-submit and Spark Connect to hand to executors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_lakehouse.hooks.spark.local import default_root

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def kept_bundle(root: Path | None, parsers: Iterable[str]) -> Path:
    """Return the path of the bundle's zip, named after its content; it is written where it is not there yet.

    :param root: directory of the jobs' directories, see :class:`~airflow_lakehouse.hooks.spark.local.LocalRunner`.
    :param parsers: paths of single-file parser plugins.
    """
    from airflow_lakehouse.spark.bundle import build_bundle

    bundle = build_bundle(parsers)
    path = (root or default_root()).absolute() / "bundles" / f"{bundle.sha256}.zip"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(bundle.data)
        partial.replace(path)
    return path

"""Where things are and what does the work: the one object behind a run, whoever starts it.

The command line builds a profile from its options, Airflow from the ``lakehouse`` connection. Everything below
them takes the profile, so that moving from a laptop to AWS changes the profile and nothing else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from airflow_lakehouse.exceptions import ConfigurationError

CATALOG_NAME: Final = "lakehouse"
"""Name of the Iceberg catalog, the same for Spark and PyIceberg: in a SQLite catalog it is part of every row."""

CATALOG_FILE: Final = "catalog.db"
CATALOGS: Final = ("sqlite", "glue")
RUNNERS: Final = ("local", "emr_serverless", "glue", "spark_submit", "spark_connect")
"""Names of the runners; :mod:`airflow_lakehouse.hooks.spark` has them."""
OCR_ENGINES: Final = ("local", "textract", "none", "tesserocr", "tesseract")
OCR_PLUGIN: Final = "plugin:"
"""Before the name of an engine that a plugin brings."""
SHIFT: Final = "shift"
YEAR: Final = "year"
DEIDENTIFY: Final = ("", SHIFT, YEAR)
KEY_VARIABLE: Final = "LAKEHOUSE_DEIDENTIFY_KEY"
"""Environment variable with the key of de-identification, where the job runs."""


@dataclass(frozen=True)
class Profile:
    """One lakehouse.

    :param warehouse: root of the Iceberg data, a path or ``s3://...``.
    :param raw: root of the raw drop; None for work that does not read it.
    :param textract: where OCR results go; ``<warehouse>/textract`` when empty.
    :param catalog: ``sqlite`` (``<warehouse>/catalog.db``) or ``glue``.
    :param runner: where Spark runs, one of :data:`RUNNERS`.
    :param runner_options: what that runner is built with besides, as JSON values and without a secret: an application's
        id, a role. The runner checks them.
    :param scripts: root of what remote engines are pointed at: job scripts, bundles, what jobs are given and return.
    :param ocr: what reads pages, one of :data:`OCR_ENGINES`, or ``plugin:NAME`` for an engine that a plugin brings.
    :param region: AWS region, for Glue.
    :param parsers: single-file parser plugins, by path.
    :param deidentify: what silver holds of dates, if it is to hold no person: ``shift`` (all dates of a patient by the
        same days) or ``year``; empty to keep everything as it is.
    :param deidentify_key: file with the key of the hashes, a path or URI; when empty, the job reads it from the
        environment variable :data:`KEY_VARIABLE`.
    :param textract_options: what is asked of Amazon Textract, and how a batch is run: fields of
        :class:`~airflow_lakehouse.ocr.textract.parameters.Parameters` and
        :class:`~airflow_lakehouse.ocr.textract.settings.Options`.
    :param catalog_properties: further PyIceberg catalog properties, such as ``s3.endpoint``.
    :raises ConfigurationError: when a value is not legal.
    """

    warehouse: str
    raw: str | None = None
    textract: str = ""
    catalog: str = "sqlite"
    runner: str = "local"
    ocr: str = "local"
    region: str | None = None
    parsers: tuple[str, ...] = ()
    deidentify: str = ""
    deidentify_key: str = ""
    textract_options: dict[str, Any] = field(default_factory=dict)
    catalog_properties: dict[str, str] = field(default_factory=dict)
    scripts: str = ""
    runner_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("catalog", self.catalog, CATALOGS)
        _one_of("runner", self.runner, RUNNERS)
        if not self.ocr.startswith(OCR_PLUGIN):
            _one_of("OCR engine", self.ocr, OCR_ENGINES)
        _one_of("deidentify", self.deidentify, DEIDENTIFY)
        if not self.warehouse:
            raise ConfigurationError(
                "the profile names no warehouse", remedy="give --warehouse DIR or set it in the connection"
            )
        if self.catalog == "sqlite" and "://" in self.warehouse and not self.warehouse.startswith("file://"):
            raise ConfigurationError(
                f"the SQLite catalog cannot keep its file in {self.warehouse!r}",
                legal="a directory of this machine",
                remedy="use the glue catalog for a warehouse in S3",
            )

    @property
    def warehouse_dir(self) -> Path:
        """The warehouse as a local, absolute path.

        :raises ConfigurationError: when the warehouse is not on this machine.
        """
        if "://" in self.warehouse and not self.warehouse.startswith("file://"):
            raise ConfigurationError(f"warehouse {self.warehouse!r} is not on this machine")
        return Path(self.warehouse.removeprefix("file://")).expanduser().absolute()

    @property
    def warehouse_uri(self) -> str:
        """The warehouse as a URI without a slash at its end; Spark and PyIceberg must agree on it to the letter."""
        if "://" in self.warehouse and not self.warehouse.startswith("file://"):
            return self.warehouse.rstrip("/")
        # Spelled as the path is: Hadoop takes percent signs literally and would write beside the directory.
        return f"file://{self.warehouse_dir.as_posix()}"

    @property
    def catalog_file(self) -> Path:
        """The SQLite file of a local catalog."""
        return self.warehouse_dir / CATALOG_FILE

    @property
    def textract_uri(self) -> str:
        """Where OCR results are, as a path or URI."""
        return self.textract or f"{self.warehouse_uri.removeprefix('file://')}/textract"

    def with_raw(self, raw: str) -> Profile:
        """Return the same profile for another drop.

        :param raw: root of the drop.
        """
        return replace(self, raw=raw)

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as JSON values; :meth:`from_dict` reads it back."""
        return {**asdict(self), "parsers": list(self.parsers)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Profile:
        """Build a profile from JSON values, such as a connection's extra.

        :param values: fields of the profile; empty ones are ignored.
        :raises ConfigurationError: for a field that does not exist, or a value that is not legal.
        """
        strangers = sorted(set(values) - set(cls.__dataclass_fields__))
        if strangers:
            raise ConfigurationError(
                f"a profile has no {', '.join(map(repr, strangers))}", legal=", ".join(cls.__dataclass_fields__)
            )
        given = {name: value for name, value in values.items() if value not in (None, "")}
        if "parsers" in given:
            given["parsers"] = tuple(given["parsers"])
        if "warehouse" not in given:
            raise ConfigurationError("the profile names no warehouse", remedy="set 'warehouse' in it")
        return cls(**given)


def _one_of(what: str, given: str, legal: tuple[str, ...]) -> None:
    if given not in legal:
        raise ConfigurationError(f"{what} {given!r} is not known", legal=", ".join(filter(None, legal)))

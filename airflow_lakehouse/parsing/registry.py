"""Finding parsers: built-in ones, those of installed distributions, and single files, through one door."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from airflow_lakehouse.exceptions import ConfigurationError, ParserError
from airflow_lakehouse.parsing import hookspecs
from airflow_lakehouse.parsing.model import Parser, RecordParser

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from airflow_lakehouse.parsing.model import SourceFile
    from airflow_lakehouse.tables import Table

ENTRY_POINT_GROUP = "airflow_lakehouse.parsers"
"""Entry point group of parser plugins; its members are modules that implement the hooks."""

BUILT_IN = {
    "documents": "airflow_lakehouse.parsers.documents",
    "fhir": "airflow_lakehouse.parsers.fhir",
    # The last is asked first: to FHIR's, a manifest.json is a record that is none.
    "docs_manifest": "airflow_lakehouse.parsers.manifest",
}
"""Parsers of this package: entry point to module."""


@dataclass(frozen=True)
class Registry:
    """The parsers of this process, by name.

    :param parsers: outside parsers first, so that they may claim a file before the built-in ones do.
    :param modules: single-file plugins that were loaded by path; workers load the same ones.
    """

    parsers: dict[str, Parser | RecordParser]
    modules: tuple[str, ...] = field(default=())

    def claim(self, file: SourceFile, head: bytes) -> Parser | RecordParser | None:
        """Return the first parser that reads the file, or None.

        :param file: the file.
        :param head: its first bytes, unzipped.
        """
        for parser in self.parsers.values():
            if parser.claims(file, head):
                return parser
        return None

    def get(self, name: str) -> Parser | RecordParser:
        """Return a parser by name.

        :param name: its name.
        :raises ParserError: when no such parser is registered.
        """
        if name not in self.parsers:
            raise ParserError(
                f"no parser is registered as {name!r}",
                legal=", ".join(sorted(self.parsers)),
                remedy="install the distribution that brings it, or name its file with --parser",
            )
        return self.parsers[name]

    @property
    def tables(self) -> dict[str, Table]:
        """Every bronze table the parsers fill, by name."""
        return {table.name: table for parser in self.parsers.values() for table in parser.tables}


def load_registry(modules: Iterable[str] = ()) -> Registry:
    """Build the registry: installed distributions, single files, then the built-in parsers.

    :param modules: paths of single-file plugins.
    :raises ConfigurationError: when a file does not exist.
    :raises ParserError: when a plugin cannot be imported, is no parser, or takes a name that is taken. A plugin that
        fails is never skipped: its files would end in quarantine as unknown, and nobody would look for the reason here.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    # Absolute: Spark workers load the same files, from another working directory.
    paths = tuple(str(Path(path).expanduser().absolute()) for path in modules)
    for entry_point, name in BUILT_IN.items():
        # Under the names of their entry points, which are then not registered a second time. Without the entry
        # points they still load, as in the bundle that is shipped to a cluster.
        manager.register(importlib.import_module(name), entry_point)
    for path in paths:
        manager.register(_import_file(path), path)
    _load_entry_points(manager)
    parsers: dict[str, Parser | RecordParser] = {}
    for brought in manager.hook.lakehouse_parsers():
        for parser in brought:
            _check(parser, parsers)
            parsers[parser.name] = parser
    return Registry(parsers, paths)


def load_parser(name: str, modules: Iterable[str] = ()) -> Parser | RecordParser:
    """Return one parser, as a worker does for each of its tasks.

    No other may have the name of a built-in one, which is therefore found without asking every installed distribution
    what it brings: that takes longer than reading a small file.

    :param name: its name.
    :param modules: see :func:`load_registry`.
    :raises ParserError: as :func:`load_registry` and :meth:`Registry.get`.
    """
    if name in BUILT_IN:
        brought: Iterable[Parser | RecordParser] = importlib.import_module(BUILT_IN[name]).lakehouse_parsers()
        return next(parser for parser in brought if parser.name == name)
    return load_registry(modules).get(name)


def _load_entry_points(manager: pluggy.PluginManager) -> None:
    try:
        manager.load_setuptools_entrypoints(ENTRY_POINT_GROUP)
    except Exception as error:
        # Any exception: an outside module runs its own code here, and the user must learn which one broke.
        raise ParserError(
            f"a parser plugin failed to load: {type(error).__name__}: {error}",
            remedy=f"mend or uninstall the distribution with an entry point in {ENTRY_POINT_GROUP!r}",
        ) from error


def _import_file(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise ConfigurationError(f"the parser file {path!r} does not exist", remedy="give the path of a Python file")
    # Named after the path, so that two files called parser.py do not replace one another in sys.modules.
    name = f"airflow_lakehouse_plugin_{sha256(path.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ParserError(f"{path!r} is not a Python file", legal="a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ParserError(f"the parser file {path!r} failed to load: {type(error).__name__}: {error}") from error
    return module


def _check(parser: object, known: dict[str, Parser | RecordParser]) -> None:
    if not isinstance(parser, (Parser, RecordParser)):
        raise ParserError(
            f"{type(parser).__module__}.{type(parser).__qualname__} is not a parser",
            legal="an object with name, version, tables, claims() and parse() or cut() and lift()",
        )
    if parser.name in known:
        raise ParserError(f"two parsers are called {parser.name!r}", remedy="rename or uninstall one")
    strangers = [table.name for table in parser.tables if table.namespace != "bronze"]
    if strangers:
        raise ParserError(f"parser {parser.name!r} fills {strangers}", legal="tables in the bronze namespace")

"""What a remote engine is given of this package: one zip for ``--py-files``, and the scripts it is pointed at.

The zip holds the Spark half, pluggy, and the parsers that are registered here: those of installed distributions with
the metadata of their entry points, and single files as modules with an entry point of the bundle's own. Python finds
both in a zip, on the driver and on every executor, so that no path of this machine has to exist there.

Nothing native is in it: pyarrow and PyIceberg (``NEEDED`` in :mod:`airflow_lakehouse.spark.cluster`), and whatever a
parser needs besides, must be in the engine's own Python.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_lakehouse.exceptions import ConfigurationError, SetupError
from airflow_lakehouse.parsing.registry import BUILT_IN, ENTRY_POINT_GROUP
from airflow_lakehouse.resources import resource_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

    from airflow_lakehouse.ocr.folder import Folder

SPARK_HALF: Final = ("exceptions", "days", "profile", "resources", "tables", "parsing", "parsers", "ocr", "spark")
"""Modules and packages of this package that run where there is no Airflow."""
SCRIPT: Final = "run_job.py"
"""The script that runs any job: ``--job NAME --arguments URI --result URI``."""

_OWN: Final = "airflow_lakehouse"
_PLUGINS: Final = "lakehouse_bundled_parsers"
_NATIVE: Final = (".so", ".pyd", ".dylib")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The zip and the scripts.

    :param data: bytes of the zip.
    :param scripts: name to bytes of each script.
    """

    data: bytes
    scripts: dict[str, bytes]

    @property
    def sha256(self) -> str:
        """Hash of everything in it: the same content has the same, whenever and wherever it was built."""
        digest = sha256(self.data)
        for name, text in sorted(self.scripts.items()):
            digest.update(name.encode() + b"\0" + text)
        return digest.hexdigest()


@dataclass(frozen=True)
class Published:
    """Where a bundle is.

    :param zip_uri: of the zip.
    :param script_uri: of the script that runs any job.
    """

    zip_uri: str
    script_uri: str


def build_bundle(parsers: Iterable[str] = ()) -> Bundle:
    """Build the bundle of this installation.

    :param parsers: paths of single-file parser plugins.
    :raises ConfigurationError: when one of them does not exist.
    :raises SetupError: when a parser's distribution has native code, which no zip can carry.
    """
    files = _spark_half() | _package("pluggy") | _single_files(parsers)
    for distribution in _parser_distributions():
        files |= _distribution(distribution)
    scripts = {path.name: path.read_bytes() for path in resource_dir("spark_scripts").glob("*.py")}
    return Bundle(_zipped(files), scripts)


def publish(bundle: Bundle, folder: Folder) -> Published:
    """Put a bundle where an engine finds it, unless it is there.

    :param bundle: from :func:`build_bundle`.
    :param folder: root of the job scripts.
    """
    name = f"bundles/{bundle.sha256}.zip"
    if folder.size(name) is None:
        # Without a hash: what a Glue job or a person points at stays where it is, and says the same in every release.
        for script, text in bundle.scripts.items():
            folder.write(script, text)
        # Last: where the zip is, the rest is too.
        folder.write(name, bundle.data)
    return Published(folder.uri(name), folder.uri(SCRIPT))


def _spark_half() -> dict[str, bytes]:
    root = Path(__file__).parents[1]
    files = {f"{_OWN}/{name}": (root / name).read_bytes() for name in ("__init__.py", "py.typed")}
    for name in SPARK_HALF:
        path = root / name
        module = {} if path.is_dir() else {f"{_OWN}/{name}.py": (root / f"{name}.py").read_bytes()}
        files |= _tree(path, f"{_OWN}/{name}") | module
    return files


def _tree(folder: Path, name: str) -> dict[str, bytes]:
    """Return the files of a package, without what tools leave there; none where there is no such folder."""
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in parts):
            found["/".join((name, *parts))] = path.read_bytes()
    return found


def _package(name: str) -> dict[str, bytes]:
    """Return the files of a top-level module or package that can be imported here.

    :raises SetupError: when it has native code, or cannot be found.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise SetupError(f"the module {name!r} of a parser is not installed", remedy="install its distribution again")
    if spec.submodule_search_locations:
        files: dict[str, bytes] = {}
        for location in spec.submodule_search_locations:
            files |= _tree(Path(location), name)
    else:
        files = {f"{name}.py": Path(str(spec.origin)).read_bytes()}
    native = [path for path in files if path.endswith(_NATIVE)]
    if native:
        raise SetupError(
            f"{native[0]} is native code, which a zip of Python files cannot carry",
            remedy=f"install {name!r} in the engine's Python, and not beside Airflow",
        )
    return files


def _single_files(paths: Iterable[str]) -> dict[str, bytes]:
    files, points = {f"{_PLUGINS}/__init__.py": b""}, []
    for given in paths:
        path = Path(given).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"the parser file {given!r} does not exist", remedy="give the path of a Python file"
            )
        text = path.read_bytes()
        name = f"plugin_{sha256(text).hexdigest()[:12]}"
        files[f"{_PLUGINS}/{name}.py"] = text
        points.append(f"{name} = {_PLUGINS}.{name}")
    if not points:
        return {}
    return files | _metadata(_PLUGINS, "0", "\n".join([f"[{ENTRY_POINT_GROUP}]", *sorted(set(points))]))


def _parser_distributions() -> list[Distribution]:
    """Return the installed distributions that bring parsers, but for this one."""
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        if any(point.value not in BUILT_IN.values() for point in points):
            # The first on the path is the one that is imported.
            found.setdefault(distribution.metadata["Name"], distribution)
    return [found[name] for name in sorted(found)]


def _distribution(distribution: Distribution) -> dict[str, bytes]:
    """Return a distribution's modules and its entry points; modules are looked for, as editable ones are elsewhere."""
    points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
    modules = {point.module.partition(".")[0] for point in points}
    modules |= {name for name in (distribution.read_text("top_level.txt") or "").split() if name}
    for path in distribution.files or ():
        if path.suffix == ".py" and not path.parts[0].startswith(("__editable__", "..")):
            modules.add(path.parts[0].removesuffix(".py"))
    files: dict[str, bytes] = {}
    for module in sorted(modules):
        files |= _package(module)
    text = "\n".join([f"[{ENTRY_POINT_GROUP}]", *sorted(f"{point.name} = {point.value}" for point in points)])
    return files | _metadata(distribution.metadata["Name"], distribution.version, text)


def _metadata(name: str, version: str, entry_points: str) -> dict[str, bytes]:
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{folder}/METADATA": head.encode(), f"{folder}/entry_points.txt": f"{entry_points}\n".encode()}


def _zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    # Stored: what zlib makes of the same bytes differs from machine to machine, and with it the hash.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return target.getvalue()

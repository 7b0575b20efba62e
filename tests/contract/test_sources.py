"""Every source file keeps the house rules that no linter knows."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_LINES = 400
SPARK_FILE_LINES = 250
FUNCTION_LINES = 50
NOT_IN_CONNECT = {"rdd", "sparkContext", "_sc", "_jvm", "_jsc", "_jdf", "_jsparkSession"}


def test_file_fits_in_the_head(python_file: Path, root: Path) -> None:
    """No source file is longer than one sitting; the Spark half, which is the hardest to follow, less still."""
    in_spark = python_file.is_relative_to(root / "airflow_lakehouse" / "spark")
    budget = SPARK_FILE_LINES if in_spark else FILE_LINES
    lines = len(python_file.read_text(encoding="utf-8").splitlines())
    assert lines <= budget, f"{lines} lines, {budget} are allowed: cut it where its subject changes"


def test_functions_fit_on_a_screen(python_file: Path) -> None:
    """No function has more code than fits on a screen; what it says about itself is not counted."""
    functions = _functions(ast.parse(python_file.read_text(encoding="utf-8")))
    long = {node.name: size for node in functions if (size := _code_lines(node)) > FUNCTION_LINES}
    assert not long, f"longer than {FUNCTION_LINES} lines: {long}"


def test_annotations_are_never_run(python_file: Path) -> None:
    """Types cost nothing at import time, and may name what is imported for checking alone."""
    tree = ast.parse(python_file.read_text(encoding="utf-8"))
    code = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    assert not code or any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in code), (
        "put 'from __future__ import annotations' first"
    )


def test_public_names_are_explained(package_file: Path) -> None:
    """Every module, public class, function and method says what it is for."""
    tree = ast.parse(package_file.read_text(encoding="utf-8"))
    silent = [name for name, node in _public(tree) if not ast.get_docstring(node)]
    if tree.body and not ast.get_docstring(tree):
        silent.append("the module")
    assert not silent, f"without a docstring: {silent}"


@pytest.fixture(scope="module")
def protocols(root: Path) -> dict[str, set[str]]:
    """Parameters that a method of each name explains anywhere in the package."""
    found: dict[str, set[str]] = {}
    for path in (root / "airflow_lakehouse").rglob("*.py"):
        for name, node in _public(ast.parse(path.read_text(encoding="utf-8"))):
            if "." in name and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, set()).update(_explained(node))
    return found


def test_parameters_are_explained(package_file: Path, protocols: dict[str, set[str]]) -> None:
    """A public function says of each parameter what it means; a method may leave it to the protocol it fulfils."""
    silent = {}
    for name, node in _public(ast.parse(package_file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) or any("fixture" in ast.unparse(mark) for mark in node.decorator_list):
            continue
        elsewhere = protocols.get(node.name, set()) if "." in name else set()
        if missing := _parameters(node) - _explained(node) - elsewhere:
            silent[name] = missing
    assert not silent, f"without ':param name:': {silent}"


def test_spark_code_is_connect_safe(spark_file: Path) -> None:
    """A Spark Connect session has no RDD, no context and no JVM: code that asks for them fails on EMR or here."""
    tree = ast.parse(spark_file.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & NOT_IN_CONNECT


def test_tests_say_what_they_prove(test_file: Path) -> None:
    """Every test says in a sentence what it proves: a name alone does not say why anybody should care."""
    silent = [
        node.name
        for node in _functions(ast.parse(test_file.read_text(encoding="utf-8")))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, f"without a docstring: {silent}"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    head = node.body[0]
    return lines - ((head.end_lineno or head.lineno) - head.lineno + 1 if ast.get_docstring(node) else 0)


def _public(
    tree: ast.Module | ast.ClassDef, inside: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if any("overload" in ast.unparse(decorator) for decorator in node.decorator_list):
            continue
        yield inside + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node, f"{inside}{node.name}.")


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return {argument.arg for argument in given if argument.arg not in ("self", "cls") and argument.arg[0] != "_"}


def _explained(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return set(re.findall(r":param (\w+):", ast.get_docstring(node) or ""))

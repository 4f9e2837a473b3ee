"""Sizes and shapes that keep the code readable: a test says so, not taste."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(p for room in ("src", "tests", "bench") for p in (ROOT / room).rglob("*.py"))
GRAB_BAGS = {"utils", "common", "helpers", "misc", "manager", "base", "core", "util", "helper"}
MODULE_LINES = 300
FUNCTION_LINES = 60


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_is_tidy(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MODULE_LINES, f"split {path.name}: over {MODULE_LINES} lines"
    assert path.stem not in GRAB_BAGS, f"{path.name} says nothing about its subject"
    if text.strip():
        assert ast.get_docstring(tree), f"{path.name} lacks the sentence that says what room it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{path.name}:{node.name} is {length} lines long"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if "src" in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_public_names_have_docstrings(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert node.name.startswith("_") or ast.get_docstring(node), (
                f"{path.name}:{node.name} lacks a docstring"
            )

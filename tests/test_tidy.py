"""Taste as rules, rules as tests: who may read the time and the environment, how long things get, what must be said.

The limits are the constants below; an exception has its reason beside it.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import conftest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {path: path.read_text() for path in sorted((ROOT / "agents").rglob("*.py"))}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}

FILE_LINES, BODY_LINES, ARGUMENTS, LINE_CHARACTERS = 300, 50, 5, 120

MANY_ARGUMENTS = {"propose": "the whole decision about weights: a public signature that users' code calls"}


def place(path: Path, node: ast.AST | int) -> str:
    """file:line, as editors open it."""
    return f"{path.relative_to(ROOT)}:{node if isinstance(node, int) else node.lineno}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, also methods and inner functions."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_only_the_clock_reads_the_time():
    reading = re.compile(r"(^|\.)(time\.(time|monotonic|sleep|perf_counter)|datetime\.(now|utcnow|today))$")
    found = [
        place(path, node)
        for path, tree in TREES.items()
        if path.name not in ("clock.py", "log.py")  # the log formats the time that logging took
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and reading.search(ast.unparse(node.func))
    ]
    assert not found


def test_only_the_settings_read_the_environment():
    found = [
        place(path, node)
        for path, tree in TREES.items()
        if path.name != "settings.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    ]
    assert not found


def test_files_stay_short():
    lines = {str(path.relative_to(ROOT)): len(text.splitlines()) for path, text in SOURCES.items()}
    long = {name: count for name, count in lines.items() if count > FILE_LINES}
    assert not long


def test_bodies_stay_short():
    """From the docstring to the last line."""
    long = {
        node.name: f"{count} lines, {place(path, node)}"
        for path, tree in TREES.items()
        for node in functions(tree)
        if (count := node.end_lineno - node.body[0].lineno + 1) > BODY_LINES
    }
    assert not long


def test_functions_take_few_arguments():
    """`self` is not counted, keyword-only arguments are."""
    many = {}
    for path, tree in TREES.items():
        for node in functions(tree):
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([a for a in arguments if a not in ("self", "cls")])
            if count > ARGUMENTS:
                many[node.name] = f"{count} arguments, {place(path, node)}"
    assert set(many) <= set(MANY_ARGUMENTS), many


def test_lines_fit_the_width_and_none_keeps_a_shape_of_its_own():
    """Code, comments, docstrings and SQL alike; ruff format decides the rest."""
    numbered = [(path, n, line) for path, text in SOURCES.items() for n, line in enumerate(text.splitlines(), 1)]
    assert not [place(path, n) for path, n, line in numbered if re.search(r"#\s*fmt:", line)]
    long = [place(path, n) for path, n, line in numbered if len(line) > LINE_CHARACTERS]
    assert not long


def test_every_module_and_public_name_says_what_it_promises():
    silent = [
        place(path, getattr(node, "lineno", 1))
        for path, tree in TREES.items()
        for node in (tree, *tree.body)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not getattr(node, "name", "").startswith("_")
        and not ast.get_docstring(node)
        and (
            isinstance(node, ast.Module) or path.name not in ("__main__.py", "main.py")
        )  # commands say it in their help
    ]
    assert not silent


def test_nothing_is_unpickled_and_ignores_have_reasons():
    for path, text in SOURCES.items():
        assert not re.search(r"\b(import pickle|read_pickle|allow_pickle=True|joblib|shelve)\b", text), path
        for line in text.splitlines():
            if "type: ignore" in line:
                assert re.search(r"type: ignore\[[^\]]+\]\s+# \w+", line), f"{path}: {line}"


def test_no_path_of_a_machine_and_no_todo_is_tracked():
    listing = ["git", "ls-files"] if shutil.which("git") else ["true"]  # a folder without git: our sources only
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in tracked or [str(path.relative_to(ROOT)) for path in SOURCES]:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".sh", ".toml", ".example") and path != Path(__file__).resolve():
            text = path.read_text()
            assert not re.search(r"(^|[^A-Za-z0-9_.])/(work|farm|root)/", text), name
            assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), name


def test_what_only_some_machines_have_is_read_through_one_door_that_skips(monkeypatch, tmp_path):
    """So every test that reads ../shared skips with a word where that is missing."""
    doors = [
        path.name
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__).resolve() and re.search(r"SHARED_DATA|\bshared/|[\"']shared[\"']", path.read_text())
    ]
    assert doors == ["conftest.py"]
    monkeypatch.setattr(conftest, "SHARED_DATA", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="needs .*prices.csv"):
        conftest.shared_data("equities", "prices.csv")

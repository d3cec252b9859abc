"""Taste as rules, rules as tests: who may read the time and the environment, how long things get, what must be said."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "agents").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 460, 75


def trees():
    return [pytest.param(path, ast.parse(path.read_text()), id=str(path.relative_to(ROOT))) for path in FILES]


@pytest.mark.parametrize(("path", "tree"), trees())
def test_only_the_clock_reads_the_time(path, tree):
    if path.name in ("clock.py", "log.py"):  # the log formats the time that logging took
        return
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    forbidden = {
        c
        for c in calls
        if re.search(r"(^|\.)(time\.(time|monotonic|sleep|perf_counter)|datetime\.(now|utcnow|today))$", c)
    }
    assert not forbidden


@pytest.mark.parametrize(("path", "tree"), trees())
def test_only_the_settings_read_the_environment(path, tree):
    if path.name == "settings.py":
        return
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {name for name in names if name in ("os.environ", "os.getenv")}


@pytest.mark.parametrize(("path", "tree"), trees())
def test_files_and_functions_stay_short(path, tree):
    if path.name != "tables.py":  # one declaration for each table
        assert len(path.read_text().splitlines()) <= FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= FUNCTION_LINES, node.name


@pytest.mark.parametrize(("path", "tree"), trees())
def test_every_module_and_public_name_says_what_it_promises(path, tree):
    assert ast.get_docstring(tree), "a module opens with its story"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            decorated_command = path.name == "__main__.py"
            assert ast.get_docstring(node) or decorated_command, node.name


@pytest.mark.parametrize(("path", "tree"), trees())
def test_nothing_is_unpickled_and_ignores_have_reasons(path, tree):
    text = path.read_text()
    assert not re.search(r"\b(import pickle|read_pickle|allow_pickle=True|joblib|shelve)\b", text)
    for line in text.splitlines():
        if "type: ignore" in line:
            assert re.search(r"type: ignore\[[^\]]+\]\s+# \w+", line), line


def test_no_path_of_a_machine_and_no_todo_is_tracked():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in tracked or [str(path.relative_to(ROOT)) for path in FILES]:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".sh", ".toml", ".example") and path != Path(__file__).resolve():
            text = path.read_text()
            assert not re.search(r"(^|[^A-Za-z0-9_.])/(work|farm|root)/", text), name
            assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), name

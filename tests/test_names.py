"""Names do not use retired words; test_floors checks that each class and alias has one definition."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ranks import ROOT

# word -> what names say instead
RETIRED = {"homes": "stage_to_rank", "home": "owner", "alone": "single_process",
           "place": "position, index, name", "places": "positions, indices, names", "cut": "shard",
           "gift": "send_buffer", "gifts": "send_buffers", "lights": "failed_checks", "why": "label, reason"}
# an exercise has five lights; MPI.IN_PLACE is a name of MPI
ALLOWED = {("exercises", "lights"), ("cli", "lights"), ("mpi4py_face", "place"), ("exercises.py", "lights"),
           ("halo_exchange", "place")}
TREES = ("minipar", "lessons", "benchmarks")


def trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def definitions(tree: ast.Module) -> Iterator[str]:
    """Classes, wherever they are, and aliases: names with a capital that a module assigns."""
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for node in tree.body:
        targets = (node.targets if isinstance(node, ast.Assign)
                   else [node.target] if isinstance(node, ast.AnnAssign) else [])
        for target in targets:
            if isinstance(target, ast.Name) and re.match(r"_?[A-Z]\w*[a-z]", target.id):
                yield target.id


def bound(tree: ast.Module) -> Iterator[str]:
    """Every name that the source defines: variables, parameters, fields, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def several(*roots: Path) -> dict[str, list[str]]:
    """name -> its files, of the classes and aliases that are defined more than once. Exercises are left out:
    the stub and each answer define the same names.
    """
    where: dict[str, list[str]] = {}
    for root in roots:
        for file, tree in trees(root):
            if root.name == "lessons" and file.startswith("exercises/"):
                continue
            for name in definitions(tree):
                where.setdefault(name, []).append(f"{root.name}/{file}")
    return {name: files for name, files in where.items() if len(files) > 1}


def retired(root: Path) -> set[tuple[str, str]]:
    """(file, name) of the names that use a retired word."""
    return {(file, name) for file, tree in trees(root) for name in bound(tree)
            for word in words(name) & set(RETIRED)
            if not any((part, word) in ALLOWED for part in file.split("/"))}


@pytest.mark.parametrize("tree", TREES)
def test_no_name_uses_a_retired_word(tree: str) -> None:
    assert retired(ROOT / tree) == set()


@pytest.mark.parametrize("source, names", [
    ("def f(homes): pass", {"homes"}), ("x.all_homes = 1", {"all_homes"}), ("myHomes = 1", {"myHomes"}),
    ("class Homes: pass", {"Homes"}), ("for homes in x: pass", {"homes"}), ("f(homes)", set())])
def test_the_check_sees_retired_words(tmp_path: Path, source: str, names: set[str]) -> None:
    (tmp_path / "planted.py").write_text(source)
    assert {name for _, name in retired(tmp_path)} == names


def test_the_check_sees_second_definitions(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Links: pass\nNumber = float\nSIZE = 3\n")
    (tmp_path / "two.py").write_text("def f():\n    class Links: pass\nNumber: type = int\nSIZE = 4\n")
    assert set(several(tmp_path)) == {"Links", "Number"}

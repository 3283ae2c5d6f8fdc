"""Forbidden helpers are found however they are spelled; what only looks like one is not."""

from __future__ import annotations

import pytest

from minipar.exercises.catalogue import find
from minipar.exercises.forbid import forbidden, too_deep
from minipar.exercises.lights import verdict

NAMES = ("minipar.comm.collectives", "all_reduce", "np.linalg.svd")


@pytest.mark.parametrize("source", [
    "import minipar.comm.collectives", "from minipar.comm import collectives",
    "from minipar.comm.collectives import x", "import minipar as mp\nmp.all_reduce(1)",
    "from minipar import all_reduce", "import numpy as np\nnp.linalg.svd(1)",
    "import importlib", "eval('1')", "import sys\nsys.modules['x']", "__import__('x')",
    "def f():\n    import builtins", "__builtins__['exec']", "__loader__", "import zlib\nzlib.__spec__"])
def test_a_forbidden_helper(source: str) -> None:
    assert "in line" in forbidden(source, NAMES)


@pytest.mark.parametrize("source", ["import re\nre.compile('x')", "all_reduced = 1", "np.linalg.norm(1)",
                                    "x = 'all_reduce'", "def (", "comm.allreduce(1)"])
def test_what_is_allowed(source: str) -> None:
    assert forbidden(source, NAMES) == ""


def test_without_names_only_the_grader_is_forbidden() -> None:
    assert forbidden("eval('1')", ()) == ""
    for source in ("import tracemalloc", "from tracemalloc import stop", "from minipar.exercises import wire",
                   "import minipar\nminipar.exercises.grade"):
        assert "in line" in forbidden(source, ())


@pytest.mark.parametrize("source", [
    "y = " + "1+" * 20_000 + "1", "y = " + "-" * 100_000 + "1", "y = a" + ".b" * 20_000,
    "y = " + "not " * 20_000 + "1", "y = " + "lambda:" * 5_000 + "1", "y" + "[0]" * 20_000])
def test_a_source_that_nobody_can_parse(source: str) -> None:
    """Such a source is refused, since nobody can search it."""
    assert too_deep(source)
    assert "deeply" in verdict(find("ring_reduce_scatter"), source, []).lights[0].diagnosis


@pytest.mark.parametrize(
    "source",
    ["x = 1\n", "def (", "x = 1 # \0", "y = " + "(" * 150 + "1" + ")" * 150, "y = '" + "a" * 10**6 + "'"],
)
def test_a_source_that_is_not_too_deep(source: str) -> None:
    assert not too_deep(source) and forbidden(source, NAMES) == ""
    assert verdict(find("chunk_order_bug"), source, []).lights[0].state == "off"


def test_a_long_chain_of_names_is_searched() -> None:
    assert forbidden("import numpy as np\nnp.linalg.svd" + ".T" * 100, NAMES) == "np.linalg.svd in line 2"

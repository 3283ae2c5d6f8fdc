"""`python -O` leaves asserts out, so no check of minipar may be one; and a lesson, whose checks are asserts,
refuses to start.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minipar.autograd import Tensor, backward
from minipar.autograd.tensor import record
from minipar.config import Layout
from minipar.errors import ConfigError, GraphError, MiniparError, ShapeError
from minipar.nn.dropout import Dropout
from minipar.nn.parameter import Parameter, Start
from minipar.optim.flat import Flat
from minipar.proof.case import uneven_case
from minipar.proof.mutants.mutant import Change, Mutant
from tests.ranks import ROOT


def narrows(test: ast.expr) -> bool:
    """Whether the condition only tells a type checker what is known: `x is not None`, `isinstance(x, T)`, and
    both.
    """
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return all(map(narrows, test.values))
    if isinstance(test, ast.Compare):
        return all(isinstance(op, ast.IsNot) for op in test.ops)
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance"


def checks(source: str) -> list[int]:
    """The lines of asserts in functions that check something. (Those of a module run at its import, of
    constants.)
    """
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return sorted({node.lineno for function in functions for node in ast.walk(function)
                   if isinstance(node, ast.Assert) and not narrows(node.test)})


def test_no_check_of_minipar_is_an_assert() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "minipar").rglob("*.py")}
    assert {str(path): lines for path, source in sources.items() if (lines := checks(source))} == {}


@pytest.mark.parametrize("text, found", [
    ("assert x is not None", []), ("assert isinstance(x, int) and y is not None", []),
    ("assert x", [1]), ("assert x == 1 and y is not None", [1]), ("assert hasattr(x, 'y')", [1])])
def test_an_assert_that_checks_is_found(text: str, found: list[int]) -> None:
    assert checks(f"def f(x, y): {text}") == found and checks(text) == []


def parameter() -> Parameter:
    return Parameter("p", (3,), Start())


def vjp(*contributions: np.ndarray) -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    backward(record(np.ones(()), (x, x), lambda g: iter(contributions)))


def replaced_gradient() -> None:
    flat = Flat([p := parameter()])
    p.grad = np.ones(3)
    flat.gradient()


@pytest.mark.parametrize("call, error, words", [
    (lambda: Flat([parameter()]).keep_gradient_in(np.ones(4)), ShapeError, "does not fit into a buffer"),
    (replaced_gradient, GraphError, "gradient of p was replaced"),
    (lambda: Dropout(0.5, 0, 0, np.arange(2)).drop(Tensor(np.ones((2, 3, 4))), "mlp"), ConfigError,
     "call on"),
    (lambda: vjp(np.ones(2), np.ones(2)), ShapeError, r"shape \(2,\) for a leaf of shape \(3,\)"),
    (lambda: vjp(np.ones(3)), GraphError, "too few"),
    (lambda: Mutant("new", "", "loss", lambda: [Change(Flat, "nothing", None)],
                    uneven_case(Layout())).planted().__enter__(), ConfigError,
     "changes nothing"),
])
def test_what_were_asserts_are_errors(call: object, error: type[MiniparError], words: str) -> None:
    with pytest.raises(error, match=words):
        call()  # type: ignore[operator]


def test_a_lesson_without_asserts_refuses_to_start(tmp_path: Path) -> None:
    script = tmp_path / "planted.py"
    script.write_text(
        "from minipar.lessons.support.lesson import Lesson\nLesson('planted', ranks=1).say('started')\n"
        "assert False\n"
    )
    for options, status in ((["-O"], 2), (["-OO"], 2), ([], 1)):
        done = subprocess.run(
            [sys.executable, *options, str(script), str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == status and ("start it without -O" in done.stderr) == (status == 2)
        assert (done.stdout == "started\n") == (status == 1)

"""From a training step to the wire: few calls, few files, and no function that only repacks its arguments."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import ThreadComm, run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.parallel.grid import Grid
from minipar.proof.case import text_of
from minipar.training.trainer import Trainer

FRAMES, FILES = 20, 11                                              # from Trainer.step to the engine's isend
# Row-parallel outputs, the losses, and what the ranks of dp sum: the first is the longest way.
WAYS = ["blocks.0.attention.out forward", "blocks.1.mlp.down forward", "tokens forward", "loss sums",
        "blocks.0.mlp.up backward", "gradients", "replicated gradients", "gradient norm"]

Way = tuple[CodeType, ...]                                          # what is called, from the step on


def ways_to_the_wire() -> dict[str, set[Way]]:
    """Label of a message -> the ways from Trainer.step to ThreadComm.isend, in a step of dp2 x tp2."""
    found: dict[str, set[Way]] = {}
    engine = ThreadComm.isend

    def isend(
        comm: ThreadComm, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0
    ) -> Any:
        way, frame = [engine.__code__], sys._getframe(1)
        while (
            frame.f_code.co_name != "step"
            or frame.f_code.co_filename != sys.modules[Trainer.__module__].__file__
        ):
            way.append(frame.f_code)
            if frame.f_back is None:
                return engine(comm, array, dest, label=label, tag=tag)       # not within a step
            frame = frame.f_back
        found.setdefault(str(label), set()).add((frame.f_code, *reversed(way)))
        return engine(comm, array, dest, label=label, tag=tag)

    def train(world: Communicator) -> None:
        model = ModelConfig(vocabulary=13, context=6, layers=2, heads=2, width=8)
        Trainer(model, TrainConfig(batch=4), *text_of(13), Grid(world, Layout(dp=2, tp=2))).step()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadComm, "isend", isend)
        run(4, train)
    return found


@pytest.fixture(scope="module")
def ways() -> dict[str, set[Way]]:
    return ways_to_the_wire()


@pytest.mark.parametrize("label", WAYS)
def test_the_way_is_short(ways: dict[str, set[Way]], label: str) -> None:
    for way in ways[label]:
        names, files = [code.co_name for code in way], {code.co_filename for code in way}
        assert len(names) <= FRAMES, names
        assert len(files) <= FILES, files


def test_no_call_on_the_way_only_repacks_its_arguments(ways: dict[str, set[Way]]) -> None:
    codes = {code for of_label in ways.values() for way in of_label for code in way}
    assert len(codes) > 30
    assert [code.co_qualname if sys.version_info >= (3, 11) else code.co_name  # type: ignore[attr-defined]
            for code in codes if only_repacks(definition(code))] == []


@pytest.mark.parametrize("source, repacks", [
    ("def f(x, y):\n    '''Text.'''\n    return g(y, x)", True),
    ("def f(self, *args, **options):\n    return self.forward(*args, **options)", True),
    ("def f(x):\n    yield from g(x, flag=True)", True),
    ("def f(self, x):\n    return g(x, self.comm)", False),
    ("def f(x):\n    return g(x + 1)", False),
    ("def f(x):\n    y = g(x)\n    return h(y)", False)])
def test_what_only_repacks(source: str, repacks: bool) -> None:
    (function,) = ast.parse(source).body
    assert only_repacks(function) == repacks


def only_repacks(function: ast.AST) -> bool:
    """Whether all it does is to hand its own parameters, or constants, on to one other call."""
    if not isinstance(function, ast.FunctionDef):
        return False                                                # a lambda, a generator expression
    body = [line for line in function.body
            if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], ast.Return | ast.Expr):
        return False
    call = body[0].value
    call = call.value if isinstance(call, ast.YieldFrom | ast.Await) else call
    own = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}

    def is_own(value: ast.expr) -> bool:
        value = value.value if isinstance(value, ast.Starred) else value
        return isinstance(value, ast.Constant) or isinstance(value, ast.Name) and value.id in own

    return isinstance(call, ast.Call) and all(
        map(is_own, [*call.args, *(each.value for each in call.keywords)])
    )


def definition(code: CodeType) -> ast.AST:
    """The function that was compiled into this code."""
    for node in ast.walk(parsed(code.co_filename)):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if (node.name, first) == (code.co_name, code.co_firstlineno):
                return node
    return ast.Pass()                                               # a lambda


@cache
def parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"))

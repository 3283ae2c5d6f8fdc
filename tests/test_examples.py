"""Every example in a docstring gives what it shows, and every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import time
from pathlib import Path

import pytest

import minipar as mp
from tests.ranks import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "minipar").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))
SECONDS = 5  # of the processor, for the examples of a file


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    began = time.process_time()
    failed, tried = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
    assert tried and not failed, f"{failed} of {tried} examples of {name} fail: see the output above"
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("name", mp.__all__)
def test_every_public_name_has_an_example_that_can_be_copied(name: str) -> None:
    """The example runs in an empty session, and needs no internal name."""
    example = doctest.DocTestParser().get_doctest(getattr(mp, name).__doc__ or "", {}, name, None, None)
    assert example.examples, "write one into the docstring"
    assert not any("minipar." in one.source for one in example.examples)
    called = any(f"mp.{name}" in one.source for one in example.examples)
    assert called or inspect.isabstract(getattr(mp, name))          # no call creates a Communicator
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_wrong_example_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert doctest.testmod(importlib.import_module("planted_example"), report=False).failed == 1

"""Every example in a docstring gives what it shows, and every public name has one."""

from __future__ import annotations

import doctest
import importlib
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


def test_every_public_name_has_an_example() -> None:
    without = {name for name in mp.__all__ if ">>> " not in (getattr(mp, name).__doc__ or "")}
    assert not without, "write one into the docstring"


def test_a_wrong_example_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert doctest.testmod(importlib.import_module("planted_example"), report=False).failed == 1

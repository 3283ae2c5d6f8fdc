"""The example of `equivalent` proves the right layer and explains the two mistakes."""

import runpy
import sys

import pytest

from tests.ranks import ROOT


def test_the_example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["equivalent_layer.py"])
    runpy.run_path(str(ROOT / "lessons" / "examples" / "equivalent_layer.py"))
    right, not_summed, bias = capsys.readouterr().out.split("--- ")[1:]
    assert "PROVEN: 3 rank(s)" in right and "NOT PROVEN" not in right
    assert "(dx): a partial sum on each rank" in not_summed
    assert "off by 2 times 'b': each rank adds it before the sum" in bias

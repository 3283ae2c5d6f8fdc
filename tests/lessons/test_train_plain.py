"""The first file of the README's reading path: a training in plain lines, which gives Trainer's bits."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.ranks import ROOT

FILE = ROOT / "lessons" / "examples" / "train_plain.py"
LINES = 30  # of code, to the end of the loop


def test_it_is_short_and_gives_the_bits_of_a_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(FILE))
    assert "Trainer: the same bits" in capsys.readouterr().out
    code = [
        line for line in FILE.read_text(encoding="utf-8").partition('"""\n\n')[2].splitlines() if line.strip()
    ]
    end = next(number for number, line in enumerate(code) if line.startswith("print(f\"loss"))
    assert end < LINES, "a whole training in at most 30 lines"


@pytest.mark.parametrize("right, wrong", [("batches.get(step)", "batches.get(step + 1)"),
                                          ("weights.zero_grad()", "pass"),
                                          ("lr=1e-2)\n", "lr=1.001e-2)\n"),
                                          ("gradient(), 1.0)", "gradient(), 9.0)")])
def test_a_changed_line_gives_other_bits(right: str, wrong: str, tmp_path: Path) -> None:
    source = FILE.read_text(encoding="utf-8")
    assert source.count(right) == 1
    (changed := tmp_path / "changed.py").write_text(source.replace(right, wrong), encoding="utf-8")
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        runpy.run_path(str(changed))

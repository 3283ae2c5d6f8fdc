"""`minipar gradcheck`: it passes for the model as it is, and fails, by name, for one gradient that is
wrong.
"""

from __future__ import annotations

import pytest

from minipar.autograd import Tensor
from minipar.nn import MLP
from tests.commands import call, refused

SMALL = ["gradcheck", "--layers", 1, "--width", 4, "--context", 3, "--vocabulary", 5]


@pytest.mark.parametrize("words", [[], ["--no-tied", "--no-bias"]])
def test_every_gradient_is_right(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*SMALL, *words) == 0
    out, err = capsys.readouterr()
    *table, verdict = out.splitlines()
    names = [line.split()[0] for line in table[1:-1]]
    assert ("blocks.0.mlp.up.bias" in names) == (not words) and ("head.weight" in names) == bool(words)
    assert table[-1].startswith("random direction") and err == ""
    assert verdict.endswith(f" elements of {len(names)} parameters: all within 1e-07 of the differences")


def test_a_wrong_gradient_is_named(monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    forward = MLP.forward

    def wrong(mlp: MLP, x: Tensor, residual: Tensor | None = None) -> Tensor:
        mlp.down.bias.hooks[:] = [lambda gradient: gradient.__imul__(1 + 1e-6)]  # type: ignore[list-item]
        return forward(mlp, x, residual)

    monkeypatch.setattr(MLP, "forward", wrong)
    assert call(*SMALL) == 1
    assert "parameters: WRONG in blocks.0.mlp.down.bias" in capsys.readouterr().out.splitlines()[-1]


def test_a_right_gradient_is_not_accused(capsys: pytest.CaptureFixture[str]) -> None:
    """A LayerNorm of nearly equal numbers is so curved that the first step of the differences is far too
    large.
    """
    assert call(*SMALL, "--seed", 1) == 0


def test_sizes_that_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("gradcheck", "verify"):
        assert "only rounding error; choose a --width other than 2" in refused(
            capsys, name, "--width", 2, "--heads", 1)
    assert "3 heads do not divide the width 8" in refused(capsys, "gradcheck", "--heads", 3)

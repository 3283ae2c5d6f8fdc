"""A target that is ignored costs nothing and has no gradient, whatever its logits are."""

import numpy as np
import pytest

from minipar.autograd import IGNORE, Tensor, backward, cross_entropy
from minipar.comm.threads import run
from minipar.parallel.vocabulary import vocab_parallel_cross_entropy

TARGETS = np.array([1, IGNORE, 4])
V = 6


def logits(value: float, where: slice) -> np.ndarray:
    z = np.random.default_rng(0).standard_normal((3, V))
    z[1, where] = value
    return z


def alone(z: np.ndarray) -> tuple[float, np.ndarray]:
    x = Tensor(z, requires_grad=True)
    loss = cross_entropy(x, TARGETS)
    backward(loss)
    return loss.item(), x.grad


def on_ranks(z: np.ndarray, tp: int) -> tuple[float, np.ndarray]:
    def rank(comm):
        rows = slice(comm.rank * V // tp, (comm.rank + 1) * V // tp)
        x = Tensor(z[:, rows].copy(), requires_grad=True)
        loss = vocab_parallel_cross_entropy(x, TARGETS, None, comm, rows, V)
        backward(loss)
        return loss.item(), x.grad
    results = run(tp, rank)
    return results[0][0], np.concatenate([grad for _, grad in results], axis=1)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("tp", [1, 2, 3])
@pytest.mark.parametrize("where", [slice(0, 1), slice(4, 5), slice(None)], ids=["first", "late", "row"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_logits_of_an_ignored_row_change_nothing(value, where, tp):
    loss, grad = alone(logits(0.0, where))
    got, mine = alone(logits(value, where)) if tp == 1 else on_ranks(logits(value, where), tp)
    assert got == pytest.approx(loss, rel=1e-14)
    assert (mine[1] == 0).all()
    np.testing.assert_allclose(mine, grad, rtol=1e-13, atol=1e-15)

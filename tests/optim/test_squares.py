"""Squares that leave the range: an error that names the gradient, and norms over ranks that need no square.
"""

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.compress.quantize.limits import minmax, mse, percentile
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import RangeError
from minipar.nn.parameter import Parameter, Start
from minipar.optim import OPTIMIZERS, Flat
from minipar.parallel.norm import global_norm
from tests.ranks import ranks
from tests.refusals import refused


def flat_of(gradient: np.ndarray) -> Flat:
    parameter = Parameter("w", gradient.shape, Start())
    parameter.data = np.zeros_like(gradient)
    flat = Flat([parameter])
    parameter.grad = parameter.grad_buffer
    flat.gradient()[:] = gradient
    return flat


@pytest.mark.parametrize("name", ["adagrad", "adam", "adamw"])
def test_a_square_beyond_the_range_is_an_error(name: str) -> None:
    """It would be infinite for ever, and its parameter would never move again."""
    optimizer = OPTIMIZERS[name](flat_of(np.array([1, 1e30], np.float32)))
    with pytest.raises(RangeError, match="gradient of 1e.30"):
        optimizer.step(1e-3)
    optimizer = OPTIMIZERS[name](flat_of(np.array([1e18, 1e-30], np.float32)))
    optimizer.step(1e-3)
    assert np.isfinite(optimizer.flat.data).all() and optimizer.flat.data[0] < 0  # type: ignore[attr-defined]


@ranks(4)
@pytest.mark.parametrize("size", [1e200, 1.0, 1e-200, 0.0, np.inf, np.nan])
def test_the_norm_over_ranks(comm: Communicator, size: float) -> None:
    """2 x 2 ranks of tp and pp, each with a replica that counts once per stage."""
    tp, pp = comm.split(comm.rank // 2, label="tp"), comm.split(comm.rank % 2, label="pp")
    assert tp is not None and pp is not None
    flat = flat_of(np.array([3 * size, 4 * size]))
    with np.errstate(invalid="ignore"):
        norm = global_norm(flat, tp, pp)
    assert norm == pytest.approx(5 * size * 2**0.5, rel=1e-14, nan_ok=True)


@pytest.mark.parametrize("find", [minmax, percentile, mse])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_calibration_near_the_end_of_the_range(find: object, dtype: str, symmetric: bool) -> None:
    """Finite numbers have finite limits; NaN and infinity are named."""
    scheme = Scheme(8, symmetric=symmetric)
    end = float(np.finfo(np.float32 if dtype == "f2" else dtype).max) / 5
    x = np.array([end, -end, end, -end / 3, 0] if dtype != "f2" else [65504, -65504, 1, 0, -1], dtype)
    limits = find(x, scheme)  # type: ignore[operator]
    assert np.isfinite(limits.low).all() and np.isfinite(limits.high).all()
    assert (limits.high > 0).all() and (limits.low <= 0).all()
    for bad in (np.nan, np.inf, -np.inf):
        x[1] = bad
        with refused(RangeError, item="the array"):
            find(x, scheme)  # type: ignore[operator]

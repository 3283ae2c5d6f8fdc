"""Norms and means whose value fits do not overflow or vanish on the way; what is no gradient is refused."""

import math

import numpy as np
import pytest

from minipar.autograd import Tensor, mean
from minipar.errors import ShapeError
from minipar.optim import clip_by_global_norm, norm_of
from tests.refusals import refused


@pytest.mark.parametrize("dtype, sizes", [("f4", (1e30, 1e19, 1.0, 1e-19, 1e-25)),
                                          ("f8", (1e200, 1e307, 1.0, 1e-200, 1e-300))])
def test_norms(dtype: str, sizes: tuple[float, ...]) -> None:
    for size in sizes:
        g = (np.array([3, -4, 0, 12]) * np.asarray(size / 100, "f8")).astype(dtype)
        assert math.isclose(norm_of(g), 0.13 * size, rel_tol=1e-6), size
        assert math.isclose(clip_by_global_norm(g, 0.01 * size), 0.13 * size, rel_tol=1e-6)
        assert math.isclose(norm_of(g), 0.01 * size, rel_tol=1e-5)


def test_norms_of_what_is_not_finite() -> None:
    assert (
        norm_of(np.array([1, np.inf])) == math.inf
        and math.isnan(norm_of(np.array([1, np.nan])))
        and norm_of(np.zeros(3)) == 0
    )


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_a_mean_that_fits(dtype: str) -> None:
    large = np.finfo(dtype).max
    assert (
        mean(Tensor(np.full(4, large, dtype))).data == large
        and mean(Tensor(np.full(4, large, dtype))).dtype == dtype
    )


@pytest.mark.parametrize("value, text", [(None, "backward"), (Tensor(np.ones(2)), r"t\.grad"),
                                         (np.ma.masked_array([1.0], [True]), "mask"),
                                         (np.ones(2, complex), "complex"), ([1.0], "list"),
                                         (np.ones(2, bool), "bool")], ids=str)
def test_what_is_no_gradient(value: object, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        clip_by_global_norm(value, 1.0)                             # type: ignore[arg-type]


@pytest.mark.parametrize("value, item", [(None, "data"), (Tensor(np.ones(2)), "data"),
                                         (np.ma.masked_array([1.0], [True]), "data"),
                                         (["a"], "dtype"), (np.ones(1, [("a", "f4")]), "dtype")], ids=str)
def test_what_is_no_data_of_a_tensor(value: object, item: str) -> None:
    with refused(ShapeError, item=item):
        Tensor(value)

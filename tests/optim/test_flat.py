"""Parameters and gradients in flat buffers: the same numbers at another place."""

import numpy as np
import pytest

from minipar.autograd import Deferred, backward
from minipar.config import ModelConfig
from minipar.errors import GraphError, ShapeError
from minipar.nn import GPT, Parameter, Start
from minipar.optim import Flat
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=13, context=8, layers=2, heads=2, width=8)
TEXT = np.random.default_rng(0).integers(0, 13, (4, 9))


@pytest.mark.parametrize("tied", [True, False])
def test_the_buffer_holds_the_model(tied: bool) -> None:
    config = ModelConfig(13, 8, 2, 2, 8, tied=tied)
    before = GPT(config).state_dict()
    model = GPT(config)
    flat = Flat(model.parameters())
    assert flat.data.shape == flat.grad.shape == (sum(p.size for p in model.parameters()),)
    for p, span in zip(flat.parameters, flat.slices, strict=True):
        np.testing.assert_array_equal(p.data, before[p.name])
        assert np.shares_memory(p.data, flat.data) and p.data.flags.c_contiguous
        np.testing.assert_array_equal(flat.data[span], p.data.reshape(-1))
    assert [p.ndim >= 2 for p in flat.parameters] == sorted((p.ndim >= 2 for p in flat.parameters),
                                                            reverse=True)
    assert flat.decayed == slice(0, sum(p.size for p in model.parameters() if p.ndim >= 2))
    assert flat.whole == slice(0, len(flat.data))
    flat.data += 1                                                  # the model sees it
    np.testing.assert_array_equal(model.state_dict()["norm.bias"], before["norm.bias"] + 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_arrive_in_the_buffer_with_the_same_bits(dtype: type) -> None:
    plain, model = GPT(CONFIG, dtype=dtype), GPT(CONFIG, dtype=dtype)
    flat = Flat(model.parameters())
    flat.grad[:] = np.nan                                           # what is there from before does not count
    for _ in range(2):                                              # the second backward adds
        backward(plain.loss(TEXT[:, :-1], TEXT[:, 1:]))
        backward(model.loss(TEXT[:, :-1], TEXT[:, 1:]))
    gradient = flat.by_name(flat.gradient())
    for p in plain.parameters():
        np.testing.assert_array_equal(gradient[p.name], p.grad)
    flat.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert (flat.gradient() == 0).all()  # nothing arrived: zero, not the old values


def test_deferred_gradients_arrive_there_too() -> None:
    plain, model = GPT(CONFIG), GPT(CONFIG)
    flat, deferred = Flat(model.parameters()), Deferred()
    backward(plain.loss(TEXT[:, :-1], TEXT[:, 1:]))
    backward(model.loss(TEXT[:, :-1], TEXT[:, 1:]), deferred=deferred)
    deferred.run()
    gradient = flat.by_name(flat.gradient())
    for p in plain.parameters():
        np.testing.assert_array_equal(gradient[p.name], p.grad)


def test_parameters_that_backward_does_not_reach_have_gradient_zero() -> None:
    used, unused = (Parameter(name, (2, 2), Start(std=1.0)) for name in ("used", "unused"))
    flat = Flat([used, unused])
    flat.grad[:] = np.nan
    backward((used * used)[0, 0])
    assert flat.gradient()[4:].tolist() == [0, 0, 0, 0] and np.isfinite(flat.gradient()).all()


def test_a_gradient_elsewhere_is_an_error() -> None:
    """An update from the buffer would miss it."""
    p = Parameter("p", (2, 2), Start())
    flat = Flat([p])
    p.grad = np.ones((2, 2))
    with pytest.raises(GraphError, match="gradient of p was replaced"):
        flat.gradient()


def test_mixed_dtypes_are_refused() -> None:
    a, b = Parameter("a", (2,), Start()), Parameter("b", (2,), Start())
    b.initialise(0, np.dtype(np.float64))
    with pytest.raises(ShapeError, match="float32 and float64"):
        Flat([a, b])
    with refused(ShapeError, item="parameters"):
        Flat([])

"""Every door refuses by name what NumPy would cast without a word; rows of logits that give no probabilities
are named.
"""

from collections.abc import Callable

import numpy as np
import pytest
from minipar.lessons.support.metrics import confusion

from minipar.autograd import Tensor, cross_entropy, log_softmax, softmax
from minipar.compress.quantize import Scheme, quantize
from minipar.config import ModelConfig
from minipar.errors import MiniparError, RangeError
from minipar.inference.kv_cache import KVCache
from minipar.inference.requests import Sampling
from minipar.inference.sampling import choose
from minipar.nn import GPT, Parameter, Start
from minipar.optim import Flat
from tests.refusals import refused

MODEL = GPT(ModelConfig(vocabulary=5, context=4, width=4, heads=1, layers=1))
INTEGERS = np.ones((1, 3), np.int64)
DOORS: dict[str, Callable[[object], object]] = {
    "GPT": lambda x: MODEL(x),
    "KV cache": lambda x: KVCache(MODEL).logits(x),                 # type: ignore[arg-type]
    "targets": lambda x: cross_entropy(Tensor(np.zeros((1, 3, 5))), x),         # type: ignore[arg-type]
    "metrics": lambda x: confusion(INTEGERS, x, 2),
    "quantize": lambda x: quantize(x, Scheme()),                    # type: ignore[arg-type]
    "state": lambda x: MODEL.load_state_dict(MODEL.state_dict() | {"norm.weight": x}),  # type: ignore[arg-type]

}
STRANGERS = {
    "mask": np.ma.masked_array(np.ones((1, 3), np.int64), np.array([[0, 0, 1]], bool)),
    "float mask": np.ma.masked_array([1.0] * 4, np.array([0, 0, 0, 1], bool)),
    "Tensor": Tensor(np.ones((1, 3))), "complex": np.ones((1, 3), complex), "strings": np.full((1, 3), "1"),
    "objects": np.full((1, 3), None), "dates": np.zeros((1, 3), "M8[D]"),
    "fields": np.zeros((1, 3), [("a", "f4")]),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_every_door_refuses(door: str, stranger: str) -> None:
    with pytest.raises(MiniparError) as caught:
        DOORS[door](STRANGERS[stranger])
    assert "\n" not in str(caught.value)


def test_optimisers_take_floats() -> None:
    p = Parameter("w", (3,), Start())
    p.data = np.ones(3, complex)
    with pytest.raises(MiniparError, match="complex"):
        Flat([p])


@pytest.mark.parametrize("op", [softmax, log_softmax])
@pytest.mark.parametrize("value", [-np.inf, np.inf])
def test_a_row_without_a_softmax_is_named(op: Callable[[Tensor], Tensor], value: float) -> None:
    x = np.zeros((2, 3))
    x[1] = value
    with refused(RangeError, index=(1, 0)):
        op(Tensor(x))
    x[1] = [0, -np.inf, -np.inf]
    assert np.array_equal(softmax(Tensor(x)).data[1], [1, 0, 0])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [[-np.inf] * 3, [np.nan, 0, 0], [np.inf, 0, 0]], ids=str)
def test_no_token_is_chosen_from_broken_logits(bad: list[float], temperature: float) -> None:
    with refused(RangeError, item="logits"):
        choose(np.array(bad), Sampling(temperature=temperature), (), np.random.default_rng(0))
    sampling = Sampling(temperature=temperature, top_k=2 if temperature else 0)
    assert choose(np.array([-np.inf, 0.0, -np.inf]), sampling, (), np.random.default_rng(0)) == 1


def test_an_ignored_row_of_broken_logits_costs_nothing() -> None:
    z = np.zeros((2, 3))
    z[1, 0] = -np.inf
    assert np.isclose(cross_entropy(Tensor(z), np.array([0, -1])).item(), np.log(3))
    assert cross_entropy(Tensor(z), np.array([0, 0])).item() == np.inf

"""Optimisers against their textbook formulas, one parameter at a time, and against PyTorch's where it is
installed.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.nn import Parameter, Start
from minipar.optim import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, Flat, Optimizer
from minipar.optim import optimizers as module

SHAPES = {"w": (5, 4), "b": (4,), "v": (3, 2, 2), "scale": (1,)}
STEPS = 12
Step = Callable[[np.ndarray, np.ndarray, dict, int, float, float], np.ndarray]


def parameters(dtype: type = np.float64) -> list[Parameter]:
    made = [Parameter(name, shape, Start(std=1.0)) for name, shape in SHAPES.items()]
    for p in made:
        p.initialise(0, np.dtype(dtype))
    return made


def gradient(step: int, name: str, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng([step, *name.encode()]).standard_normal(SHAPES[name]).astype(dtype)


def rate(step: int) -> float:
    return 0.1 / (1 + step)


# The textbook: p, g, what is remembered (s), step t = 1, 2, ..., learning rate, weight decay -> new p

def sgd(p, g, s, t, lr, decay):
    return p - lr * (g + decay * p)


def momentum(p, g, s, t, lr, decay):
    s["v"] = 0.9 * s.get("v", 0) + g + decay * p
    return p - lr * s["v"]


def adagrad(p, g, s, t, lr, decay):
    g = g + decay * p
    s["sum"] = s.get("sum", 0) + g**2
    return p - lr * g / (np.sqrt(s["sum"]) + 1e-10)


def adam(p, g, s, t, lr, decay, beta1=0.9, beta2=0.999):
    g = g + decay * p
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    m, v = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
    return p - lr * m / (np.sqrt(v) + 1e-8)


def adamw(p, g, s, t, lr, decay):
    return adam(p - lr * decay * p, g, s, t, lr, 0.0, 0.9, 0.99)


CASES: list[tuple[Callable[[Flat, float], Optimizer], Step]] = [
    (lambda flat, decay: SGD(flat, weight_decay=decay), sgd),
    (lambda flat, decay: SGD(flat, momentum=0.9, weight_decay=decay), momentum),
    (lambda flat, decay: Adagrad(flat, weight_decay=decay), adagrad),
    (lambda flat, decay: Adam(flat, weight_decay=decay), adam),
    (lambda flat, decay: AdamW(flat, weight_decay=decay), adamw),
]
IDS = [step.__name__ for _, step in CASES]


def run(make: Callable[[Flat, float], Optimizer], decay: float,
        dtype: type = np.float64) -> dict[str, np.ndarray]:
    flat = Flat(parameters(dtype))
    optimizer = make(flat, decay)
    for step in range(STEPS):
        flat.zero_grad()
        for p in flat.parameters:
            p.accumulate(gradient(step, p.name, dtype))
        optimizer.step(rate(step))
    assert optimizer.steps == STEPS and flat.data.dtype == dtype
    assert all(part.dtype == dtype for part in optimizer.state.values())
    return {p.name: p.data for p in flat.parameters}


def textbook(step_of: Step, decay: float) -> dict[str, np.ndarray]:
    result = {}
    for p in parameters():
        value, remembered = p.data, {}
        for step in range(STEPS):
            value = step_of(value, gradient(step, p.name), remembered, step + 1, rate(step), decay
                            if p.ndim >= 2 else 0.0)
        result[p.name] = value
    return result


@pytest.mark.parametrize("make, step_of", CASES, ids=IDS)
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 3e-5)])
def test_steps_are_those_of_the_textbook(make, step_of: Step, decay: float, dtype: type,
                                         tolerance: float) -> None:
    found, expected = run(make, decay, dtype), textbook(step_of, decay)
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("make, step_of", CASES, ids=IDS)
@pytest.mark.parametrize("block", [1, 3, 7])
def test_blocks_of_any_size_give_the_same_bits(make, step_of: Step, block: int,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(make, 0.3)
    monkeypatch.setattr(module, "BLOCK", block)
    for name, value in run(make, 0.3).items():
        np.testing.assert_array_equal(value, whole[name])


@pytest.mark.parametrize("make, step_of", CASES, ids=IDS)
def test_a_formula_that_is_off_is_seen(make, step_of: Step) -> None:
    """Decay on vectors too, one step of bias correction late, or another rate: none of these is within the
    tolerance.
    """
    found = run(make, 0.3)
    for wrong in (lambda p, g, s, t, lr, decay: step_of(p, g, s, t, lr, 0.3),
                  lambda p, g, s, t, lr, decay: step_of(p, g, s, t, lr * (1 + 1e-9), decay)):
        expected = textbook(wrong, 0.3)
        assert max(abs(found[name] - expected[name]).max() for name in SHAPES) > 1e-11


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_goes_downhill(name: str) -> None:
    flat = Flat(parameters())
    optimizer = OPTIMIZERS[name](flat)
    before = math.fsum(flat.data**2)
    for _ in range(50):
        flat.zero_grad()
        for p in flat.parameters:
            p.accumulate(2 * p.data)
        optimizer.step(0.05)
    assert math.fsum(flat.data**2) < 0.8 * before


@pytest.mark.parametrize("betas", [(1.0, 0.99), (0.9, 1.0), (-0.1, 0.99), (0.9, math.nan)])
def test_means_that_never_forget_are_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="choose numbers from 0 to below 1"):
        AdamW(Flat(parameters()), betas=betas)


@pytest.mark.parametrize("make, theirs", [
    (lambda flat: SGD(flat, momentum=0.9, weight_decay=0.3), ("SGD", {"momentum": 0.9})),
    (lambda flat: Adagrad(flat, weight_decay=0.3),           ("Adagrad", {"eps": 1e-10})),
    (lambda flat: Adam(flat, weight_decay=0.3),              ("Adam", {"betas": (0.9, 0.999)})),
    (lambda flat: AdamW(flat, weight_decay=0.3),             ("AdamW", {"betas": (0.9, 0.99)})),
], ids=["sgd", "adagrad", "adam", "adamw"])
def test_steps_are_those_of_torch(make, theirs: tuple[str, dict]) -> None:
    torch = pytest.importorskip("torch")
    name, options = theirs
    values = {p.name: torch.nn.Parameter(torch.from_numpy(p.data.copy())) for p in parameters()}
    groups = [{"params": [v], "weight_decay": 0.3 if v.ndim >= 2 else 0.0} for v in values.values()]
    optimizer = getattr(torch.optim, name)(groups, lr=0.1, **options)
    for step in range(STEPS):
        for key, value in values.items():
            value.grad = torch.from_numpy(gradient(step, key))
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    for key, found in run(lambda flat, decay: make(flat), 0.3).items():
        np.testing.assert_allclose(found, values[key].detach().numpy(), rtol=1e-12, atol=1e-13, err_msg=key)

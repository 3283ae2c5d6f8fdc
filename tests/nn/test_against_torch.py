"""The whole GPT against PyTorch: same weights, float64; every gradient, and the losses of 20 steps of AdamW.

PyTorch's numbers for the small variants are in tests/torch_reference.npz, so this needs no PyTorch. Where it
is installed, the stored numbers are asked for again, and a larger model is compared.
"""

import numpy as np
import pytest

from minipar.autograd import backward
from minipar.config import ModelConfig
from minipar.nn import GPT
from minipar.nn.gpt2_names import from_gpt2
from minipar.optim import AdamW, Flat
from tests.make_torch_reference import DECAY, FILE, RATE, STEPS, VARIANTS, ask_torch

LARGER = ModelConfig(vocabulary=65, context=80, layers=3, heads=4, width=32)


def part(numbers: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in numbers.items() if name.startswith(prefix)}


def stored(variant: str) -> dict[str, np.ndarray]:
    with np.load(FILE) as file:
        return part(dict(file), f"{variant}/")


def compare(config: ModelConfig, torch_said: dict[str, np.ndarray]) -> None:
    tokens, targets = torch_said["tokens"], torch_said["targets"]
    model = GPT(config, dtype=np.float64)
    model.load_state_dict(part(torch_said, "weight/"))
    logits = model(tokens).data
    np.testing.assert_allclose(logits, torch_said["logits"], rtol=0, atol=1e-12 * abs(logits).max())

    sizes, gradients = from_gpt2(part(torch_said, "gradient/"), config.heads)
    assert sizes == config
    optimizer = AdamW(Flat(model.parameters()), betas=(0.9, 0.99), eps=1e-8, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        optimizer.flat.zero_grad()
        loss = model.loss(tokens, targets)
        backward(loss)
        losses.append(loss.item())
        if not step:
            assert {p.name for p in model.parameters()} == set(gradients)
            for p in model.parameters():
                expected = gradients[p.name]
                np.testing.assert_allclose(p.grad, expected, rtol=0, atol=1e-10 * abs(expected).max(),
                                           err_msg=p.name)
        optimizer.step(RATE)
    np.testing.assert_allclose(losses, torch_said["losses"], rtol=0, atol=1e-9)
    assert losses[-1] < 0.8 * losses[0]                             # the steps did move the weights


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_and_steps_are_those_that_torch_said(variant: str) -> None:
    compare(VARIANTS[variant], stored(variant))


@pytest.mark.parametrize("spoil", ["gradient/transformer.h.1.attn.c_proj.weight",
                                   "gradient/transformer.wpe.weight", "losses",
                                   "weight/blocks.0.norm2.bias", "logits"])
def test_a_number_that_is_off_is_seen(spoil: str) -> None:
    said = stored("tied-bias")
    said[spoil] = said[spoil].copy()
    said[spoil].flat[3] += 1e-8
    with pytest.raises(AssertionError):
        compare(VARIANTS["tied-bias"], said)


@pytest.mark.parametrize("variant", VARIANTS)
def test_torch_still_says_what_is_stored(variant: str) -> None:
    pytest.importorskip("torch")
    said, now = stored(variant), ask_torch(VARIANTS[variant])
    assert said.keys() == now.keys()
    for name in said:
        np.testing.assert_allclose(now[name], said[name], rtol=0, atol=1e-11 * abs(said[name]).max(),
                                   err_msg=name)


def test_a_larger_model_against_torch() -> None:
    """More than one block of queries, four heads."""
    pytest.importorskip("torch")
    compare(LARGER, ask_torch(LARGER, tokens=75))

"""Writes tests/torch_reference.npz: what PyTorch says about four small GPTs, so that the comparison runs
where it is absent.

    python -m tests.make_torch_reference             # in an environment with PyTorch

For each variant: weights, a batch, the logits, the loss, every gradient, and the losses of 20 steps of AdamW.
All in float64.
"""

from pathlib import Path

import numpy as np

from minipar.config import ModelConfig
from minipar.nn import GPT
from minipar.nn.gpt2_names import to_gpt2

FILE = Path(__file__).with_name("torch_reference.npz")
VARIANTS = {f"{'tied' if tied else 'untied'}-{'bias' if bias else 'nobias'}":
            ModelConfig(vocabulary=11, context=9, layers=2, heads=2, width=8, hidden=20, tied=tied, bias=bias)
            for tied in (True, False) for bias in (True, False)}
STEPS, RATE, DECAY = 20, 1e-2, 0.1


def weights(config: ModelConfig) -> dict[str, np.ndarray]:
    """Weights under our names, drawn here alone: large, and no bias is zero, so that every term of every
    gradient matters.
    """
    rng = np.random.default_rng(0)
    return {p.name: rng.normal(1.0 if ".norm" in f".{p.name}" and p.name.endswith("weight") else 0.0, 0.3,
                               p.shape)
            for p in GPT(config).parameters()}


def batch(config: ModelConfig, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and targets [3, tokens], some of them not counted (-1)."""
    rng = np.random.default_rng(1)
    text = rng.integers(0, config.vocabulary, (3, tokens + 1))
    return text[:, :-1], np.where(rng.random((3, tokens)) < 0.2, -1, text[:, 1:])


def ask_torch(config: ModelConfig, tokens: int = 8) -> dict[str, np.ndarray]:
    """The numbers of one variant; gradients under nanoGPT's names."""
    import torch

    from tests.torch_gpt import TorchGPT

    start = weights(config)
    inputs, targets = batch(config, tokens)
    model = TorchGPT(config)
    model.load_state_dict({name: torch.from_numpy(array.copy())
                           for name, array in to_gpt2(config, start, "nanogpt").items()})
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    found = {f"weight/{name}": array
             for name, array in start.items()} | {"tokens": inputs, "targets": targets}
    found["logits"] = model(x).detach().numpy()
    optimizer, losses = model.adamw(RATE, DECAY), []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = model.loss(x, y)
        loss.backward()
        if not step:
            found |= {f"gradient/{name}": p.grad.numpy().copy() for name, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return found | {"losses": np.array(losses)}


if __name__ == "__main__":
    np.savez_compressed(FILE, **{f"{variant}/{name}": array  # type: ignore[arg-type]
                                 for variant, config in VARIANTS.items()
                                 for name, array in ask_torch(config).items()})

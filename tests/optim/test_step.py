"""A whole training step: memory returns to what must stay, and the same seed gives the same bits
everywhere.
"""

import gc
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minipar.autograd import Deferred, backward
from minipar.config import ModelConfig
from minipar.nn import GPT, Dropout
from minipar.optim import OPTIMIZERS, AdamW, Flat, Optimizer, clip_by_global_norm

CONFIG = ModelConfig(vocabulary=65, context=80, layers=2, heads=2, width=32)
TEXT = np.random.default_rng(0).integers(0, 65, (4, 81))


def train(model: GPT, optimizer: Optimizer, steps: int, deferred: Deferred | None = None) -> float:
    for step in range(steps):
        optimizer.flat.zero_grad()
        loss = model.loss(TEXT[:, :-1], TEXT[:, 1:],
                          dropout=Dropout(model.config.dropout, 0, step, np.arange(4)))
        backward(loss, deferred=deferred)
        if deferred is not None:
            deferred.run()
        clip_by_global_norm(optimizer.flat.gradient(), 1.0)  # type: ignore[attr-defined]
        optimizer.step(1e-2)
    return loss.item()


def digest() -> str:
    """Of the weights and the optimiser's state after three steps with dropout."""
    model = GPT(ModelConfig(65, 80, 2, 2, 32, dropout=0.1), seed=1)
    optimizer = AdamW(Flat(model.parameters()))
    train(model, optimizer, 3)
    return hashlib.sha256(b"".join(a.tobytes()
                                   for a in (optimizer.flat.data, *optimizer.state.values()))).hexdigest()  # type: ignore[attr-defined]


def array_bytes() -> int:
    """Memory that NumPy holds at this moment for the data of arrays."""
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([domain]).traces)


@pytest.mark.parametrize("name, put_off", [*((name, False) for name in OPTIMIZERS), ("adamw", True)])
def test_memory_returns_to_weights_gradients_and_optimiser(name: str, put_off: bool) -> None:
    """To the byte, with the garbage collector off: no cycle holds an activation, no cache grows."""
    train(*trainable(name), 1)  # fills the small caches (masks, vectors of ones)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        model, optimizer = trainable(name)
        kept = [optimizer.flat.data, optimizer.flat.grad, optimizer._room, *optimizer.state.values()]  # type: ignore[attr-defined]
        expected = sum(array.nbytes for array in kept)
        assert array_bytes() == expected  # nothing else: the weights have moved into the buffer
        train(model, optimizer, 2, Deferred() if put_off else None)
        assert array_bytes() == expected
        assert tracemalloc.get_traced_memory()[1] > 2 * expected    # activations were there, and were seen
    finally:
        tracemalloc.stop()
        gc.enable()


def trainable(name: str) -> tuple[GPT, Optimizer]:
    model = GPT(CONFIG)
    return model, OPTIMIZERS[name](Flat(model.parameters()))


def test_a_step_leaves_nothing_to_the_collector() -> None:
    model, optimizer = trainable("adamw")
    train(model, optimizer, 1)
    gc.collect()
    gc.disable()
    try:
        train(model, optimizer, 2)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_held_activation_would_be_seen() -> None:
    model, optimizer = trainable("adamw")
    train(model, optimizer, 1)
    tracemalloc.start()
    try:
        before = array_bytes()
        logits = model(TEXT[:, :-1])                                # the tape hangs on it
        assert array_bytes() > before + 10 * logits.data.nbytes
    finally:
        tracemalloc.stop()


def test_one_seed_gives_the_same_bits_again_in_threads_and_in_other_processes() -> None:
    here = digest()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(digest())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for hash_seed in ("1", "2"):  # strings hash differently in every process
        code = "from tests.optim.test_step import digest; print(digest())"
        run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": hash_seed},
                             check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        found.append(run.stdout.strip())
    assert found == [here] * 4


def test_training_learns_and_deferred_weight_gradients_change_no_bit() -> None:
    results = []
    for deferred in (None, Deferred()):
        model, optimizer = trainable("adamw")
        first = model.loss(TEXT[:, :-1], TEXT[:, 1:]).item()
        assert train(model, optimizer, 12, deferred) < first - 0.5
        results.append(optimizer.flat.data)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(*results)

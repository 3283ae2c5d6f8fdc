"""Does a parallel training end where the single process ends? 200 steps of the preset nanogpt-cpu in float32,
on threads.

    python benchmarks/same_training.py [PATH] [--steps 200]

PATH is a text, by default the documentation of Python. Printed are the validation loss, its distance from one
process, and a fingerprint of all weights: in bitwise mode it is the same for every dp.
"""

from __future__ import annotations

import argparse
import hashlib

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import PRESETS, Layout, ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.malloc import keep_freed_memory
from minipar.parallel import Grid
from minipar.training.trainer import Trainer

SIZES = ("layers", "heads", "width", "context", "bias")
LAYOUTS = {
    "1 process": Layout(),
    "dp 2": Layout(dp=2),
    "tp 2": Layout(tp=2),
    "dp 2 x tp 2": Layout(dp=2, tp=2),
    "1 process, bitwise": Layout(gradients="bitwise"),
    "dp 2, bitwise": Layout(dp=2, gradients="bitwise"),
    "dp 3, bitwise": Layout(dp=3, gradients="bitwise"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", help="the text")
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    keep_freed_memory()
    text, preset = load_text(options.path), PRESETS["nanogpt-cpu"]
    tokenizer = CharTokenizer.from_text(text)
    tokens = tokenizer.encode(text)
    model = ModelConfig(vocabulary=tokenizer.vocab_size,
                        **{name: preset[name] for name in SIZES})      # type: ignore[arg-type]
    train = TrainConfig(steps=options.steps, lr=2e-3)

    def train_on(comm: Communicator, layout: Layout) -> tuple[float, str]:
        trainer = Trainer(model, train, tokenizer, tokens, Grid(comm, layout))
        for _ in range(options.steps):
            trainer.step()
        loss = trainer.validate()
        arrays, _ = trainer.state()
        weights = b"".join(np.ascontiguousarray(arrays[name]).tobytes() for name in sorted(arrays))
        return loss, hashlib.blake2b(weights, digest_size=6).hexdigest()

    base = None
    for name, layout in LAYOUTS.items():
        loss, fingerprint = run(layout.ranks, train_on, layout)[0]
        base = loss if base is None else base
        print(f"{name:20} validation loss {loss:.6f}, {loss - base:+.1e} from one process, weights "
              f"{fingerprint}", flush=True)


if __name__ == "__main__":
    main()

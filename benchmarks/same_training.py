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

import minipar as mp
from minipar.config import PRESETS
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.malloc import keep_freed_memory

SIZES = ("layers", "heads", "width", "context", "bias")
LAYOUTS = {
    "1 process": mp.Layout(),
    "dp 2": mp.Layout(dp=2),
    "tp 2": mp.Layout(tp=2),
    "dp 2 x tp 2": mp.Layout(dp=2, tp=2),
    "1 process, bitwise": mp.Layout(gradients="bitwise"),
    "dp 2, bitwise": mp.Layout(dp=2, gradients="bitwise"),
    "dp 3, bitwise": mp.Layout(dp=3, gradients="bitwise"),
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
    model = mp.ModelConfig(vocabulary=tokenizer.vocab_size,
                           **{name: preset[name] for name in SIZES})      # type: ignore[arg-type]
    train = mp.TrainConfig(steps=options.steps, lr=2e-3)

    def train_on(comm: mp.Communicator, layout: mp.Layout) -> tuple[float, str]:
        trainer = mp.Trainer(model, train, tokenizer, tokens, mp.Grid(comm, layout))
        for _ in range(options.steps):
            trainer.step()
        loss = trainer.validate()
        arrays, _ = trainer.state()
        weights = b"".join(np.ascontiguousarray(arrays[name]).tobytes() for name in sorted(arrays))
        return loss, hashlib.blake2b(weights, digest_size=6).hexdigest()

    base = None
    for name, layout in LAYOUTS.items():
        loss, fingerprint = mp.run(layout.ranks, train_on, layout)[0]
        base = loss if base is None else base
        print(f"{name:20} validation loss {loss:.6f}, {loss - base:+.1e} from one process, weights "
              f"{fingerprint}", flush=True)


if __name__ == "__main__":
    main()

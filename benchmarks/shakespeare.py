"""The preset nanogpt-cpu on tinyshakespeare, against the validation loss that nanoGPT's README gives for a
CPU.

    python benchmarks/shakespeare.py PATH [--seed 0]

PATH is the text, 1,115,394 characters, of which the last tenth is for validation. Sizes, batch and steps are
nanoGPT's, the learning rate is twice as high (see PRESETS). nanoGPT estimates its loss from 20 random batches
of 12 windows; this one is over all windows, end to end, so that each target counts once.
"""

from __future__ import annotations

import argparse
import time

import minipar as mp
from minipar.comm.solo import solo
from minipar.config import PRESETS
from minipar.data.batches import EvaluationBatches, split
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.malloc import keep_freed_memory
from minipar.training.build import training_data

NANOGPT = 1.88                                                      # Karpathy 2022
OURS = ("layers", "heads", "width", "context", "bias")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="the text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()

    text = load_text(options.path)
    tokenizer = CharTokenizer.from_text(text)
    tokens, preset = tokenizer.encode(text), PRESETS["nanogpt-cpu"]
    model = mp.ModelConfig(vocabulary=tokenizer.vocab_size,
                           **{name: preset[name] for name in OURS})       # type: ignore[arg-type]
    train = mp.TrainConfig(seed=options.seed, **{name: preset[name]
                                                 for name in preset.keys() - OURS})     # type: ignore[arg-type]
    validation = split(tokens)[1]
    data = training_data(tokens, model, train)._replace(
        validation=EvaluationBatches(validation, model.context, train.batch))
    trainer = mp.Trainer(model, train, tokenizer, tokens, mp.Grid(solo(), mp.Layout()), data=data)

    began = time.perf_counter()
    for number in range(1, train.steps + 1):
        step = trainer.step()
        if number % train.validate_every == 0:
            print(f"{number:5} steps, {time.perf_counter() - began:5.0f} s, training loss {step.loss:.3f}",
                  flush=True)
    loss = trainer.validate()
    print(f"seed {options.seed}: validation loss {loss:.4f} over "
          f"{trainer.validation.starts.size * model.context:,} targets of "
          f"{len(validation):,} characters; nanoGPT's README: {NANOGPT}")


if __name__ == "__main__":
    main()

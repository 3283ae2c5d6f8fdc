"""A text and a model so small that a training step takes a few milliseconds, for the tests of training and of
the commands.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from minipar.comm.solo import solo
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.parallel.grid import Grid
from minipar.rng import stream
from minipar.training.run_folder import read_metrics
from minipar.training.trainer import Trainer

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "wizards",
         "judge", "my", "vow"]
TEXT = " ".join(stream(0, "tiny text").choice(WORDS, 600).tolist())
MODEL = dict(layers=1, heads=2, width=8, context=8)
TRAIN = dict(batch=5, steps=20, lr=0.01, warm_up=3, validate_every=4, validation_windows=8, save_every=6)


def trainer(parts: dict[str, Any] | None = None, **values: Any) -> Trainer:
    """A trainer on TEXT; values: fields of ModelConfig and TrainConfig that replace those above. parts: what
    the Trainer is given in place of its own (optimizer, scale, data).
    """
    tokenizer = CharTokenizer.from_text(TEXT)
    values = {**MODEL, **TRAIN, "vocabulary": tokenizer.vocab_size, **values}
    model, train = ({field.name: values.pop(field.name) for field in fields(config) if field.name in values}
                    for config in (ModelConfig, TrainConfig))
    assert not values, f"no such fields: {', '.join(values)}"
    return Trainer(ModelConfig(**model), TrainConfig(**train), tokenizer, tokenizer.encode(TEXT),
                   Grid(solo(), Layout()), **(parts or {}))


def options(folder: Path, **values: Any) -> list[str]:
    """What follows `minipar train` for a tiny model on TEXT, which is written into the folder. values:
    options by name.
    """
    text = folder / "text.txt"
    if not text.exists():
        text.write_text(TEXT)
    named = {**MODEL, **TRAIN, "data": text, **values}
    named.pop("validation_windows")                                  # no option of the command line
    return [word for name, value in named.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def losses(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl but for the times, which no two runs share."""
    return [{name: value for name, value in line.items() if name != "seconds"}
            for line in read_metrics(run / "metrics.jsonl")]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {os.path.relpath(path, folder): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)

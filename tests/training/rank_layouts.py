"""Random models, layouts and states for the tests of rank files: `python -m tests.training.rank_layouts
--cases 300 --seed 0` writes each state as rank files, reshards it twice, gathers it, and compares all bits.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint.contents import array_kinds
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.errors import LayoutError
from minipar.parallel.rank_elements import rank_layout
from minipar.plan.parameters import rank_shapes
from minipar.precision import LossScale
from minipar.training.rank_files import read_rank_files, write_rank_files
from minipar.training.state import TrainingState

LETTERS = "abcdefghijk"


def random_model(chance: random.Random) -> ModelConfig:
    heads = chance.randint(1, 4)
    return ModelConfig(vocabulary=len(LETTERS), context=chance.randint(1, 5), layers=chance.randint(1, 4),
                       heads=heads, width=heads * chance.randint(1, 3), hidden=chance.choice([0, 5, 7]),
                       tied=chance.random() < 0.6, bias=chance.random() < 0.7)


def random_layout(chance: random.Random, model: ModelConfig) -> Layout:
    """A layout that fits the model; uneven shards and stages, virtual stages and all stages of ZeRO occur."""
    while True:
        values: dict[str, Any] = dict(dp=chance.randint(1, 4), tp=chance.randint(1, model.heads),
                                      pp=chance.randint(1, 3), zero=chance.randint(0, 3))
        if chance.random() < 0.3:
            values |= dict(pipeline="interleaved", virtual=2)
        elif values["pp"] > 1 and chance.random() < 0.4:
            ends = chance.randint(0, model.layers)
            values |= dict(pp=2, stage_layers=(ends, model.layers - ends))
        layout = Layout(**values)
        try:
            rank_layout(model, layout)
        except LayoutError:                                         # more stages than layers
            continue
        return layout


def random_state(
    model: ModelConfig, seed: int, optimizer: str = "adamw", dtype: str = "float32"
) -> TrainingState:
    """Whole arrays with numbers as they come, among them -0.0 and subnormal ones."""
    rng = np.random.default_rng(seed)
    train = TrainConfig(optimizer=optimizer, dtype=dtype)
    arrays = {}
    for kind in array_kinds(train):
        for name, shape in rank_shapes(model).items():
            array = rng.normal(size=shape).astype(dtype)
            array.reshape(-1)[:1] = -0.0
            array.reshape(-1)[-1:] = 1e-40
            arrays[f"{kind}/{name}"] = abs(array) if kind == "optimizer/squares" else array
    meta = {"model": asdict(model), "train": asdict(train), "tokenizer": CharTokenizer(LETTERS).to_dict(),
            "text": "0" * 32, "done": 7, "optimizer_steps": 6,
            "loss_scale": asdict(LossScale()), "loss": 2.5}
    return arrays, meta


def one_case(seed: int, folder: Path) -> str:
    """What is wrong after two changes of the layout, "" if nothing is."""
    chance = random.Random(seed)
    model = random_model(chance)
    state = random_state(model, seed, chance.choice(["sgd", "adagrad", "adam", "adamw"]),
                         chance.choice(["float32", "float64"]))
    found = state
    for number in range(2):
        layout = random_layout(chance, model)
        target = folder / f"{seed}-{number}"
        target.mkdir()
        suffix = chance.choice(["npz", "safetensors"])
        write_rank_files(target, *found, rank_layout(model, layout), suffix)
        found, read = read_rank_files(target)
        if read != rank_layout(model, layout):
            return f"seed {seed}: {layout} was read as {read}"
        differing = [name for name, array in state[0].items() if found[0][name].tobytes() != array.tobytes()
                     or found[0][name].dtype != array.dtype]
        if differing or found[0].keys() != state[0].keys() or found[1] != state[1]:
            return f"seed {seed}: {differing[:3]} differ after {layout} of {model}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.training.rank_layouts")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = []
    for seed in range(options.seed, options.seed + options.cases):
        with tempfile.TemporaryDirectory() as folder:
            wrong += [text] if (text := one_case(seed, Path(folder))) else []
    print(
        f"{options.cases} states, {2 * options.cases} layouts, seeds from {options.seed}: {len(wrong)} wrong"
    )
    print(*wrong[:10], sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())

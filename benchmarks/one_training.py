"""The picture of the README: one training in several layouts, on threads.

    python benchmarks/one_training.py [lessons/pictures/one_training.png]
"""

import sys
from pathlib import Path

import numpy as np
from minipar.lessons.plots.one_training import draw_one_training

import minipar as mp
from minipar.data.text import load_text
from minipar.data.tokenizer import make_tokenizer

LAYOUTS = {
    "1 process": mp.Layout(),
    "dp 2": mp.Layout(dp=2),
    "tp 3": mp.Layout(tp=3),
    "dp 2 x tp 2": mp.Layout(dp=2, tp=2),
    "dp 2 x tp 3, sequence parallel": mp.Layout(dp=2, tp=3, sequence_parallel=True),
}
STEPS = 200


def trainer(comm: mp.Communicator, layout: mp.Layout, dtype: str) -> mp.Trainer:
    text = load_text()
    tokenizer = make_tokenizer("char", text)
    model = mp.ModelConfig(vocabulary=tokenizer.vocab_size, context=32, layers=2, heads=4, width=64)
    options = mp.TrainConfig(batch=10, steps=STEPS, lr=3e-3, warm_up=20, dtype=dtype, clip=0)
    return mp.Trainer(model, options, tokenizer, tokenizer.encode(text), mp.Grid(comm, layout))


def losses(layout: mp.Layout) -> list[float]:
    def train(comm: mp.Communicator) -> list[float]:
        own = trainer(comm, layout, "float32")
        return [own.step().loss for _ in range(STEPS)]
    return mp.run(layout.ranks, train)[0]


def gradients(layout: mp.Layout) -> list[dict[str, tuple]]:
    """Per rank: name -> (parameter, its gradient in the first step)."""
    def step(comm: mp.Communicator) -> dict[str, tuple]:
        own = trainer(comm, layout, "float64")
        own.step()
        return {p.name: (p, own.flat.by_name(own.flat.grad)[p.name]) for p in own.flat.parameters}
    return mp.run(layout.ranks, step)


def main(path: Path) -> None:
    curves = {name: losses(layout) for name, layout in LAYOUTS.items()}
    (reference,) = gradients(LAYOUTS["1 process"])
    apart = {}
    for name, layout in list(LAYOUTS.items())[1:]:
        ranks = gradients(layout)
        apart[name] = [max(np.abs(rank[key][1] - rank[key][0].own(whole)).max()
                           for rank in ranks) / np.abs(whole).max()
                       for key, (_, whole) in reference.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_one_training(curves, apart).savefig(path, dpi=110)
    print(f"largest relative difference of a gradient: {max(max(values) for values in apart.values()):.1e}; "
          f"picture: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "lessons/pictures/one_training.png"))

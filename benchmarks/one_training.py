"""The picture of the README: one training in several layouts, on threads.

    python benchmarks/one_training.py [lessons/pictures/one_training.png]
"""

import sys
from pathlib import Path

import numpy as np
from minipar.lessons.plots.one_training import draw_one_training

import minipar as mp
from minipar.data.text import load_text

ONE = "one process"
LAYOUTS = {
    ONE: mp.Layout(),
    "2 ranks share the samples (dp 2)": mp.Layout(dp=2),
    "2 ranks share each weight matrix (tp 2)": mp.Layout(tp=2),
    "2 ranks share the layers (pp 2)": mp.Layout(pp=2),
    "8 ranks: all three": mp.Layout(dp=2, tp=2, pp=2),
}
STEPS = 200


def trainer(comm: mp.Communicator, layout: mp.Layout, dtype: str) -> mp.Trainer:
    text = load_text()
    tokenizer = mp.make_tokenizer("char", text)
    model = mp.ModelConfig(vocabulary=tokenizer.vocab_size, context=32, layers=2, heads=4, width=64)
    options = mp.TrainConfig(batch=8, micro_batches=2, steps=STEPS, lr=3e-3, warm_up=20, dtype=dtype, clip=0)
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


def difference(rank: dict[str, tuple], reference: dict[str, tuple]) -> float:
    """The largest of a rank's gradients from one process's, relative to the largest element of that
    parameter.
    """
    return max(np.abs(mine - p.own(reference[name][1])).max() / np.abs(reference[name][1]).max()
               for name, (p, mine) in rank.items())


def main(path: Path) -> None:
    curves = {name: losses(layout) for name, layout in LAYOUTS.items()}
    (reference,) = gradients(LAYOUTS[ONE])
    apart = {name: max(difference(rank, reference) for rank in gradients(layout))
             for name, layout in list(LAYOUTS.items())[1:]}
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_one_training(curves, apart).savefig(path, dpi=110)
    print(f"largest relative difference of a gradient: {max(apart.values()):.1e}; picture: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "lessons/pictures/one_training.png"))

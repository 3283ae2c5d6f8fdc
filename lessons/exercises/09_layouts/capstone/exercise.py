import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    n, d, h, steps = size
    tp = 2 if ranks % 2 == 0 else 1
    weights = [
        (rng.standard_normal((d, h + column)), rng.standard_normal((h + column, d))) for column in range(tp)
    ]
    rows = [rng.standard_normal((2, n + row, d)) for row in range(ranks // tp)]
    return [(tp, *rows[rank // tp], *weights[rank % tp], 0.05, steps) for rank in range(ranks)]


def reference(ranks, arguments):
    """One process: the whole batch, the whole weights."""
    tp, lr, steps = arguments[0][0], arguments[0][5], arguments[0][6]
    x, t = (np.concatenate([arguments[rank][i] for rank in range(0, ranks, tp)]) for i in (1, 2))
    A = np.concatenate([arguments[rank][3] for rank in range(tp)], axis=1)
    B = np.concatenate([arguments[rank][4] for rank in range(tp)])
    losses = []
    for _ in range(steps):
        hidden = x @ A
        error = np.where(hidden > 0, hidden, 0) @ B - t
        losses.append(float((error**2).mean()))
        g = 2 * error / error.size
        A, B = (A - lr * x.T @ np.where(hidden > 0, g @ B.T, 0),
                B - lr * np.where(hidden > 0, hidden, 0).T @ g)
    ends = np.cumsum([arguments[rank][3].shape[1] for rank in range(tp)])[:-1]
    parts = list(zip(np.split(A, ends, axis=1), np.split(B, ends), strict=True))
    return [{"losses": losses, "a": parts[rank % tp][0], "b": parts[rank % tp][1]} for rank in range(ranks)]


def par(ranks, arguments):
    """Per step an all-reduce of y over the row and one of the gradients over the column; one of the count."""
    tp, steps = arguments[0][0], arguments[0][6]
    return Par(messages=2 * (tp - 1) * steps + 2 * (ranks // tp - 1) * (3 * steps + 1))


EXERCISE = Exercise(
    kind="write", minutes=40, lesson="16", function="train",
    goal="write a training step on dp x tp ranks that equals one process",
    prerequisites=("column_row_pair", "uneven_shards", "split_a_communicator"),
    cases={"plain": (3, 4, 3, 2), "one step": (2, 3, 2, 1), "small": (1, 2, 1, 3)},
    inputs=inputs, reference=reference, par=par, library="minipar/training/trainer.py:Trainer")

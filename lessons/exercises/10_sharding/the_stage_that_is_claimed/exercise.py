import numpy as np

from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    n, micro_batches = size
    w = rng.standard_normal(n)
    return [(w, list(rng.standard_normal((micro_batches, n))), 0.1) for _ in range(ranks)]


def reference(ranks, arguments):
    w, _, lr = arguments[0]
    new = w - lr * sum(sum(gradients) for _, gradients, _ in arguments)
    return [{"w": new, "kept": chunk.size} for chunk in np.array_split(w, ranks)]


def all_kept(ranks, arguments):
    return [{**one, "kept": one["w"].size} for one in reference(ranks, arguments)]


def par(ranks, arguments):
    """A reduce-scatter per micro-batch and an all-gather, (p - 1)/p n each; p numbers of slack."""
    w, gradients, _ = arguments[0]
    return Par(bytes=8 * (len(gradients) + 1) * (w.size + ranks) if ranks > 1 else 0)


EXERCISE = Exercise(
    bug=BugToFind(lines=("mp.all_reduce(comm, gradient)",),
                  reason="each rank gets the whole sum, and keeps it, though it needs one chunk",
                  others=("the gradients of the micro-batches must be averaged", "the momentum of the chunk is missing",
                          "the weights must stay sharded after the step")),
    kind="find", minutes=10, lesson="13", function="step",
    goal="know that equal results do not prove a stage of ZeRO: count what is held and sent",
    prerequisites=("sharded_gradients",), cases={"plain": (40, 3), "ragged": (23, 2)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"`w` is right, but each rank keeps all numbers of the gradient\nwhich of them does its own update need?": all_kept},
    library="minipar/parallel/sharded_gradients.py:StreamedReducer")

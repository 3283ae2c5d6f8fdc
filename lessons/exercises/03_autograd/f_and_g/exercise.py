from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    rows, width, hidden = size
    x, gradient = rng.standard_normal((2, rows, width))
    return [(x, rng.standard_normal((width, hidden)), rng.standard_normal((hidden, width)), gradient)
            for _ in range(ranks)]


def reference(ranks, arguments):
    x, _, _, gradient = arguments[0]
    y = sum(x @ a @ b for _, a, b, _ in arguments)
    into_x = sum(gradient @ b.T @ a.T for _, a, b, _ in arguments)
    return [{"y": y, "grad x": into_x, "grad a": x.T @ (gradient @ b.T), "grad b": (x @ a).T @ gradient}
            for _, a, b, _ in arguments]


def g_adds(ranks, arguments):
    """A mistake: g adds up the gradients in backward, f does not."""
    x, _, _, gradient = arguments[0]
    y = reference(ranks, arguments)[0]["y"]
    return [{"y": y, "grad x": ranks * gradient @ b.T @ a.T, "grad a": ranks * x.T @ (gradient @ b.T),
             "grad b": ranks * (x @ a).T @ gradient} for _, a, b, _ in arguments]


def exchanged(ranks, arguments):
    """A mistake: f adds up in forward, and g in backward."""
    x, _, _, gradient = arguments[0]
    return [{"y": ranks * x @ a @ b, "grad x": ranks * gradient @ b.T @ a.T,
             "grad a": ranks**2 * x.T @ (gradient @ b.T), "grad b": ranks**2 * (x @ a).T @ gradient}
            for _, a, b, _ in arguments]


def par(ranks, arguments):
    """Two all-reduces of n bytes: no algorithm of the library sends more than p - 1 messages of n each."""
    n = arguments[0][0].nbytes
    return Par(bytes=2 * (ranks - 1) * n, messages=4 * (ranks - 1))


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="14", function="f g",
    goal="derive the backward of a communication from what each rank's gradient means",
    cases={"plain": (3, 4, 5), "one row": (1, 2, 1), "wide": (5, 7, 3)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"f and g are exchanged: f adds up x, which every rank has whole\nwhich operator stands "
              "where each rank has only a part of y?": exchanged,
              "g adds up the gradients of y, which every rank has whole, and f does not add up those of x\nwhich operator has "
              "a part of a sum on each rank, forward and backward?": g_adds}, library="minipar/parallel/operators.py:copy_to_region")

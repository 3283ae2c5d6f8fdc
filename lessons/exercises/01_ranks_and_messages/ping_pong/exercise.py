from functools import partial

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    alpha, beta = 10 ** rng.uniform(-6, -4), 10 ** rng.uniform(-11, -8)
    return [(size, alpha, beta)] * ranks


def results(ranks, arguments, fit=lambda alpha, beta: (alpha, beta)):
    """As multiples of the network's own alpha and beta. fit: a mistake in them."""
    alpha, beta = arguments[0][1:]
    found = fit(alpha, beta)
    rows = [(found[0] / alpha, found[1] / beta)] + [(0.0, 0.0)] * (ranks - 1)
    return [{"alpha / right alpha": one, "beta / right beta": other} for one, other in rows]


def par(ranks, arguments):
    """One message each way per size; the clock sends a stamp along with each."""
    count = 2 * len(arguments[0][0])
    return Par(messages=[count, count, *[0] * (ranks - 2)])


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="0", function="ping_pong fit",
    goal="measure latency and bandwidth, and know what each is",
    prerequisites=("hello_in_order",), ranks=(2, 3), tolerance=1e-6,
    cases={"three sizes": [0, 1000, 1_000_000], "two sizes": [8, 800_000]},
    inputs=inputs, reference=results, par=par,
    mistakes={"alpha and beta are those of a whole round\na round is two messages":
              partial(results, fit=lambda alpha, beta: (2 * alpha, 2 * beta)),
              "beta is 8 times too large\nnp.zeros(n) has 8 n bytes; np.zeros(n, np.uint8) has n bytes":
              partial(results, fit=lambda alpha, beta: (alpha, 8 * beta)),
              "alpha and beta are exchanged\nnp.polyfit returns the slope first, then the value at 0":
              partial(results, fit=lambda alpha, beta: (beta, alpha))}, library="minipar/doctor/checkup.py")

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    alpha, beta = 10 ** rng.uniform(-6, -4), 10 ** rng.uniform(-11, -8)
    return [(size, alpha, beta)] * ranks


def reference(ranks, arguments):
    """As multiples of the network's own alpha and beta."""
    return [{"alpha": 1.0, "beta": 1.0}, *({"alpha": 0.0, "beta": 0.0} for _ in range(ranks - 1))]


def par(ranks, arguments):
    """One message each way per size; the clock sends a stamp along with each."""
    count = 2 * len(arguments[0][0])
    return Par(messages=[count, count, *[0] * (ranks - 2)])


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="0", function="ping_pong fit",
    goal="measure latency and bandwidth, and know what each is",
    prerequisites=("hello_in_order",), ranks=(2, 3), tolerance=1e-6,
    cases={"three sizes": [0, 1000, 1_000_000], "two sizes": [8, 800_000]},
    inputs=inputs, reference=reference, par=par, library="minipar/doctor/checkup.py")

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    return [(size,)]


def reference(ranks, arguments):
    n = arguments[0][0]
    peaks = {k: k + max(len(range(start, n, k)) for start in range(k)) for k in range(1, n + 1)}
    k = min(peaks, key=lambda k: (peaks[k], k))
    return [(k, peaks[k])]


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="4", function="best", comm="",
    goal="trade memory for one more forward pass",
    cases={"9 layers": 9, "10 layers": 10, "one layer": 1, "96 layers": 96, "7 layers": 7, "12 layers": 12},
    inputs=inputs, reference=reference, library="minipar/nn/recomputation.py")

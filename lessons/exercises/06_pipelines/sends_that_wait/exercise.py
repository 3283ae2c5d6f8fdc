from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    m, n = size
    xs = list(rng.standard_normal((m, n)))
    return [(xs, float(rng.uniform(0.5, 2))) for _ in range(ranks)]


def reference(ranks, arguments):
    xs, w0 = arguments[0]
    w1 = arguments[1][1]
    square = sum(x @ x for x in xs)
    return [w0 * w1**2 * square, w0**2 * w1 * square]


def par(ranks, arguments):
    """One message per micro-batch each way."""
    xs, _ = arguments[0]
    return Par(messages=len(xs), bytes=sum(x.nbytes for x in xs))


EXERCISE = Exercise(
    kind="find", minutes=15, lesson="15", function="train", ranks=(2,),
    goal="see a deadlock that only large messages show",
    prerequisites=("one_f_one_b", "works_small_hangs_large"), cases={"4 micro-batches": (4, 3), "one": (1, 5), "long": (3, 2000)},
    inputs=inputs, reference=reference, par=par, library="minipar/parallel/pipeline.py:Execution")

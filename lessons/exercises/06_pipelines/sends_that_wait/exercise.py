from minipar.exercises import BugToFind, Exercise, Par


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
    bug=BugToFind(lines=("comm.send(xs[i + 1] * w, dest=1)", "comm.send(y * w, dest=0)"),
            reason="both ranks send at the same time, and each send waits for the other rank's receive",
            others=("rank 1 receives the micro-batches in another order than rank 0 sends them",
                    "rank 0 sends one micro-batch more than rank 1 receives",
                    "rank 1 sends the gradient before it has computed it")),
    kind="find", minutes=15, lesson="15", function="train", ranks=(2,),
    goal="see a deadlock that only large messages show",
    prerequisites=("one_f_one_b", "works_small_hangs_large"), cases={"4 micro-batches": (4, 3), "one": (1, 5), "long": (3, 2000)},
    inputs=inputs, reference=reference, par=par, library="minipar/parallel/pipeline.py:Execution")

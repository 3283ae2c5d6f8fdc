from minipar.exercises import Exercise

PARAMETERS = 7_000_000_000


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    weights, gradients, optimizer = (count * PARAMETERS / 1e9 for count in (2, 2, 3 * 4))
    total = weights + gradients + optimizer
    return [{"WEIGHTS": weights, "GRADIENTS": gradients, "OPTIMIZER": optimizer, "TOTAL": total,
             "PER_RANK_TP8": total / 8, "PER_RANK_DP8": total}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="4", comm="",
    function="WEIGHTS GRADIENTS OPTIMIZER TOTAL PER_RANK_TP8 PER_RANK_DP8",
    goal="estimate the memory of a training without a calculator",
    cases={"7e9 parameters": 0}, inputs=inputs, reference=reference, library="minipar/plan/memory.py")

import minipar as mp
from minipar.exercises import Exercise
from minipar.nn.counts import parameter_count
from minipar.plan.activations import published
from minipar.plan.memory import FLOAT32_ADAM, MIXED_ADAM, PrecisionRecipe, state

GB = 10**9
NO_MASTER = PrecisionRecipe(weights=2, gradients=2, optimizer=8)


def inputs(ranks, rng, size):
    return [(*size, int(rng.integers(2, 9)))]


def library_ledger(layers, samples, mixed, zero, devices, recipe=MIXED_ADAM):
    """Return the four lines by the formulas of minipar.plan. recipe: the bytes of a weight in mixed precision."""
    model = mp.ModelConfig(vocabulary=50257, context=2048, layers=layers, heads=layers, width=128 * layers)
    lines = state(parameter_count(model), recipe if mixed else FLOAT32_ADAM, zero=zero, dp=devices)
    kept = published(layers, 128 * layers, layers, 2048, samples, itemsize=2 if mixed else 4)
    return {"weights": lines.weights, "gradients": lines.gradients, "optimizer": lines.optimizer,
            "activations": int(kept)}


def everything_shared(layers, samples, mixed, zero, devices):
    return library_ledger(layers, samples, mixed, 3 if zero else 0, devices)


def no_master(*sizes):
    return library_ledger(*sizes, recipe=NO_MASTER)


def one_precision(layers, samples, mixed, zero, devices):
    kept = library_ledger(layers, samples, True, zero, devices)["activations"]
    return {**library_ledger(layers, samples, mixed, zero, devices), "activations": kept}


def by(ledger, one_more=0):
    """Return the reference for `library_ledger`. Another ledger, or one layer more than fits, gives a mistake."""
    def reference(ranks, arguments):
        memory, *sizes, layers = arguments[0]
        most = max(n for n in range(1, 64) if sum(ledger(n, *sizes).values()) <= memory) + one_more
        lines = ledger(most, *sizes)
        return [{**ledger(layers, *sizes), "layers": most, "largest line": max(lines, key=lines.get)}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="4", function="ledger largest", comm="",
    goal="say which technique lets a larger model fit, and which line stops it",
    prerequisites=("ledger_of_a_7b_model",), forbids=("minipar",),
    cases={"32 bits, 8 samples": (80 * GB, 8, False, 0, 1), "mixed precision": (80 * GB, 8, True, 0, 1),
           "one sample": (80 * GB, 1, True, 0, 1), "ZeRO-1 on 8 devices": (80 * GB, 1, True, 1, 8),
           "ZeRO-2 on 7 devices": (40 * GB, 1, True, 2, 7), "ZeRO-3 on 8 devices": (80 * GB, 1, True, 3, 8),
           "20 layers need all bytes": (sum(library_ledger(20, 2, True, 0, 1).values()), 2, True, 0, 1)}, version=2,
    inputs=inputs, reference=by(library_ledger), mistakes={
        "the copy of the weights in float32 is missing\nin mixed precision, what does the optimizer keep besides "
        "Adam's two means?": by(no_master),
        "ZeRO-1 and 2 split everything\nstage 1 splits only the optimizer, stage 2 also the gradients": by(everything_shared),
        "activations have 16 bits in float32, too\nhow many bytes has a number in float32?": by(one_precision),
        "`largest` gives the first number of layers that does not fit\nreturn the one before it":
            by(library_ledger, one_more=1)},
    library="minipar/plan/memory.py:state")

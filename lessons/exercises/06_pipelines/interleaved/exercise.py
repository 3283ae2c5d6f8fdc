from fractions import Fraction

from minipar.errors import MiniparError
from minipar.exercises import Exercise
from minipar.schedules.files import from_json
from minipar.schedules.footprint import peak_activations
from minipar.schedules.lint import lint
from minipar.schedules.simulate import simulate


def inputs(ranks, rng, size):
    return [size]


def judge(ranks, arguments, results):
    p, m = arguments[0]
    orders = results[0]
    if (
        not isinstance(orders, list)
        or len(orders) != p
        or not all(isinstance(one, str) and len(one) < 20_000 for one in orders)
    ):
        return f"give a list of {p} texts"
    try:
        schedule = from_json(
            {"orders": orders, "stage_to_rank": [s % p for s in range(2 * p)], "micro_batches": m}, "design"
        )
        lint(schedule)
    except MiniparError as error:
        return f"{str(error).removeprefix('design, ')}"
    bubble, par = simulate(schedule).bubble(), Fraction(p - 1, 2 * m + p - 1)
    if bubble > par:
        return f"the bubble is {bubble}; par is {par}\nwhich rank waits first, and for which other rank?"
    kept, most = peak_activations(schedule)[0], 3 * p - 1
    if kept > most:
        return f"rank 0 keeps {kept} activations; par is {most}\nwhich backward could come earlier?"
    return ""


EXERCISE = Exercise(
    kind="design", minutes=30, version=2, lesson="15", function="design", comm="",
    goal="shrink the bubble by smaller stages, and limit the memory",
    prerequisites=("one_f_one_b",),
    cases={"2 ranks, 4 micro-batches": (2, 4), "4 ranks, 8": (4, 8), "3 ranks, 3": (3, 3)},
    inputs=inputs, judge=judge, library="minipar/schedules/generators/virtual.py:interleaved")

from minipar.exercises import Exercise
from minipar.schedules.find import find_schedule


def inputs(ranks, rng, size):
    return [size]


def reference(ranks, arguments):
    schedule = find_schedule("1f1b", *arguments[0])
    return [[" ".join(f"{step.kind}{step.micro}" for step in order) for order in schedule.orders]]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="15", function="one_f_one_b", comm="",
    goal="begin backward as early as possible, and so keep less",
    prerequisites=("gpipe_as_a_list",),
    cases={"2 ranks, 3 micro-batches": (2, 3), "4 ranks, 8": (4, 8), "more ranks than micro-batches": (5, 2), "one rank": (1, 3)},
    inputs=inputs, reference=reference, library="minipar/schedules/generators/plain.py:one_f_one_b")

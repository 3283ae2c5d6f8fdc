from minipar.exercises import Exercise
from minipar.schedules.find import find_schedule


def inputs(ranks, rng, size):
    return [size]


def reference(ranks, arguments):
    schedule = find_schedule("gpipe", *arguments[0])
    return [[" ".join(f"{step.kind}{step.micro}" for step in order) for order in schedule.orders]]


EXERCISE = Exercise(
    kind="write", minutes=5, lesson="15", function="gpipe", comm="",
    goal="see a schedule as plain data",
    cases={"2 ranks, 3 micro-batches": (2, 3), "4 ranks, 8": (4, 8), "one rank": (1, 2), "fewer micro-batches": (4, 1)},
    inputs=inputs, reference=reference, library="minipar/schedules/generators/plain.py:gpipe")

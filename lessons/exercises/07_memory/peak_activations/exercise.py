from minipar.exercises import Exercise
from minipar.schedules.find import find_schedule


def inputs(ranks, rng, size):
    schedule = find_schedule(*size)
    return [([" ".join(f"{step.kind}{step.micro}" for step in order) for order in schedule.orders],)]


def reference(ranks, arguments):
    found = []
    for order in arguments[0][0]:
        words = order.split()
        last = "W" if any(word[0] == "W" for word in words) else "B"
        open_at = [sum(word[0] == "F" for word in words[:end]) - sum(word[0] == last for word in words[:end])
                   for end in range(len(words) + 1)]
        found.append(max(open_at))
    return [found]


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="15", function="peaks", comm="",
    goal="read the memory of a schedule from its order",
    prerequisites=("one_f_one_b",),
    cases={"GPipe": ("gpipe", 4, 8), "1F1B": ("1f1b", 4, 8), "zero bubble": ("zb-h1", 4, 8), "one rank": ("1f1b", 1, 3)},
    inputs=inputs, reference=reference, library="minipar/schedules/footprint.py:peak_activations")

from minipar.exercises import Exercise
from minipar.schedules.find import find_schedule
from minipar.schedules.footprint import peak_activations
from minipar.schedules.simulate import simulate


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    schedule, longer = find_schedule("gpipe", 3, 4), find_schedule("gpipe", 3, 8)
    line = simulate(schedule)
    return [{"SCHEDULE": 1, "TIME": int(line.makespan), "IDLE_0": int(line.makespan) - 4 * 3,
             "BUBBLE": float(line.bubble()), "KEPT_0": int(peak_activations(schedule)[0]),
             "NEW_TIME": int(simulate(longer).makespan)}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="15", comm="", function="SCHEDULE TIME IDLE_0 BUBBLE KEPT_0 NEW_TIME",
    goal="read a timeline, and say what another layout would take",
    prerequisites=("predict_bubble",), tolerance=1e-6, cases={"3 ranks": 0}, inputs=inputs, reference=reference,
    library="minipar/schedules/simulate.py")

from minipar.exercises import Exercise
from minipar.schedules.find import find_schedule
from minipar.schedules.footprint import peak_activations
from minipar.schedules.simulate import simulate


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    gpipe, f1b, naive = (find_schedule(name, 4, 8) for name in ("gpipe", "1f1b", "naive"))
    time = {schedule.name: int(simulate(schedule).makespan) for schedule in (gpipe, f1b, naive)}
    return [{"GPIPE_TIME": time["gpipe"], "GPIPE_KEPT": int(peak_activations(gpipe)[0]), "F1B_TIME": time["1f1b"],
             "F1B_KEPT": int(peak_activations(f1b)[0]), "NAIVE_TIME": time["naive"], "IDLE": time["gpipe"] - 8 * 3}]


EXERCISE = Exercise(
    kind="predict", minutes=15, lesson="15", comm="", function="GPIPE_TIME GPIPE_KEPT F1B_TIME F1B_KEPT NAIVE_TIME IDLE",
    goal="compute a bubble with pencil and paper",
    prerequisites=("one_f_one_b",), cases={"4 ranks, 8 micro-batches": 0}, inputs=inputs, reference=reference,
    library="minipar/schedules/closed_forms.py")

from minipar.errors import MiniparError
from minipar.exercises import Exercise
from minipar.schedules.files import from_json
from minipar.schedules.find import find_schedule
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
        schedule = from_json({"orders": orders, "micro_batches": m}, "design")
        peaks = lint(schedule).peaks
    except MiniparError as error:
        return f"{str(error).removeprefix('design, ')}"
    if not schedule.split:
        return "there is no W: backward has to be in halves"
    if max(peaks) > p:
        return f"rank {peaks.index(max(peaks))} keeps {max(peaks)} micro-batches; it may keep {p}"
    time, par = simulate(schedule).makespan, simulate(find_schedule("zb-h1", p, m)).makespan
    return (
        ""
        if time <= par
        else f"the schedule takes {time}; par is {par}\nwhich rank is idle at the end, and has a W left?"
    )


EXERCISE = Exercise(
    kind="design", minutes=20, lesson="15", function="design", comm="",
    goal="use work that nobody waits for to fill idle time",
    prerequisites=("one_f_one_b",),
    cases={"2 ranks, 4 micro-batches": (2, 4), "4 ranks, 8": (4, 8), "3 ranks, 6": (3, 6)},
    inputs=inputs, judge=judge, library="minipar/schedules/generators/zero_bubble.py:zb_h1")

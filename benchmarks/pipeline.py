"""How much of the speed-up that its bubble allows does a pipeline reach?    python benchmarks/pipeline.py

Two stages on two cores, 8 micro-batches, against one process that takes the same 8 micro-batches, and against
one that takes the batch in one piece; in turns within one job, rank 1 asleep while one process works. What
the bubble allows is simulated with the FLOPs of each stage: stages are not quite equal, since the head is on
the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from scaling import ranks_command, run, run_jobs, trainer
from step import CONFIGS

import minipar as mp
from minipar.comm.solo import solo
from minipar.parallel.stages import parts_of, schedule_of
from minipar.schedules.costs import Costs
from minipar.trace.flops import part_flops

MICRO_BATCHES = 8
TIMES = {"small": 8, "medium": 2}                                   # batches of the configuration in one here
SAME, WHOLE = "one process, 8 micro-batches", "one process, one piece"
LAYOUTS = {name: mp.Layout(pp=2, pipeline=name) for name in ("gpipe", "1f1b", "zb-h1", "interleaved")}


def allowed(name: str, layout: mp.Layout) -> float:
    """The speed-up over one process, were there nothing but the bubble and the stages' unequal work."""
    model, batch, _ = CONFIGS[name]
    schedule = schedule_of(layout, MICRO_BATCHES)
    parts = parts_of(model.layers, schedule.stages)
    work = [part_flops(model, part, batch) for part in parts]
    return float(
        MICRO_BATCHES * 3 * sum(work) / mp.simulate(schedule, Costs(F=work, B=work, W=work)).makespan
    )


def contenders(name: str, world: mp.Communicator) -> dict[str, Callable[[], object]]:
    same, whole = (trainer(name, solo(), mp.Layout(), TIMES[name], pieces) for pieces in (MICRO_BATCHES, 1))
    pipelines = {key: trainer(name, world, layout, TIMES[name], MICRO_BATCHES).step
                 for key, layout in LAYOUTS.items()}
    return {SAME: lambda: world.rank or same.step(), WHOLE: lambda: world.rank or whole.step(), **pipelines}


def report(name: str, restarts: int) -> None:
    jobs = [run_jobs(ranks_command(__file__, name)) for _ in range(restarts)]
    print(f"\n{name}: {restarts} jobs; one process takes {1e3 * median(jobs[0][SAME]):.0f} ms in 8 "
          "micro-batches, "
          f"{1e3 * median(jobs[0][WHOLE]):.0f} ms in one piece")
    for key, layout in LAYOUTS.items():
        most = allowed(name, layout)
        reached = {base: sorted(median(one / two for one, two in zip(times[base], times[key], strict=True))
                                for times in jobs)
                   for base in (SAME, WHOLE)}
        speed, least, best = median(reached[SAME]), reached[SAME][0], reached[SAME][-1]
        print(f"  {key:12} allowed {most:.3f}   reached {speed:.3f} ({least:.3f} to {best:.3f}) = "
              f"{100 * speed / most:.0f} %   "
              f"over one piece {median(reached[WHOLE]):.3f}")


if __name__ == "__main__":
    run(__doc__, contenders, lambda name: 10, report, restarts=3)

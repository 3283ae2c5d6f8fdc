"""The rules of a pipeline, written a second time and as plainly as possible: what the project's own checks
are checked against.
"""

from collections import Counter
from collections.abc import Callable

from minipar.records import Number
from minipar.schedules.instruction import Instruction, Schedule


def contents(schedule: Schedule) -> None:
    """Asserts that each rank has each instruction of its stages exactly once, and nothing else."""
    kinds = "F" if schedule.forward_only else "FBW" if schedule.split else "FB"
    for rank, order in enumerate(schedule.orders):
        wanted = [Instruction(kind, stage, micro) for stage, home in enumerate(schedule.stage_to_rank)
                  if home == rank
                  for kind in kinds for micro in range(schedule.micro_batches)]
        assert Counter(order) == Counter(wanted), f"rank {rank}"


def inputs(instruction: Instruction, schedule: Schedule) -> list[Instruction]:
    """What must have been done before."""
    kind, stage, micro = instruction
    if kind == "F":
        return [Instruction("F", stage - 1, micro)] if stage > 0 else []
    if kind == "B":
        below = [Instruction("B", stage + 1, micro)] if stage + 1 < len(schedule.stage_to_rank) else []
        return [Instruction("F", stage, micro), *below]
    return [Instruction("B", stage, micro)]


def times(schedule: Schedule, cost: Callable[[Instruction], Number],
          message: Callable[[int], Number] = lambda micro: 0,
          ) -> dict[Instruction, tuple[Number, Number]]:
    """Start and end of each instruction: goes over all ranks again and again, until nobody gets any further.
    Asserts that they all get to their end."""
    done: dict[Instruction, tuple[Number, Number]] = {}
    place = [0] * len(schedule.orders)
    clock: list[Number] = [0] * len(schedule.orders)
    before = -1
    while len(done) > before:
        before = len(done)
        for rank, order in enumerate(schedule.orders):
            while place[rank] < len(order) and all(other in done
                                                   for other in inputs(order[place[rank]], schedule)):
                instruction = order[place[rank]]
                ready = [done[other][1] + (message(other.micro)
                                           if schedule.stage_to_rank[other.stage] != rank else 0)
                         for other in inputs(instruction, schedule)]
                start = max([clock[rank], *ready])
                clock[rank] = start + cost(instruction)
                done[instruction] = start, clock[rank]
                place[rank] += 1
    assert place == [len(order) for order in schedule.orders], f"stuck at {place}"
    return done

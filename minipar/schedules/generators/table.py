"""Lists all schedules by name, and checks the arguments of a user who selects one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from minipar.errors import LayoutError, ScheduleError
from minipar.schedules.generators.inference import inference
from minipar.schedules.generators.plain import eager_one_f_one_b, gpipe, naive, one_f_one_b
from minipar.schedules.generators.v_shaped import dualpipev, zb_v
from minipar.schedules.generators.virtual import interleaved, looped_bfs
from minipar.schedules.generators.zero_bubble import zb_h1, zb_h2
from minipar.schedules.instruction import Schedule


class Generator(NamedTuple):
    """Describes a generator of one schedule. make: called as make(ranks, micro_batches), or make(ranks,
    micro_batches, virtual) if `free`.

    free: true if any number of stages per rank is possible. virtual: the number of stages per rank. If `free`
    is true, it is only the default.
    """

    make: Callable[..., Schedule]
    virtual: int = 1
    free: bool = False


SCHEDULES = {
    "naive": Generator(naive),
    "gpipe": Generator(gpipe),
    "1f1b": Generator(one_f_one_b),
    "eager-1f1b": Generator(eager_one_f_one_b),
    "interleaved": Generator(interleaved, virtual=2, free=True),
    "looped-bfs": Generator(looped_bfs, virtual=2, free=True),
    "zb-h1": Generator(zb_h1),
    "zb-h2": Generator(zb_h2),
    "zb-v": Generator(zb_v, virtual=2),
    "dualpipev": Generator(dualpipev, virtual=2),
    "inference": Generator(inference, free=True),
}


def make_schedule(name: str, ranks: int, micro_batches: int, virtual: int | None = None) -> Schedule:
    """Returns the schedule with this name, for at least 1 rank and at least 1 micro-batch.

    virtual: stages per rank; None selects the schedule's own number, see Generator. Raises ScheduleError
    for an unknown name or for no micro-batch, and LayoutError for an invalid number of ranks or stages.
    """
    generator = SCHEDULES.get(name)
    if generator is None:
        raise ScheduleError(f"no schedule is called {name!r}; choose one of {', '.join(SCHEDULES)}")
    if micro_batches < 1:
        raise ScheduleError(f"schedule {name} with {micro_batches} micro-batches; it takes at least 1")
    if ranks < 1:
        raise LayoutError(f"schedule {name} on {ranks} ranks; it takes at least 1")
    if virtual is None:
        virtual = generator.virtual
    if not generator.free:
        if virtual != generator.virtual:
            stages = "1 stage" if generator.virtual == 1 else f"{generator.virtual} stages"
            raise LayoutError(f"schedule {name} needs {stages} per rank, not {virtual}; schedules with any "
                              "number of stages are "
                              f"{', '.join(key for key, other in SCHEDULES.items() if other.free)}")
        return generator.make(ranks, micro_batches)
    if virtual < 1:
        raise LayoutError(f"schedule {name} with {virtual} stages per rank; it takes at least 1")
    return generator.make(ranks, micro_batches, virtual)

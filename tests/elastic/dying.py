"""`python -m tests.elastic.dying PLAN train ...`: one rank of `minipar train`, which kills itself at planned
calls.

PLAN: "1:40,2:40": rank 1 and rank 2 are killed (SIGKILL) at their 40th call of the communicator; "-": none.
"""

import sys

from minipar.cli import main, train
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.faults import Fault, Faults


def faults(plan: str) -> list[Fault]:
    pairs = [] if plan == "-" else [pair.split(":") for pair in plan.split(",")]
    return [Fault("kill", rank=int(rank), nth=int(nth)) for rank, nth in pairs]


if __name__ == "__main__":
    planted = faults(sys.argv[1])

    def counting(world: Communicator) -> Counting:
        return Counting(Faults(world, *planted) if planted else world)

    train.Counting = counting  # type: ignore[assignment, attr-defined, misc]
    sys.exit(main(sys.argv[2:]))

"""Kills a rank at every message of three steps, and two ranks at once, and compares the final states.

    python -m tests.elastic [--every N] [--kills 60] [--seed 0]

First the ranks are threads; --every: at every Nth message (default: all). Then they are processes under
mpirun, which are killed with SIGKILL, see kills.py; --kills: until there are so many deaths; --seed: of the
moments. Prints how many deaths there were, and how many of them ended in other weights (none may).
"""

import argparse
import tempfile
from pathlib import Path

from minipar.comm.wrappers.faults import Fault
from tests.elastic.deaths import BITWISE, MIXED, distance, train
from tests.elastic.kills import campaign

CASES = {"dp=4 to 1, bitwise": (BITWISE, 4, 0.0), "dp=2 x tp=2, pp=2, tp=2, 1": (MIXED, 4, 1e-12)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.elastic")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options, wrong = parser.parse_args(), 0
    for name, (allowed, ranks, tolerance) in CASES.items():
        expected, deaths, bad = train(allowed, ranks)[0], 0, []
        for rank in range(ranks):
            for nth in range(rank % options.every, 100_000, options.every):
                planted = [Fault("kill", rank=rank, nth=nth)]
                if nth % 7 == 0:                                    # a second rank at once
                    planted.append(Fault("kill", rank=(rank + 1) % ranks, nth=nth))
                state, training = train(allowed, ranks, [planted])
                if len(training.lives) == 1:
                    break                                           # this rank has no such message
                deaths += 1
                if not distance(state, expected) <= tolerance:
                    bad.append((rank, nth))
        print(f"{name}: {deaths} deaths, {len(bad)} of them with other weights {bad[:5] or ''}")
        wrong += len(bad) + (deaths == 0)
    with tempfile.TemporaryDirectory() as folder:
        wrong += campaign(Path(folder), options.kills, options.seed)
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())

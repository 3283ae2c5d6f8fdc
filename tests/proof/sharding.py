"""Every sharding of the promise trains as one process does: `python -m tests.proof.sharding [NUMBER]`.

zero 0 to 3 x dp 2, 3, 5 x tp 1, 2 x pp 1, 2 x accumulation 1 and 3, on threads, nothing divides. It takes
about six minutes. NUMBER: only every so many cases. tests/proof/test_sharding.py has a sample of it.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any, NamedTuple

from minipar.config import Layout
from tests.proof.proofs import on_threads


class Sharding(NamedTuple):
    layout: Layout
    values: dict[str, Any]


def grid() -> list[Sharding]:
    """All cases; tied tables, untied ones, schedules and options take turns."""
    found = []
    turns: itertools.cycle[dict[str, Any]] = itertools.cycle([dict(), dict(tied=False, dropout=0.1),
                                                              dict(recompute="full"), dict(bias=False),
                             dict(recompute="selective", vocabulary=67)])
    schedules = itertools.cycle(["1f1b", "gpipe", "zb-h1", "zb-v", "interleaved", "dualpipev"])
    for dp, tp, pp, pieces, zero in itertools.product((2, 3, 5), (1, 2), (1, 2), (1, 3), range(4)):
        schedule = next(schedules) if pp > 1 else "1f1b"
        layers = 5 if schedule in ("zb-v", "interleaved", "dualpipev") else 3
        for reshard in (True, False) if zero == 3 and pp == 2 else (True,):
            layout = Layout(dp=dp, tp=tp, pp=pp, zero=zero, reshard_after_forward=reshard, pipeline=schedule,
                            sequence_parallel=tp > 1 and dp != 3)
            found.append(Sharding(layout, dict(layers=layers, micro_batches=pieces, **next(turns))))
    return found


def main() -> int:
    every, wrong = int(sys.argv[1]) if len(sys.argv) > 1 else 1, 0
    cases = grid()[::every]
    for number, (layout, values) in enumerate(cases, 1):
        report = on_threads(layout, **values)
        wrong += not report.proven
        print(f"{number}/{len(cases)} {'ok' if report.proven else report.failed_checks} {layout} {values}",
              flush=True)
    print(f"{len(cases) - wrong} of {len(cases)} proven")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

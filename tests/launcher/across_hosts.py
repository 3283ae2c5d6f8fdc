"""What test_hosts.py runs on the ranks of two hosts: three all-reduces, and what they sent between the hosts,
by two counters.

Rank 0 writes the nodes, the bytes of the array, and for each algorithm the bytes counted from node 0 to node
1 and back, and those that host 0 sent through the cable.
"""

import json
import sys
from pathlib import Path

import numpy as np

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.job import job
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting, MessageTally

ELEMENTS = 1 << 19                                                  # float64: 4 MiB


def sent_by_the_cable() -> int:
    """Bytes that this host's end has sent: the ninth number behind the interface's name."""
    row = next(line for line in Path("/proc/self/net/dev").read_text().splitlines()
               if line.strip().startswith("cable:"))
    return int(row.split(":")[1].split()[8])


def measure(comm: Communicator, algorithm: str) -> dict:
    counting = Counting(comm)
    array = np.arange(float(ELEMENTS)) + comm.rank
    comm.barrier(label="start")
    before = sent_by_the_cable()
    total = all_reduce(counting, array, label="gradients", algorithm=algorithm)
    comm.barrier(label="end")
    cable = sent_by_the_cable() - before
    assert np.array_equal(total, 4 * np.arange(float(ELEMENTS)) + (0 + 1 + 2 + 3))
    mine = counting.traffic.between(comm.nodes)
    counted = all_reduce(comm, np.array([mine.get(way, MessageTally()).bytes for way in ((0, 1), (1, 0))]),
                         label="report")
    return {"counted": counted.tolist(), "cable": cable}


def main(path: str) -> None:
    with job() as comm:
        report = {algorithm: measure(comm, algorithm) for algorithm in ("hierarchical", "ring", "naive")}
        if comm.rank == 0:
            Path(path).write_text(json.dumps({"nodes": comm.nodes, "nbytes": 8 * ELEMENTS, **report}))


if __name__ == "__main__":
    main(sys.argv[1])

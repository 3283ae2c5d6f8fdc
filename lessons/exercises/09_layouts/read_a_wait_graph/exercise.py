from minipar.comm.deadlock.wait_graph import State, cycle, stuck
from minipar.exercises import Exercise

WAITS = {0: 1, 1: 2, 2: 0, 3: 2, 5: 4, 7: 6}


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    states = [
        State("waiting", peer=WAITS[rank]) if rank in WAITS else State("finished" if rank == 6 else "running")
        for rank in range(8)
    ]
    lost = stuck(states)
    freed = [rank for rank, partner in WAITS.items() if partner == 2]
    left = next(rank for rank, partner in WAITS.items() if states[partner].doing == "finished")
    return [{"CYCLE": len(cycle(states)), "STUCK": len(lost), "CAN_GO_ON": len(set(WAITS) - lost),
             "LEFT": left, "FREED": len(freed)}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="0", comm="", function="CYCLE STUCK CAN_GO_ON LEFT FREED",
    goal="find the cause of a deadlock in a list of waiting ranks",
    prerequisites=("works_small_hangs_large",), cases={"8 ranks": 0}, inputs=inputs, reference=reference,
    library="minipar/comm/deadlock/wait_graph.py:stuck")

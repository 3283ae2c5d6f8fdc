"""A small process beside each node's ranks that outlives them: `python -m minipar.comm.watcher FILE SIZE RANK...`.

When a rank is killed, the launcher kills the others a moment later, so no rank is left to say what happened. The watcher reads
their board all the while. It is in a session of its own, so it survives, and it prints the last roll call.
"""

import sys
import time

from minipar.comm.board import Board
from minipar.comm.rollcall import roll_call

INTERVAL = 0.02             # seconds between looks


def watch(board: Board) -> str:
    """Returns the roll call once a rank of this node has left without a word; "" once all have ended in order, or told their error."""
    while True:
        states = [notice.state for notice in board.everyone()]
        lost = [rank for rank in board.slots if states[rank].doing == "gone"]
        if lost:
            names = f"rank {lost[0]}" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))}"
            story = f"{names} left without a word (killed, out of memory, or os._exit): {roll_call(states)}"
            return story if board.claim() else ""
        if all(states[rank].doing in ("finished", "failed") for rank in board.slots):
            return ""
        time.sleep(INTERVAL)


def main(file: int, size: int, *ranks: int) -> None:
    if story := watch(Board(file, size, {rank: slot for slot, rank in enumerate(ranks)})):
        print(f"CommError: {story}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

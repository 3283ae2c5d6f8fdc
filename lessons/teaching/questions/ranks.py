"""Questions on lesson 0: ranks, messages, deadlock."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.errors import CommError

ALL = Collection()
ALPHA, BETA = 5e-6, 1e-10               # seconds for each message, seconds for each byte


@ALL.ask("0", "Rank r of 3 adds up the numbers r, r + 3, r + 6, ... that are below 12. What does rank 2 get?",
         wrong={18: "these are every third number from 0 on: rank 0's"})
def strided_sum() -> int:
    def part(comm: mp.Communicator) -> int:
        return int(np.arange(12)[comm.rank::comm.size].sum())
    return int(mp.run(3, part)[2])


@ALL.ask(
    "0",
    "Three ranks each print one line. In how many orders can the lines appear?",
    wrong={1: "nobody says who comes first", 3: "the second line can also come from two ranks: 3 · 2 · 1"},
)
def orders_of_lines() -> int:
    return len(list(permutations(range(3))))


def _seconds(size: int) -> float:
    def message(comm: mp.Communicator) -> float:
        clock = Clock(comm, Network(ALPHA, BETA), flops_per_second=1e9)
        data = np.zeros(size, np.uint8)
        if comm.rank == 0:
            clock.send(data, dest=1)
        else:
            clock.recv(data, source=0)
        return float(clock.now)
    return float(mp.run(2, message)[1])


@ALL.ask("0", "A message of n bytes takes alpha + n beta, with alpha = 5 microseconds and beta = 1e-10 seconds. How long do 200,000 "
         "bytes take?", unit="microseconds", wrong={20: "this is n beta; add alpha"})
def time_of_a_message() -> float:
    return round(1e6 * _seconds(200_000), 6)


@ALL.ask("0", "Ranks 0 and 1 both call recv from each other first, and send afterwards. What happens?",
         choices=["each gets the other's data", "both wait for ever", "it depends on the size of the message"],
         wrong={"it depends on the size of the message": "that is true if both send first; here nothing has been sent"})
def receive_first() -> str:
    def swap(comm: mp.Communicator) -> None:
        comm.recv(np.zeros(1), source=1 - comm.rank)
        comm.send(np.zeros(1), dest=1 - comm.rank)
    try:
        mp.run(2, swap)
    except CommError as error:
        return "both wait for ever" if "deadlock" in str(error) else "each gets the other's data"
    return "each gets the other's data"

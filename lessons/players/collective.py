"""The collective player's runs: every algorithm of minipar that sends messages, on 2 to 8 ranks."""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator
from typing import Any

import numpy as np
from minipar.lessons.players.lockstep import BITS, AlgorithmSteps, Round, Rounds

from minipar.comm.collectives.table import ALGORITHMS
from minipar.plan.collective_times import SEGMENT_BYTES

TITLE = "Collectives, message by message"
DOES = (
    "Choose an operation, an algorithm and a number of ranks, and step. A cell is one chunk of the array; its "
    "stripes say whose contributions it holds. Predict first: how many steps, and how many bytes per rank?"
)

RANKS = range(2, BITS + 1)
WITHOUT_MESSAGES = ("native", "shared")  # the MPI library's own, and the one through shared memory
SEGMENTS = 2                            # per chunk, where an algorithm divides chunks
ELEMENT = np.dtype(np.uint16)


def algorithms() -> Iterator[tuple[str, str]]:
    yield from ((operation, name) for operation, names in ALGORITHMS.items() for name in names
                if name not in WITHOUT_MESSAGES)


def run(operation: str, name: str, size: int) -> list[Round]:
    """All rounds of one algorithm on that many ranks. Ranks form two nodes; only "hierarchical" looks at them."""
    elements = SEGMENT_BYTES // ELEMENT.itemsize if name == "segmented" else 1
    rounds = Rounds(size, [rank >= (size + 1) // 2 for rank in range(size)], elements)
    return list(rounds.run(lambda rounds, rank: _steps(rounds, rank, operation, name)))


def cells(operation: str, name: str, size: int) -> int:
    """Into how many cells the player divides the array: p, or what the algorithm divides evenly."""
    if (operation, name) == ("all_reduce", "halving_doubling"):
        return 1 << (size.bit_length() - 1)             # the largest power of two
    return size * (SEGMENTS if name == "segmented" else 1)


def held_first(operation: str, size: int, number: int) -> list[list[int]]:
    """The cells of each rank before the first round."""
    def all_of(rank: int) -> list[int]:
        return [cell << BITS | 1 << rank for cell in range(number)]

    if operation in ("broadcast", "scatter"):
        return [all_of(0), *([] for _ in range(size - 1))]
    if operation in ("gather", "all_gather"):
        return [[rank << BITS | 1 << rank] for rank in range(size)]
    if operation == "all_to_all":
        return [[(rank * size + dest) << BITS | 1 << rank for dest in range(size)] for rank in range(size)]
    return [all_of(rank) for rank in range(size)]


def _steps(rounds: Rounds, rank: int, operation: str, name: str) -> AlgorithmSteps:
    """The algorithm on one rank, with the arrays that the operation prescribes. The root is rank 0."""
    size, number = rounds.size, cells(operation, name, rounds.size)
    algorithm, channel = ALGORITHMS[operation][name], rounds.channel(rank)
    start = np.repeat(np.array(held_first(operation, size, number)[rank], ELEMENT), rounds.elements)
    counts = [number // size * rounds.elements] * size
    whole = np.zeros(number * rounds.elements, ELEMENT)
    own = np.zeros(counts[rank], ELEMENT)
    match operation:
        case "broadcast":
            whole[:start.size] = start
            steps = algorithm(channel, whole, 0)
        case "reduce":
            steps = algorithm(channel, start, whole, rounds.combine(rank), 0)
        case "all_reduce":
            steps = algorithm(channel, start, start, rounds.combine(rank))
        case "reduce_scatter":
            steps = algorithm(channel, start, own, counts, rounds.combine(rank))
        case "all_gather":
            whole[rank * counts[rank]:][:counts[rank]] = start
            steps = algorithm(channel, whole, counts)
        case "gather":
            steps = algorithm(channel, start, whole, counts, 0)
        case "scatter":
            steps = algorithm(channel, start if rank == 0 else whole, own, counts, 0)
        case _:
            steps = algorithm(channel, start, whole, counts, counts)
    found: AlgorithmSteps = steps
    return found


@functools.cache
def recorded() -> Any:
    """operation -> algorithm -> ranks -> {cells, first, rounds: [{messages: [[from, to, cells]], held}]}."""
    found: dict[str, Any] = {}
    for operation, name in algorithms():
        of_size = found.setdefault(operation, {}).setdefault(name, {})
        for size in RANKS:
            number = cells(operation, name, size)
            of_size[size] = {"cells": number, "first": held_first(operation, size, number), "rounds": [
                {"messages": [[one.source, one.dest, one.cells] for one in turn.messages], "held": turn.held}
                for turn in run(operation, name, size)]}
    return found


def plain() -> str:
    """Steps and traffic of every algorithm on four ranks."""
    rows = []
    for operation, name in algorithms():
        rounds, number = run(operation, name, 4), cells(operation, name, 4)
        sent = [sum(len(one.cells) for turn in rounds for one in turn.messages if one.source == rank)
                for rank in range(4)]
        shares = ", ".join(f"{one / number:g}" for one in sent)
        rows.append(f"<tr><td>{html.escape(operation)}</td><td>{html.escape(name)}</td><td>{len(rounds)}</td>"
                    f"<td>{shares}</td></tr>")
    return (
        "<p>Four ranks. Sent: by ranks 0 to 3, as multiples of the array.</p><table><thead><tr><th>operation</th>"
        f"<th>algorithm</th><th>steps</th><th>sent</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )

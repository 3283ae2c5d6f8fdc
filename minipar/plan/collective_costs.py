"""Computes two costs of a collective that are not messages: the overhead of the call, and the time in which
the rank copies and adds bytes.

    call        `Machine.call_overhead`. On a GPU, it is the time to launch a kernel. In minipar, it is the
                time to compare the calls of all ranks, and to start and complete the messages
    copies      bytes that a rank reads and writes in its memory, for software whose cores do this work
                themselves (`Software.copies`). n is the size of the whole array, p the number of ranks:

                    all_reduce      3 n (p - 1)/p for additions, and 2 n if the result is a new array
                    reduce_scatter  3 n (p - 1)/p: an addition reads two numbers and writes one
                    all_gather      2 n/p to copy the rank's own part, if the result is a new array

Sources: the algorithms in `minipar.comm.collectives`; Thakur, Rabenseifner, Gropp 2005, section 4 (gamma).
"""

from __future__ import annotations

from minipar.plan.groups import collective
from minipar.plan.machine import Machine
from minipar.plan.software import Software


def copied_bytes(operation: str, p: int, nbytes: float, *, new_array: bool = True) -> float:
    """Returns the bytes that a rank reads and writes for one collective of `nbytes` on p ranks.

    new_array: true if the result is a new array. False if the result overwrites the input, or if the result
    array already contains the rank's own part.

    >>> copied_bytes("all_reduce", 2, 100), copied_bytes("reduce_scatter", 2, 100)
    (350.0, 150.0)
    """
    additions = 3 * nbytes * (p - 1) / p
    return {
        "all_reduce": additions + 2 * nbytes * new_array,
        "reduce_scatter": additions,
        "all_gather": 2 * nbytes / p * new_array,
    }[operation]


def overhead(calls: int, p: int, machine: Machine) -> float:
    """Returns the seconds of overhead for some calls on p ranks. A group of one rank has no overhead."""
    return calls * machine.call_overhead if p > 1 else 0.0


def collective_seconds(
    operation: str,
    p: int,
    nbytes: float,
    stride: int,
    machine: Machine,
    software: Software,
    *,
    calls: int = 1,
    new_array: bool = False,
) -> float:
    """Returns the seconds of a collective of `nbytes`. The sum includes messages, overhead and copies. calls:
    the number of calls into which the collective is divided. p, stride: as in `groups.collective`.
    """
    copied = copied_bytes(operation, p, nbytes, new_array=new_array) if software.copies and p > 1 else 0.0
    return (
        collective(operation, p, nbytes, stride, machine)
        + overhead(calls, p, machine)
        + copied / machine.memory_rate
    )


def tensor_overhead(
    nbytes: float, tp: int, sequence_parallel: bool, reordered: bool, machine: Machine, software: Software
) -> float:
    """Returns the seconds of overhead and copies for one all-reduce of activations, without its messages.
    With sequence parallelism, a reduce-scatter and an all-gather replace the all-reduce.

    reordered: true if a micro-batch has several samples. Then the tokens must become the first axis of the
    array. So each of the two collectives copies the whole array once and the rank's part once.
    """
    if tp == 1:
        return 0.0
    operations = ("reduce_scatter", "all_gather") if sequence_parallel else ("all_reduce",)
    copied = sum(copied_bytes(operation, tp, nbytes) for operation in operations)
    if sequence_parallel and reordered:
        copied += 2 * (2 * nbytes + 2 * nbytes / tp)
    return overhead(len(operations), tp, machine) + software.copies * copied / machine.memory_rate

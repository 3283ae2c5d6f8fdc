"""Computes the light "cost". A light is the result of one check. This check compares the messages and bytes
that each rank sends with par, the cost of a good solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import Exercise, Par
from minipar.exercises.light import Light, Verdict, off
from minipar.exercises.tasks import CallResult
from minipar.exercises.words import listed
from minipar.exercises.wrapping import NETWORK

ROUNDING = Fraction(1, 10**9)                                       # relative tolerance of par's time
PICKLED = "methods in lower case (send, recv) pickle an array; those in upper case (Send, Recv) do not"
UNUSED = "which message carries data that the receiver does not need?"
UNUSED_MESSAGE = ("does a message carry data that the receiver does not need? is each collective needed (a "
                  "barrier sends messages, too)? are fewer rounds possible?")
NOBODY_ELSE = "with 1 rank there is no receiver: does the rank send to itself?"
UNEVEN = "all ranks together send no more than par: could other ranks send some of these messages?"
WAY = "which way do the messages of the task go? each rank sends only to the next one"
LATENCY = "most of the time is latency, which each message costs: are fewer rounds possible?"
BANDWIDTH = "most of the time is bandwidth: can all ranks send parts of the array at the same time?"


def cost(exercise: Exercise, results: Sequence[CallResult]) -> Light:
    """Return the light "cost". It is on if no rank sends more than par, and no rank sends fewer bytes than
    the result needs.
    """
    if exercise.par is None:
        return Light("cost", "none")
    for result in results:
        par = exercise.par(result.call.ranks, result.call.arguments)
        if finding := too_much(exercise, par, result):
            return off("cost", finding, result.call.described())
    return Light("cost", "on" if results else "dark")


def too_much(exercise: Exercise, par: Par, result: CallResult) -> Diagnosis | None:
    """Return the first cost over par, or None."""
    for rank, one in enumerate(result.ranks):
        assert one is not None
        for what, most in (("messages", par.messages), ("bytes", par.bytes)):
            sent, limit = getattr(one, what), of_rank(most, rank)
            if limit is not None and sent > limit:
                return Diagnosis(f"rank {rank} sends {amount(sent, what)}; par is {amount(limit, what)}",
                                 advice_on_sends(exercise, par, result, rank, what))
        if one.bytes < (of_rank(par.at_least, rank) or 0):
            least = amount(of_rank(par.at_least, rank) or 0, "bytes")
            return Diagnosis(f"rank {rank} sends {amount(one.bytes, 'bytes')}; it must send at least {least}",
                             "does the program leave out a message that the task asks for? all data must "
                             "travel through comm")
        if par.peers is not None and (others := sorted({*one.peers} - {*par.peers[rank]})):
            only = f"only to rank {listed(par.peers[rank])}" if par.peers[rank] else "to no rank"
            return Diagnosis(f"rank {rank} sends to rank {listed(others)}; it may send {only}", WAY)
        if par.memory is not None and one.memory > par.memory:
            return Diagnosis(f"allocates up to {amount(one.memory, 'bytes')} at a time; par is "
                             f"{amount(par.memory, 'bytes')}", "which array lives longer than it is needed?")
    late = virtual_seconds(result)
    if par.seconds is not None and late is not None and late > Fraction(par.seconds) * (1 + ROUNDING):
        return Diagnosis(f"takes {1e6 * float(late):.1f} us of virtual time on {result.call.ranks} ranks; "
                         f"par is {1e6 * float(par.seconds):.1f} us", advice_on_time(result))
    return None


def advice_on_sends(exercise: Exercise, par: Par, result: CallResult, rank: int, what: str) -> str:
    """Return the next step if `rank` sends more messages or bytes than par."""
    one, ranks = result.ranks[rank], result.call.ranks
    assert one is not None
    if exercise.comm == "mpi4py" and what == "bytes" and one.messages <= (of_rank(par.messages, rank) or 0):
        return PICKLED
    if ranks == 1:
        return NOBODY_ELSE
    sent = sum(getattr(other, what) for other in result.ranks)
    most = sum(of_rank(getattr(par, what), other) or 0 for other in range(ranks))
    if sent <= most:
        return UNEVEN
    return UNUSED_MESSAGE if what == "messages" else UNUSED


def advice_on_time(result: CallResult) -> str:
    """Return the next step if the virtual time is over par. The advice depends on which costs more: latency
    or bandwidth.
    """
    known = [rank for rank in result.ranks if rank is not None]
    latency = NETWORK.alpha * max(rank.messages for rank in known)
    return LATENCY if latency > NETWORK.beta * max(rank.bytes for rank in known) else BANDWIDTH


def of_rank(number: int | Sequence[int] | None, rank: int) -> int | None:
    return number[rank] if isinstance(number, Sequence) else number


def amount(number: int, what: str) -> str:
    return f"{number:,} {what if number != 1 else what[:-1]}"


def virtual_seconds(result: CallResult) -> Fraction | None:
    known = [Fraction(rank.seconds) for rank in result.ranks if rank is not None and rank.seconds]
    return max(known) if known else None


def fastest(exercise: Exercise, found: Verdict, results: Sequence[CallResult]) -> float | None:
    """Return the sum of the virtual times, in seconds, of all calls on the largest number of ranks. Return
    None if the exercise is not of kind "par", or if the submission did not pass. In an exercise of another
    kind, the time has a limit, but a shorter time is not better.
    """
    if exercise.kind != "par" or not found.passed or not results:
        return None
    most = max(result.call.ranks for result in results)
    times = [virtual_seconds(result) for result in results if result.call.ranks == most and result.call.clock]
    known = [time for time in times if time is not None]
    return float(sum(known)) if known else None

"""The light "cost": what each rank sends, against par."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import Exercise
from minipar.exercises.light import Light, off
from minipar.exercises.tasks import CallResult


def cost(exercise: Exercise, results: Sequence[CallResult]) -> Light:
    """Whether each rank sends at most par, and enough to be right."""
    if exercise.par is None:
        return Light("cost", "none")
    for result in results:
        par, size = exercise.par(result.call.ranks, result.call.arguments), result.call.ranks
        for rank, one in enumerate(result.ranks):
            assert one is not None
            for what, most in (("messages", par.messages), ("bytes", par.bytes)):
                sent, limit = getattr(one, what), of_rank(most, rank)
                if limit is not None and sent > limit:
                    return off(
                        "cost",
                        Diagnosis(
                            f"rank {rank} sends {amount(sent, what)}; par is {amount(limit, what)}",
                            "which of them carries what the receiver does not need?",
                        ),
                        result.call.described(),
                    )
            if one.bytes < (of_rank(par.at_least, rank) or 0):
                return off(
                    "cost",
                    Diagnosis(
                        f"rank {rank} sends {amount(one.bytes, 'bytes')}, fewer than the result needs",
                        "everything must travel through comm",
                    ),
                    result.call.described(),
                )
        if (
            par.seconds is not None
            and (late := virtual_seconds(result)) is not None
            and late > Fraction(par.seconds) * (1 + Fraction(1, 10**9))
        ):
            return off(
                "cost",
                Diagnosis(
                    f"takes {float(late) * 1e6:.1f} us of virtual time on {size} ranks; par is "
                    f"{float(par.seconds) * 1e6:.1f} us",
                    "which messages could travel at the same time?",
                ),
                result.call.described(),
            )
    return Light("cost", "on" if results else "dark")


def of_rank(number: int | Sequence[int] | None, rank: int) -> int | None:
    return number[rank] if isinstance(number, Sequence) else number


def amount(number: int, what: str) -> str:
    return f"{number:,} {what if number != 1 else what[:-1]}"


def virtual_seconds(result: CallResult) -> Fraction | None:
    known = [Fraction(rank.seconds) for rank in result.ranks if rank is not None and rank.seconds]
    return max(known) if known else None

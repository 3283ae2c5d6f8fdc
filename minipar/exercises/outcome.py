"""Describes the result of a call: whether it completed, the wanted results, and the errors of ranks."""

from __future__ import annotations

import re
from typing import Any

from minipar.errors import ConfigError
from minipar.exercises.advice import advice_on
from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import Exercise
from minipar.exercises.tasks import CallResult
from minipar.exercises.wrapping import NEXT_CALL

ONLY_RANK = re.compile(r"but only one process is running, rank 0; start \d+: mpirun -n \d+ python \.\.\.")
ANYTHING = object()  # stands for the wanted result if the exercise has a judge function, no reference


def complete(result: CallResult) -> bool:
    return result.error is None and all(rank is not None and rank.error is None for rank in result.ranks)


def is_first_case(exercise: Exercise, result: CallResult) -> bool:
    """Return True if the result belongs to the first case of the exercise. A wrong shape in the first case
    fails the check "runs". In another case, a wrong shape fails the check "values" or "gradients".
    """
    return result.call.case == next(iter(exercise.cases))


def outputs(result: CallResult) -> list[Any]:
    return [rank.outputs for rank in result.ranks if rank is not None]


def wanted(exercise: Exercise, result: CallResult) -> list[Any]:
    """Return the wanted results of all ranks, or ANYTHING for each rank if the exercise has no reference."""
    if exercise.reference is None:
        return [ANYTHING] * result.call.ranks
    found = exercise.reference(result.call.ranks, result.call.arguments)
    if len(found) != result.call.ranks:
        raise ConfigError(f"{exercise.name}: the reference returns {len(found)} results for "
                          f"{result.call.ranks} ranks; return one for each")
    return found


def of_error(rank: int | None, error: dict[str, Any], result: CallResult) -> Diagnosis:
    """Return the diagnosis of an error: one line with rank, error and line of the program, and the next step.
    """
    who = f"rank {rank}: " if rank is not None and result.call.ranks > 1 else ""
    where = f" at {error['where']}" if error["where"] and error["where"] not in error["text"] else ""
    text = " ".join(members_only(str(error["text"]), result.call.ranks).split())
    text = re.sub(r"^rank \d+ of \d+( in world)?: ", "", text)
    text = ONLY_RANK.sub("but the call runs on 1 rank, rank 0", text)
    line = f": {error['line']}" if error["line"] and error["kind"] in ("exception", "memory") else ""
    advice = advice_on(error["kind"], text, result.call.ranks, error["where"])
    return Diagnosis(f"{who}{text}{where}{line}", advice)


def members_only(text: str, ranks: int) -> str:
    """Remove what belongs to the grader from a text about waiting ranks: the barrier between two calls, the
    grader's own lines, and ranks that are not in the call. Under mpirun the job may have more ranks than the
    call.
    """
    parts = [part for part in text.split("; ")
             if not (found := re.match(r"rank (\d+) ", part)) or int(found[1]) < ranks]
    parts = [re.sub(rf" is in barrier '{NEXT_CALL}'.*", " has finished", part) for part in parts]
    return re.sub(r" at (broker|worker|worker_process|rank_requests)\.py:\d+", "", "; ".join(parts))

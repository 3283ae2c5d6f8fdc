"""Texts about the results of a call: errors of ranks, and the next step."""

from __future__ import annotations

import re
from typing import Any

from minipar.errors import ConfigError
from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import Exercise
from minipar.exercises.tasks import CallResult
from minipar.exercises.wrapping import NEXT_CALL

ADVICE = {
    "stub": "write the function; `minipar exercise hint` gives a first idea",
    "refused": "see what the task allows",
    "memory": "does an array grow with every step?",
    "comm": "compare what each rank sends with what its partner receives: shape, dtype, tag",
    "stuck": "draw who waits for whom: each send needs its receive, and not all ranks may send first",
    "left": "each send needs a receive, and each request a wait",
    "time": "is there a loop without an end?",
    "died": "an exercise must return",
    "exception": "print what this line uses: your prints are shown below, by rank",
    "exit": "return a value; do not call sys.exit",
}
# a part of an error's text: the next step, where that says more than ADVICE
HINTS = {
    "waits for itself": "with 1 rank, a rank is its own neighbour: start the send and the receive together",
    "names rank": "ranks count from 0 to size - 1: is the neighbour taken modulo size?",
    "SyntaxError": "look at this line, and at the one before",
    "IndentationError": "look at this line, and at the one before",
    "NameError": "is it imported, and spelled like this elsewhere?",
    "ModuleNotFoundError": "an exercise needs NumPy, minipar, and what its stub imports",
    "is not allowed in an exercise": "see what the task allows",
}
ONLY_RANK = re.compile(r"but only one process is running, rank 0; start \d+: mpirun -n \d+ python \.\.\.")
ANYTHING = object()  # what a judge decides about


def complete(result: CallResult) -> bool:
    return result.error is None and all(rank is not None and rank.error is None for rank in result.ranks)


def is_first_case(exercise: Exercise, result: CallResult) -> bool:
    """Its shapes decide the first light; a wrong shape only in a ragged case counts as a wrong value."""
    return result.call.case == next(iter(exercise.cases))


def outputs(result: CallResult) -> list[Any]:
    return [rank.outputs for rank in result.ranks if rank is not None]


def wanted(exercise: Exercise, result: CallResult) -> list[Any]:
    """The wanted results of all ranks; ANYTHING if a judge decides."""
    if exercise.reference is None:
        return [ANYTHING] * result.call.ranks
    found = exercise.reference(result.call.ranks, result.call.arguments)
    if len(found) != result.call.ranks:
        raise ConfigError(f"{exercise.name}: the reference returns {len(found)} results for "
                          f"{result.call.ranks} ranks; return one for each")
    return found


def of_error(rank: int | None, error: dict[str, Any], result: CallResult) -> Diagnosis:
    """An error of one rank, in a line: who, what, where."""
    who = f"rank {rank}: " if rank is not None and result.call.ranks > 1 else ""
    where = f" at {error['where']}" if error["where"] and error["where"] not in error["text"] else ""
    text = " ".join(members_only(str(error["text"]), result.call.ranks).split())
    text = re.sub(r"^rank \d+ of \d+( in world)?: ", "", text)
    text = ONLY_RANK.sub("but the call runs on 1 rank, rank 0", text)
    line = f": {error['line']}" if error["line"] and error["kind"] in ("exception", "memory") else ""
    return Diagnosis(f"{who}{text}{where}{line}", advice_on(error["kind"], text))


def advice_on(kind: str, text: str) -> str:
    """The next step after an error."""
    return next((advice for words, advice in HINTS.items() if words in text), ADVICE.get(kind, ""))


def members_only(text: str, ranks: int) -> str:
    """A wait graph without what is ours: ranks that take no part, as under mpirun with more ranks than the
    call needs; the barrier between two calls; the grader's own lines.
    """
    parts = [part for part in text.split("; ")
             if not (found := re.match(r"rank (\d+) ", part)) or int(found[1]) < ranks]
    parts = [re.sub(rf" is in barrier '{NEXT_CALL}'.*", " has finished", part) for part in parts]
    return re.sub(r" at (broker|worker|worker_process|rank_requests)\.py:\d+", "", "; ".join(parts))

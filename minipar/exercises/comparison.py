"""Computes the lights (checks) "values" and "gradients".

Both compare the results of the student's function with the results of the reference. If the exercise has a
judge function instead of a reference, that function judges the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minipar.exercises.cost import of_rank
from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf, equal, leaves, misfit
from minipar.exercises.exercise import Exercise, RankArguments
from minipar.exercises.light import Light, off
from minipar.exercises.outcome import is_first_case, outputs, wanted
from minipar.exercises.patterns import VAGUE, advice_on_prediction, anything_else, wrong_values
from minipar.exercises.tasks import CallResult
from minipar.exercises.words import listed, part

# Numbers of ranks; the diagnosis uses the first of them that fails. 3 and 4 come before 2: with 2 ranks, a
# result that is 2 times too large has two explanations, a factor of 2 and a factor of the number of ranks.
# And with 2 ranks, the sum over a row of 2 ranks is the sum over all ranks.
TELLING = (1, 3, 4, 2, 5)
RULES = "print what the function returns for this case, and compare it with the rules of the task"
SILENT = "no rank sends a message: which numbers does each rank need from the others?"
ONLY_ONE_RANK = ("the result is wrong only with 1 rank: there is no other rank, and no message is needed. "
                 "How often does each loop run then?")


def compared(exercise: Exercise, results: Sequence[CallResult], name: str, broken: set[int]) -> Light:
    """Return the light `name`, which is "values" or "gradients". results: the results of the completed calls.
    broken: the numbers of ranks with which a call did not complete.
    """
    seen, failed = 0, []
    for result in results:
        finding, count = wrong_in(exercise, result, name)
        seen += count
        if finding is not None:
            failed.append((result, finding))
    if not failed:
        return Light(name, "on" if seen else "none" if name == "gradients" or results else "dark")
    result, finding = min(
        failed,
        key=lambda one: (
            TELLING.index(min(one[0].call.ranks, 5)) + 10 * (not is_first_case(exercise, one[0]))
        ),
    )
    if {one.call.ranks for one, _ in failed} == {1} and len({one.call.ranks for one in results}) > 1:
        finding = finding._replace(advice=ONLY_ONE_RANK)
    elif finding.advice in VAGUE and silent(exercise, result):
        finding = finding._replace(advice=SILENT)
    return off(
        name, finding, result.call.described() + only_there(results, [result for result, _ in failed], broken)
    )


def silent(exercise: Exercise, result: CallResult) -> bool:
    """Return True if no rank has sent a message, although a good solution sends messages."""
    ranks = range(result.call.ranks)
    if exercise.par is None or any(one.messages for one in result.ranks if one is not None):
        return False
    par = exercise.par(result.call.ranks, result.call.arguments)
    limits = [of_rank(most, rank) for most in (par.messages, par.bytes) for rank in ranks]
    return bool(par.seconds) or any(limits)


def wrong_in(exercise: Exercise, result: CallResult, name: str) -> tuple[Diagnosis | None, int]:
    """Return the error of one result, or None, and the number of arrays that the light compares."""
    gradients = name == "gradients"
    arguments, got, size = result.call.arguments, outputs(result), result.call.ranks
    if not gradients and not exercise.changes_inputs:
        for rank, one in enumerate(result.ranks):
            if one is not None and one.changed:
                return changed_argument(exercise.parameters, arguments[rank], rank, size, one.changed[0]), 1
    if exercise.judge is not None:
        return (None, 0) if gradients else (_judged(_asked(exercise.judge, size, arguments, got)), 1)
    want = wanted(exercise, result)
    pairs = [(leaves(one), leaves(other)) for one, other in zip(want, got, strict=True)]
    names = [one for one in pairs[0][0] if one.startswith("grad") == gradients]
    for rank, (known, found) in enumerate(pairs):
        known, found = of_light(known, gradients), of_light(found, gradients)
        if names and (finding := misfit(known, found, rank, size)):
            whole = known.keys() != found.keys() and misfit(want[rank], got[rank], rank, size)
            return whole or finding, len(names)
    for name in names:
        leaf = Leaf(
            name,
            size,
            arguments,
            [np.asarray(one[name]) for one, _ in pairs],
            [np.asarray(other.get(name)) for _, other in pairs],
            exercise.tolerance,
            exercise.parameters,
        )
        if leaf.wrong:
            own = _judged(known_mistake(exercise, result, pairs, names))
            own = own or mispredicted(exercise, leaf) or exchanged(leaf, pairs, names)
            return own or with_next_step(wrong_values(leaf), exercise, name), len(names)
        if exercise.same_bits and (finding := other_bits(leaf)):
            return finding, len(names)
    return None, len(names)


def changed_argument(parameters: Sequence[str], arguments: RankArguments, rank: int, ranks: int,
                     number: int) -> Diagnosis:
    """Return the diagnosis that a rank has changed its argument `number`. ranks: the number of ranks."""
    name = parameters[number] if number < len(parameters) else "x"
    which = f"argument {name}" if number < len(parameters) else "argument that it was given"
    kind = type(arguments[number]) if number < len(arguments) else np.ndarray
    if kind in (list, dict):
        changes, copy = "append, insert, pop, sort and [i] = change", f"{kind.__name__}({name})"
    else:
        changes, copy = f"`{name} += y`, `{name}[i] = y` and a receive into {name} change", f"{name}.copy()"
    who = f"rank {rank}" if ranks > 1 else "the function"
    return Diagnosis(
        f"{who} has changed the {which}",
        f"{changes} {name} itself; `y = {name}` only gives it a second name: work on a copy, {copy}",
    )


def with_next_step(finding: Diagnosis, exercise: Exercise, name: str) -> Diagnosis:
    """Replace a vague next step by the one that the exercise has for this part of the result, if any."""
    own = exercise.next_steps.get(name, "") if finding.advice in VAGUE else ""
    return finding._replace(advice=own) if own else finding


def other_bits(leaf: Leaf) -> Diagnosis | None:
    """Return a diagnosis if the ranks' results are right within the tolerance, but differ in their last bits.
    """
    for rank, got in enumerate(leaf.got):
        for first in map(tuple, np.argwhere(got != leaf.got[0])):
            both = f"{float(leaf.got[0][first])} on rank 0 and {float(got[first])} on rank {rank}"
            where = f"[{', '.join(map(str, first))}]"
            return Diagnosis(f"the ranks return different bits: element {where} is {both}",
                             "in which order does each rank add? all ranks need the same order")
    return None


WantedAndGot = list[tuple[dict[str, Any], dict[str, Any]]]       # (wanted, got) of each rank, by name


def known_mistake(exercise: Exercise, result: CallResult, pairs: WantedAndGot, names: Sequence[str]) -> str:
    """Return the diagnosis of a known mistake if the results equal the results of this mistake, else "".

    names: the parts that the light compares. If a mistake makes another part wrong, which is right in the
    results, then the results do not have this mistake.
    """
    for text, mistaken in exercise.mistakes.items():
        with np.errstate(all="ignore"):
            wrong = [leaves(one) for one in mistaken(result.call.ranks, result.call.arguments)]
        rows = [(want, got, one) for (want, got), one in zip(pairs, wrong, strict=True)]
        fits = all(_same(got, one, name) for _, got, one in rows for name in names)
        differs = any(not _same(want, one, name, exercise.tolerance)
                      for want, _, one in rows for name in names)
        if fits and differs and not any(_same(want, got, name) and not _same(want, one, name)
                            for want, got, one in rows for name in want):
            return text
    return ""


def _same(one: dict[str, Any], other: dict[str, Any], name: str, tolerance: float = CLEAN) -> bool:
    """Return True if the part `name` is the same in two results, within the tolerance."""
    return name in other and equal(np.asarray(one[name]), np.asarray(other[name]), tolerance)


def exchanged(leaf: Leaf, pairs: WantedAndGot, names: Sequence[str]) -> Diagnosis | None:
    """Return a diagnosis if this part of the result equals the wanted value of another part, else None.

    Single whole numbers, such as counts, are often equal by chance. So they must be exchanged both ways.
    """
    by_chance = all(want.size == 1 and want.dtype.kind in "iuf" and float(want.flat[0]).is_integer()
                    for want in leaf.wanted)
    for other in names:
        values = [np.asarray(want[other]) for want, _ in pairs]
        differ = not all(equal(one, want, CLEAN) for one, want in zip(values, leaf.wanted, strict=True))
        if by_chance and not all(_same({other: want[leaf.name]}, got, other) for want, got in pairs):
            continue
        if values[0].dtype.kind in "iuf" and differ and leaf.matches(values):
            return Diagnosis(f"the {part(leaf.name)} is what the {part(other)} should be",
                             "are the two exchanged, or computed in the same way?")
    return None


def mispredicted(exercise: Exercise, leaf: Leaf) -> Diagnosis | None:
    """Return the diagnosis of a wrong prediction, or None if the exercise asks for no prediction."""
    if exercise.kind != "predict":
        return None
    return Diagnosis(f"{leaf.name} {anything_else(leaf).text}", advice_on_prediction(leaf))


def of_light(parts: dict[str, Any], gradients: bool) -> dict[str, Any]:
    return {name: one for name, one in parts.items() if name.startswith("grad") == gradients}


def _asked(judge: Callable[[int, list[RankArguments], list[Any]], str], size: int,
           arguments: list[RankArguments], got: list[Any]) -> str:
    """Return the text of the judge function, "" if the result is right. A submission may return any object.
    So if the judge function raises an exception, the result counts as wrong.
    """
    try:
        return judge(size, arguments, got)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        return f"the result is not of the form that the task asks for ({type(error).__name__}: {error})"


def _judged(text: str) -> Diagnosis | None:
    line, _, advice = text.partition("\n")
    return Diagnosis(line, advice or RULES) if text else None


def only_there(results: Sequence[CallResult], failed: Sequence[CallResult], broken: set[int]) -> str:
    """If only one case fails, return a text that names it. Otherwise, return a text that names the numbers of
    ranks for which all results are right. Return "" if there is nothing to say.
    """
    sizes, bad = {r.call.ranks for r in results}, {r.call.ranks for r in failed} | broken
    cases, bad_cases = {r.call.case for r in results}, {r.call.case for r in failed}
    if not broken and bad_cases < cases and len(bad_cases) == 1 and len(cases) > 1:
        return f"; the other cases are right, only '{next(iter(bad_cases))}' is wrong"
    if bad < sizes:
        good = sorted(sizes - bad)
        powers = " (does the code need a power of two?)" if good == [1, 2, 4] else ""
        return f"; right on {listed(good)} rank{'s' * (good != [1])}{powers}" if bad else ""
    return ""

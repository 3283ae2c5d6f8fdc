"""The verdict: five lights, from what came of the calls.

A light is "on", "off" (with a diagnosis and the next step), "dark" (not judged, since an earlier one is off),
or "none" (this exercise does not have it). What a program costs, and that it does not deadlock, is worth
something only where its results are right: a function that does nothing sends no message and never waits.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from minipar.errors import ConfigError
from minipar.exercises.diagnose import Diagnosis, Leaf, leaves, misfit, wrong_values
from minipar.exercises.exercise import LIGHTS, Arguments, Exercise
from minipar.exercises.forbid import forbidden
from minipar.exercises.tasks import CallResult

WAITING = ("stuck", "left")  # kinds of errors that are of the last light


@dataclass(frozen=True)
class Light:
    """name: of LIGHTS. state: "on", "off", "dark" or "none". where: on how many ranks and in which case it
    failed.
    """

    name: str
    state: str
    diagnosis: str = ""
    advice: str = ""
    where: str = ""


@dataclass(frozen=True)
class Verdict:
    """The lights of one submission, on one engine."""

    lights: tuple[Light, ...]

    @property
    def passed(self) -> bool:
        return all(light.state in ("on", "none") for light in self.lights)

    @property
    def score(self) -> Fraction:
        """The part of the exercise's lights that are on."""
        known = [light for light in self.lights if light.state != "none"]
        return Fraction(sum(light.state == "on" for light in known), len(known))

    def light(self, name: str) -> Light:
        return next(light for light in self.lights if light.name == name)

    @property
    def first_off(self) -> Light | None:
        return next((light for light in self.lights if light.state == "off"), None)


def before_running(exercise: Exercise, source: str) -> Diagnosis | None:
    """What the source alone says: it is the stub, or uses what is forbidden."""
    if name := forbidden(source, exercise.forbids):
        return Diagnosis(f"uses {name}, which this exercise forbids", "write this step yourself")
    if exercise.kind == "find" and same(source, exercise.text("stub.py")):
        return Diagnosis(
            "is still the program with the bug",
            "run it by hand with small numbers, or read the diagnoses below; then mend one line",
        )
    return None


def same(one: str, other: str) -> bool:
    """Whether two sources differ at most in comments and spaces."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return one == other


def verdict(exercise: Exercise, source: str, results: Sequence[CallResult]) -> Verdict:
    """The five lights. results: of the calls that came to their end, in their order."""
    found = {"runs": runs(exercise, source, results)}
    right = [result for result in results if result.call.plain and complete(result)]
    as_given = exercise.kind == "find" and same(source, exercise.text("stub.py"))
    if found["runs"].state == "off" and not as_given:
        found |= {name: Light(name, "dark") for name in ("values", "gradients")}
    else:
        found |= {name: compared(exercise, right, name) for name in ("values", "gradients")}
        if any(result.call.plain and not complete(result) for result in results):
            found = {
                name: replace(light, state="dark") if light.state == "on" and name != "runs" else light
                for name, light in found.items()
            }
    is_right = all(light.state in ("on", "none") for light in found.values())
    found["cost"] = cost(exercise, right) if is_right else Light("cost", "dark")
    found["no deadlock"] = no_deadlock(exercise, results, is_right)
    if as_given:  # its diagnoses are shown, but it earns nothing
        found = {
            name: replace(light, state="dark") if light.state == "on" else light
            for name, light in found.items()
        }
    return Verdict(tuple(found[name] for name in LIGHTS))


def complete(result: CallResult) -> bool:
    return result.error is None and all(rank is not None and rank.error is None for rank in result.ranks)


def runs(exercise: Exercise, source: str, results: Sequence[CallResult]) -> Light:
    if finding := before_running(exercise, source):
        return off("runs", finding, "")
    if not results:
        return off("runs", Diagnosis("nothing came back"), "")
    for result in results:
        for rank, error in result.errors():
            if error["kind"] not in WAITING and (result.call.plain or error["kind"] in ("died", "time")):
                return off("runs", of_error(rank, error, result), result.call.described())
        if not (result.call.plain and complete(result) and is_first_case(exercise, result)):
            continue
        for rank, (got, want) in enumerate(zip(outputs(result), wanted(exercise, result), strict=True)):
            if want is not ANYTHING and (finding := misfit(want, got, rank)):
                return off("runs", finding, result.call.described())
    return Light("runs", "on")


def is_first_case(exercise: Exercise, result: CallResult) -> bool:
    """Its shapes decide the first light; a shape that is wrong in a ragged case alone is a wrong value."""
    return result.call.case == next(iter(exercise.cases))


def of_error(rank: int | None, error: dict[str, Any], result: CallResult) -> Diagnosis:
    """An error of one rank, in a line: who, what, where."""
    who = f"rank {rank}: " if rank is not None and result.call.ranks > 1 else ""
    where = f" at {error['where']}" if error["where"] and error["where"] not in error["text"] else ""
    text = " ".join(members_only(str(error["text"]), result.call.ranks).split())
    text = re.sub(r"^rank \d+ of \d+( in world)?: ", "", text) if who else text
    line = f": {error['line']}" if error["line"] and error["kind"] in ("exception", "memory") else ""
    return Diagnosis(f"{who}{text}{where}{line}", ADVICE.get(error["kind"], ""))


ADVICE = {
    "stub": "write the function; `minipar exercise hint` gives a first idea",
    "refused": "see what the task allows",
    "memory": "does an array grow with every step?",
    "comm": "compare what each rank sends with what its partner receives: shape, dtype, tag",
    "stuck": "draw who waits for whom: each send needs its receive, and not all ranks may send first",
    "left": "each send needs a receive, and each request a wait",
    "time": "is there a loop without an end?",
    "died": "an exercise must return",
    "exit": "return a value; do not call sys.exit",
}


def members_only(text: str, ranks: int) -> str:
    """A wait graph without the ranks that take no part, as under mpirun with more ranks than the call
    needs.
    """
    kept = [
        part
        for part in text.split("; ")
        if not (found := re.match(r"rank (\d+) ", part)) or int(found[1]) < ranks
    ]
    return re.sub(r" at (broker|worker_process|rank_requests)\.py:\d+", "", "; ".join(kept))


TELLING = (1, 3, 2, 4, 5)  # 3 before 2: with 2 ranks, "twice" and "p times" are one
ANYTHING = object()  # what a judge decides about


def wanted(exercise: Exercise, result: CallResult) -> list[Any]:
    """What each rank must return; ANYTHING where a judge decides."""
    if exercise.reference is None:
        return [ANYTHING] * result.call.ranks
    found = exercise.reference(result.call.ranks, result.call.arguments)
    if len(found) != result.call.ranks:
        raise ConfigError(f"{exercise.name}: the reference returns {len(found)} results for "
                          f"{result.call.ranks} ranks; return one for each")
    return found


def outputs(result: CallResult) -> list[Any]:
    return [rank.outputs for rank in result.ranks if rank is not None]


def off(name: str, finding: Diagnosis, where: str) -> Light:
    return Light(name, "off", finding.text, finding.advice, where)


def compared(exercise: Exercise, results: Sequence[CallResult], name: str) -> Light:
    """The light of the values, or of the gradients."""
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
    return off(
        name, finding, result.call.described() + only_there(results, [result for result, _ in failed])
    )


def wrong_in(exercise: Exercise, result: CallResult, name: str) -> tuple[Diagnosis | None, int]:
    """(what is wrong, how many parts of the results this light has)."""
    gradients = name == "gradients"
    arguments, got, size = result.call.arguments, outputs(result), result.call.ranks
    if not gradients and not exercise.changes_inputs:
        for rank, one in enumerate(result.ranks):
            if one is not None and one.changed:
                return Diagnosis(
                    f"rank {rank} has changed the argument that it was given",
                    "work on a copy: x = x.copy()",
                ), 1
    if exercise.judge is not None:
        return (None, 0) if gradients else (_judged(_asked(exercise.judge, size, arguments, got)), 1)
    want = wanted(exercise, result)
    pairs = [(leaves(one), leaves(other)) for one, other in zip(want, got, strict=True)]
    names = [part for part in pairs[0][0] if part.startswith("grad") == gradients]
    for rank, (known, found) in enumerate(pairs):
        if names and (finding := misfit(of_light(known, gradients), of_light(found, gradients), rank)):
            return finding, len(names)
    for part in names:
        leaf = Leaf(
            part,
            size,
            arguments,
            [np.asarray(one[part]) for one, _ in pairs],
            [np.asarray(other.get(part)) for _, other in pairs],
            exercise.tolerance,
        )
        if leaf.wrong:
            own = exercise.diagnose(size, arguments, want, got) if exercise.diagnose else ""
            return (_judged(own) if own else wrong_values(leaf)), len(names)
    return None, len(names)


def of_light(parts: dict[str, Any], gradients: bool) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if name.startswith("grad") == gradients}


def _asked(judge: Callable[[int, list[Arguments], list[Any]], str], size: int, arguments: list[Arguments],
           got: list[Any]) -> str:
    """What a judge says. Results may be anything; a judge that cannot read them has its answer."""
    try:
        return judge(size, arguments, got)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        return f"the result is not of the form that the task asks for ({type(error).__name__}: {error})"


def _judged(text: str) -> Diagnosis | None:
    line, _, advice = text.partition("\n")
    return Diagnosis(line, advice) if text else None


def only_there(results: Sequence[CallResult], failed: Sequence[CallResult]) -> str:
    """What the calls that failed have in common, and the others have not."""
    sizes, bad = {r.call.ranks for r in results}, {r.call.ranks for r in failed}
    cases, bad_cases = {r.call.case for r in results}, {r.call.case for r in failed}
    if bad_cases < cases and len(bad_cases) == 1 and len(cases) > 1:
        return f"; the other cases are right, only '{next(iter(bad_cases))}' is wrong"
    if bad < sizes:
        good = sorted(sizes - bad)
        powers = " (is it a power of two that it needs?)" if good == [1, 2, 4] else ""
        return f"; right on {listed(good)} rank{'s' * (good != [1])}{powers}" if bad else ""
    return ""


def listed(numbers: Sequence[int]) -> str:
    """ "1, 2 and 4"."""
    return " and ".join(part for part in (", ".join(map(str, numbers[:-1])), str(numbers[-1])) if part)


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


def no_deadlock(exercise: Exercise, results: Sequence[CallResult], is_right: bool) -> Light:
    """is_right: whether the other calls' results are right; otherwise only ranks that wait in vain count."""
    if not exercise.comm or max(exercise.ranks) == 1:
        return Light("no deadlock", "none")
    tried = [result for result in results if not result.call.plain]
    for result in results:
        for rank, error in result.errors():
            if error["kind"] in WAITING or (is_right and not result.call.plain):
                return off("no deadlock", of_error(rank, error, result), result.call.described())
        if is_right and not result.call.plain and complete(result) and differs(exercise, result):
            return off(
                "no deadlock",
                Diagnosis(
                    "the result depends on the order in which messages arrive",
                    "does a receive take whatever comes first?",
                ),
                result.call.described(),
            )
    return Light("no deadlock", "on" if tried and is_right else "dark")


def differs(exercise: Exercise, result: CallResult) -> bool:
    """Whether results that are right otherwise are wrong here."""
    return (wrong_in(exercise, result, "values")[0] is not None
            or wrong_in(exercise, result, "gradients")[0] is not None)

"""Computes the verdict, which has five lights (checks), from the results of the calls.

The lights "cost" and "no deadlock" can be on only if the results are right. Otherwise a function that does
nothing would pass them: it sends no message and never waits.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from minipar.exercises.comparison import compared, wrong_in
from minipar.exercises.cost import cost
from minipar.exercises.diagnose import Diagnosis, misfit
from minipar.exercises.exercise import LIGHTS, Exercise
from minipar.exercises.forbid import forbidden, missing, too_deep
from minipar.exercises.light import Light, Verdict, off
from minipar.exercises.outcome import ANYTHING, complete, is_first_case, of_error, outputs, wanted
from minipar.exercises.slips import first_slip
from minipar.exercises.tasks import CallResult

WAITING = ("stuck", "left")  # kinds of errors that belong to the light "no deadlock"


def before_running(exercise: Exercise, source: str) -> Diagnosis | None:
    """Return an error if the source cannot be parsed, uses a forbidden name, or is the unchanged program with
    the bug. Otherwise return None.
    """
    if too_deep(source):
        return Diagnosis("expressions are nested too deeply", "write long expressions in several lines")
    if name := forbidden(source, exercise.forbids):
        return Diagnosis(f"the file uses {name}, which this exercise forbids", "write this step yourself")
    if exercise.kind == "find" and same(source, exercise.text("stub.py")):
        return Diagnosis(
            "the file is still the program with the bug",
            "read the diagnoses below. Then fix the line, or write the line and the reason into "
            f"{exercise.name}.answer.txt",
        )
    return None


def same(one: str, other: str) -> bool:
    """Return True if two sources differ only in comments and spaces."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return one == other


def verdict(exercise: Exercise, source: str, results: Sequence[CallResult]) -> Verdict:
    """Return the verdict. results: the results of the calls that ended, in the order of the calls."""
    found = {"runs": runs(exercise, source, results)}
    right = [result for result in results if result.call.plain and complete(result)]
    as_given = exercise.kind == "find" and same(source, exercise.text("stub.py"))
    if found["runs"].state == "off" and not as_given:
        found |= {name: Light(name, "dark") for name in ("values", "gradients")}
    else:
        broken = {result.call.ranks for result in results if result.call.plain and not complete(result)}
        found |= {name: compared(exercise, right, name, broken) for name in ("values", "gradients")}
        if broken:
            found = {
                name: replace(light, state="dark") if light.state == "on" and name != "runs" else light
                for name, light in found.items()
            }
    is_right = all(light.state in ("on", "none") for light in found.values())
    found["cost"] = cost(exercise, right) if is_right else Light("cost", "dark")
    found["no deadlock"] = no_deadlock(exercise, results, is_right)
    if as_given:  # an unchanged program gets diagnoses, but a score of 0
        found = {
            name: replace(light, state="dark") if light.state == "on" else light
            for name, light in found.items()
        }
    return Verdict(with_slip(tuple(found[name] for name in LIGHTS), source))


def with_slip(lights: tuple[Light, ...], source: str) -> tuple[Light, ...]:
    """Add the first slip of the source to the next step of the first light that is off."""
    slip = first_slip(source)
    number = next((number for number, light in enumerate(lights) if light.state == "off"), None)
    if not slip or number is None:
        return lights
    light = lights[number]
    advice = f"{slip} (if this is not the cause: {light.advice})" if light.advice else slip
    return (*lights[:number], replace(light, advice=advice), *lights[number + 1:])


def runs(exercise: Exercise, source: str, results: Sequence[CallResult]) -> Light:
    if finding := before_running(exercise, source):
        return off("runs", finding, "")
    if not results:
        return off("runs", Diagnosis("no rank has returned a result"), "")
    for result in results:
        for rank, error in result.errors():
            if error["kind"] not in WAITING and (result.call.plain or error["kind"] in ("died", "time")):
                return off("runs", of_error(rank, error, result), result.call.described())
        if not (result.call.plain and complete(result) and is_first_case(exercise, result)):
            continue
        for rank, (got, want) in enumerate(zip(outputs(result), wanted(exercise, result), strict=True)):
            if want is not ANYTHING and (finding := misfit(want, got, rank, result.call.ranks)):
                return off("runs", finding, result.call.described())
    if name := missing(source, exercise.requires):
        return off("runs", Diagnosis(f"does not use {name}", f"the task asks for {name}"), "")
    return Light("runs", "on")


def no_deadlock(exercise: Exercise, results: Sequence[CallResult], is_right: bool) -> Light:
    """Return the light "no deadlock". is_right: true if all other lights except cost are on. If it is false,
    only deadlocks are reported.
    """
    if not exercise.comm or max(exercise.ranks) == 1:
        return Light("no deadlock", "none")
    tried = [result for result in results if not result.call.plain]
    # On 1 rank, a rank waits for itself; a cycle of several ranks explains more. So 1 rank comes last.
    for result in sorted(results, key=lambda one: (not one.call.plain, one.call.ranks == 1)):
        for rank, error in result.errors():
            if error["kind"] in WAITING or (is_right and not result.call.plain):
                return off("no deadlock", of_error(rank, error, result), result.call.described())
        if is_right and not result.call.plain and complete(result) and differs(exercise, result):
            return off(
                "no deadlock",
                Diagnosis(
                    "the result depends on the order in which messages arrive",
                    "does a receive take the message of any rank? in which order may these messages arrive?",
                ),
                result.call.described(),
            )
    return Light("no deadlock", "on" if tried and is_right else "dark")


def differs(exercise: Exercise, result: CallResult) -> bool:
    """Return True if the values or gradients of this call are wrong."""
    return (
        wrong_in(exercise, result, "values")[0] is not None
        or wrong_in(exercise, result, "gradients")[0] is not None
    )

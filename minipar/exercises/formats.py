"""Writes grades as JSON, JUnit, CSV, GitHub Classroom's result, or Gradescope's results.json."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from minipar.exercises.grade import Grade
from minipar.exercises.light import Light

POINTS = 100                                                        # points if all lights are on


def as_json(grades: Sequence[Grade]) -> str:
    """Return a JSON list with one object per submission. Its key `lights` holds the state and the diagnosis
    of each light (check).
    """
    return json.dumps([plain(grade) for grade in grades], indent=1) + "\n"


def plain(grade: Grade) -> dict[str, Any]:
    lights = {light.name: {"state": light.state, "diagnosis": light.diagnosis, "advice": light.advice,
                           "where": light.where} for light in grade.verdict.lights}
    return {"student": grade.student, "exercise": grade.exercise, "version": grade.version,
            "seed": grade.seed, "passed": grade.verdict.passed, "points": points(grade),
            "of": POINTS, "seconds": grade.seconds, "lights": lights}


def points(grade: Grade) -> float:
    return round(float(POINTS * grade.score), 2)


def as_csv(grades: Sequence[Grade]) -> str:
    """Return one row per submission. If a spreadsheet would read a text as a formula, a quote is put before
    the text.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [light.name for light in grades[0].verdict.lights]
    table.writerow(["student", "exercise", "version", "points", *names, "diagnosis"])
    for grade in grades:
        off = grade.verdict.first_off
        states = [light.state for light in grade.verdict.lights]
        table.writerow([no_formula(grade.student), grade.exercise, grade.version, points(grade), *states,
                        no_formula(off.diagnosis if off else "")])
    return text.getvalue()


def no_formula(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_junit(grades: Sequence[Grade]) -> str:
    """Return one test suite per submission, with one test per light."""
    root = ElementTree.Element("testsuites")
    for grade in grades:
        lights = judged(grade)
        name, states = f"{grade.student}.{grade.exercise}", [light.state for light in lights]
        suite = ElementTree.SubElement(root, "testsuite", name=printable(name), tests=str(len(lights)),
                                       failures=str(states.count("off")), skipped=str(states.count("dark")))
        for light in lights:
            case = ElementTree.SubElement(suite, "testcase", name=light.name, classname=printable(name))
            if light.state == "off":
                failure = ElementTree.SubElement(case, "failure", message=printable(light.diagnosis))
                failure.text = printable(said(light))
            elif light.state == "dark":
                ElementTree.SubElement(case, "skipped", message="not judged")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def as_classroom(grades: Sequence[Grade]) -> str:
    """Return GitHub Classroom's result: base64 of JSON with "version", "status", "max_score" and "tests"."""
    tests = [{"name": f"{grade.exercise}: {light.name}", "status": "pass" if light.state == "on" else "fail",
              "score": share(grade) if light.state == "on" else 0, "max_score": share(grade),
              "message": said(light), "filename": f"{grade.exercise}.py", "line_no": 0, "execution_time": 0}
             for grade in grades for light in judged(grade)]
    result = {"version": 3, "status": "pass" if all(grade.verdict.passed for grade in grades) else "fail",
              "max_score": POINTS * len(grades), "tests": tests}
    return base64.b64encode(json.dumps(result).encode()).decode() + "\n"


def as_gradescope(grades: Sequence[Grade]) -> str:
    """Return Gradescope's results.json for one student. The leaderboard lists the exercises with a virtual
    time.
    """
    tests = [{"name": f"{grade.exercise}: {light.name}", "score": share(grade) if light.state == "on" else 0,
              "max_score": share(grade), "status": "passed" if light.state == "on" else "failed",
              "output": said(light), "visibility": "visible"}
             for grade in grades for light in judged(grade)]
    board = [{"name": f"{grade.exercise}, virtual us", "value": round(1e6 * grade.seconds, 3), "order": "asc"}
             for grade in grades if grade.seconds is not None]
    return json.dumps({"score": round(sum(map(points, grades)), 2), "output_format": "text", "tests": tests,
                       "leaderboard": board}, indent=1) + "\n"


def judged(grade: Grade) -> list[Light]:
    """Return the lights of this exercise. An exercise need not have all five."""
    return [light for light in grade.verdict.lights if light.state != "none"]


def share(grade: Grade) -> float:
    """Return the points for one light."""
    return round(POINTS / len(judged(grade)), 2)


def said(light: Light) -> str:
    if light.state == "dark":
        return "not judged, since another light is off"
    where = f" ({light.where})" if light.where else ""
    return f"{light.diagnosis}{where}" + (f"\n{light.advice}" if light.advice else "")


def printable(text: str) -> str:
    """Return the text without the characters that XML does not allow."""
    return "".join(c for c in text if c in "\n\t" or (c.isprintable() and c not in "\ufffe\uffff"))


FORMATS = {"json": as_json, "junit": as_junit, "csv": as_csv, "classroom": as_classroom,
           "gradescope": as_gradescope}

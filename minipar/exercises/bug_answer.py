"""Judges the answer file of a find-the-bug exercise. The file names a line and a reason (see `bug.py`)."""

from __future__ import annotations

import re
from pathlib import Path

from minipar.errors import ConfigError
from minipar.exercises.bug import BugToFind, answer_path
from minipar.exercises.exercise import LIGHTS, Exercise
from minipar.exercises.light import Light, Verdict
from minipar.exercises.lights import same
from minipar.exercises.runner import Submission
from minipar.exercises.shown import shown
from minipar.untrusted.files import KIB
from minipar.untrusted.text import read_text

LARGEST = 64 * KIB                                                  # bytes of an answer file
ENTRY = re.compile(r"^[ \t]*(line|reason)[ \t]*[=:][ \t]*(.*?)[ \t]*$", re.M)


def of_answer(exercise: Exercise, submission: Submission) -> Verdict | None:
    """Return the verdict on the answer file of a find-the-bug exercise. Return None if there is no answer.
    Return None also if the student has changed the program, because then the program is graded. Raises
    ConfigError if the file cannot be read.
    """
    if exercise.bug is None or not same(submission.source, exercise.text("stub.py")):
        return None
    answer = read_answer(submission.path)
    return None if answer is None else judged(exercise.bug, submission.source, *answer)


def read_answer(program: Path) -> tuple[str, str] | None:
    """Return the texts (line, reason) of the answer file, or None if the file is missing or was not filled
    in. A missing entry is "". Both are "" if the student has written sentences only. Raises ConfigError if
    the file cannot be read.
    """
    path = answer_path(program)
    if not path.exists():
        return None
    text = read_text(path, LARGEST, ConfigError)
    found = dict(ENTRY.findall(text))
    line, reason = found.get("line", ""), found.get("reason", "").strip(" .()").lower()
    if letter := re.match(r"([a-h])[).:, ]", reason):               # "a) every rank sends" names reason a
        reason = letter[1]
    rest = ENTRY.sub("", text).splitlines()
    sentences = [row for row in rest if row.strip() and not row.lstrip().startswith("#")]
    return (line, reason) if line or reason or sentences else None


def judged(bug: BugToFind, source: str, line: str, reason: str) -> Verdict:
    """Return the verdict on an answer. The light (check) "values" is on if the answer is right. An answer
    that is not valid turns the light "runs" off. source: the text of the program.
    """
    lines = source.split("\n")
    if not re.fullmatch(r"\d{1,6}", line) or not 1 <= int(line) <= len(lines):
        said = f"`line` in the answer file is {line[:20]!r}" if line else "the answer names no line"
        return only("runs", said,
                    f"write `line = NUMBER`: a line of the program, from 1 to {len(lines)}")
    if reason not in bug.reasons:
        said = f"`reason` in the answer file is {reason[:20]!r}" if reason else "the answer names no reason"
        return only("runs", said,
                    f"write `reason = LETTER`: a letter from a to {max(bug.reasons)}")
    if not any(part in lines[int(line) - 1] for part in bug.lines):
        return only("values", f"the bug is not in line {line}: {lines[int(line) - 1].strip()[:60]}",
                    "check the program without an answer: the diagnosis shows what is wrong")
    if bug.reasons[reason] != bug.reason:
        return only("values", f"line {line} is right; the reason is not {reason}",
                    "follow this line by hand, with small numbers")
    return only("values", "", "", "on")


def only(name: str, diagnosis: str, advice: str, state: str = "off") -> Verdict:
    """Return a verdict in which only the light `name` counts. If that light is "runs", the light "values" is
    not judged.
    """
    others = {"values": "dark"} if name == "runs" else {}
    return Verdict(tuple(Light(one, state, shown(diagnosis), shown(advice)) if one == name
                         else Light(one, others.get(one, "none"))
                         for one in LIGHTS))

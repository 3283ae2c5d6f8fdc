"""Stores a student's progress in a file beside the exercises. The file is written completely or not at all.

exercises/progress.json
    {"current": "ring_shift",
     "exercises": {"ring_shift": {"state": "passed", "version": 1, "checks": 3, "hints": 1, ...}}}
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint.atomic import replacing
from minipar.errors import ConfigError
from minipar.exercises.diagnose import equal
from minipar.exercises.exercise import Exercise
from minipar.exercises.light import Verdict
from minipar.exercises.shown import shown
from minipar.untrusted.files import MIB
from minipar.untrusted.plain import parse_json
from minipar.untrusted.text import read_text

FILE = "progress.json"
LARGEST = MIB                                                       # bytes of progress.json
TOLERANCE = 1e-12                                                   # error of a right prediction, see `equal`


@dataclass
class ExerciseState:
    """The progress in one exercise. state: "started" or "passed". version: the version of the exercise that
    was passed. checks, hints: how many checks and hints the student has used. lights: name of a check ->
    state in the last check. best: the shortest virtual time so far, in seconds. prediction: the first
    complete answers to an exercise of predictions, and the number of right answers.
    """

    state: str = "started"
    version: int = 1
    checks: int = 0
    hints: int = 0
    lights: dict[str, str] = field(default_factory=dict)
    passed_at: str = ""
    best: float | None = None
    prediction: dict[str, Any] | None = None

    def valid(self) -> bool:
        """Return True if all types are right. The file may have been edited by hand."""
        counts = (self.version, self.checks, self.hints)
        kept = self.prediction
        return (self.state in ("started", "passed") and isinstance(self.passed_at, str)
                and all(type(count) is int and count >= 0 for count in counts)
                and isinstance(self.lights, dict)
                and (self.best is None or type(self.best) in (int, float))
                and (kept is None or (isinstance(kept, dict) and {"answers", "right", "of"} <= kept.keys())))


class StudentProgress:
    """The progress in one student's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.current = folder, ""
        self.entries: dict[str, ExerciseState] = {}
        path = folder / FILE
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        plain = parse_json(read_text(path, LARGEST, ConfigError).encode(), path, ConfigError)
        try:
            known = {one.name for one in fields(ExerciseState)}
            self.current = str(plain["current"])
            self.entries = {
                str(name): ExerciseState(**{key: value for key, value in entry.items() if key in known})
                for name, entry in plain["exercises"].items()
            }
            valid = all(entry.valid() for entry in self.entries.values())
        except (KeyError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise ConfigError(f"{path} is not a file of `minipar exercise`; your exercises are untouched: "
                              "move the file away, and check them again")

    def entry(self, name: str) -> ExerciseState:
        return self.entries.setdefault(name, ExerciseState())

    def state(self, exercise: Exercise) -> str:
        """Return "" (not started), "started", "passed", or "changed" (passed in an older version, which no
        longer counts).
        """
        entry = self.entries.get(exercise.name)
        if entry is None:
            return ""
        return "changed" if entry.state == "passed" and entry.version < exercise.version else entry.state

    def checked(self, exercise: Exercise, lights: Verdict, passed: bool) -> None:
        """Count a check, and store its verdict."""
        entry = self.entry(exercise.name)
        entry.checks += 1
        entry.lights = {light.name: light.state for light in lights.lights}
        if passed:
            entry.state, entry.version = "passed", exercise.version
            entry.passed_at = entry.passed_at or time.strftime("%Y-%m-%d %H:%M")

    def predicted(self, exercise: Exercise, answers: dict[str, Any], wanted: dict[str, Any]) -> bool:
        """Store the answers to an exercise of predictions if they are the first complete ones. Return True if
        so.
        """
        entry = self.entry(exercise.name)
        if entry.prediction is not None:
            return False
        right = [name for name, want in wanted.items()
                 if equal(np.asarray(answers[name]), np.asarray(want), TOLERANCE)]
        entry.prediction = {"answers": {name: shown(str(value)) for name, value in answers.items()},
                            "right": len(right), "of": len(wanted)}
        return True

    def timed(self, exercise: Exercise, seconds: float | None) -> bool:
        """Store the virtual time if it is the shortest so far. Return True if so."""
        entry = self.entry(exercise.name)
        if seconds is None or (entry.best is not None and entry.best <= seconds):
            return False
        entry.best = seconds
        return True

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {
            "current": self.current,
            "exercises": {name: asdict(entry) for name, entry in self.entries.items()},
        }
        with replacing(self.folder / FILE) as file:
            file.write((json.dumps(plain, indent=1) + "\n").encode())

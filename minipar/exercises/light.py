"""Defines a light, which is one of the five checks of a submission, and a verdict, which holds all five.

The state of a light is "on" (passed), "off" (failed; it then has a diagnosis and the next step), "dark" (not
judged, because an earlier light is off) or "none" (the exercise does not have this light).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.shown import shown


@dataclass(frozen=True)
class Light:
    """One check. name: one of LIGHTS. state: "on", "off", "dark" or "none". where: the number of ranks and
    the case with which the check failed.
    """

    name: str
    state: str
    diagnosis: str = ""
    advice: str = ""
    where: str = ""


@dataclass(frozen=True)
class Verdict:
    """The five lights of one submission, either on threads or under mpirun."""

    lights: tuple[Light, ...]

    @property
    def passed(self) -> bool:
        return all(light.state in ("on", "none") for light in self.lights)

    @property
    def score(self) -> Fraction:
        """Return the fraction of the exercise's lights that are on."""
        known = [light for light in self.lights if light.state != "none"]
        return Fraction(sum(light.state == "on" for light in known), len(known))

    def light(self, name: str) -> Light:
        return next(light for light in self.lights if light.name == name)

    @property
    def first_off(self) -> Light | None:
        return next((light for light in self.lights if light.state == "off"), None)


def off(name: str, finding: Diagnosis, where: str) -> Light:
    """Return a light that is off. The texts may come from a submission, so they are made safe to show."""
    return Light(name, "off", shown(finding.text), shown(finding.advice), shown(where))

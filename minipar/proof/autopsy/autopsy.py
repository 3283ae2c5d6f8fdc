"""Sorts the mutants (planted bugs) that explain given symptoms. The most likely mutant comes first."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.proof.autopsy.bugs import Bug, bugs
from minipar.proof.autopsy.symptoms import VARIES, Symptoms, close, meaning
from minipar.proof.case import Case, uneven_case

# FITS: the points for each symptom that the bug explains. CONTRADICTS: the points if the bug explains none of
# the wrong values, or not the ratio.
FITS, CONTRADICTS = 2, -3
# name of an option of `minipar verify` -> the config class that has a field of this name
OPTIONS = {"dp": Layout, "tp": Layout, "pp": Layout, "sequence_parallel": Layout, "pipeline": Layout,
           "gradients": Layout, "bucket_bytes": Layout, "dropout": ModelConfig, "micro_batches": TrainConfig,
           "layers": ModelConfig, "batch": TrainConfig, "context": ModelConfig, "vocabulary": ModelConfig,
           "hidden": ModelConfig, "heads": ModelConfig, "width": ModelConfig}


@dataclass(frozen=True)
class Suspect:
    """A bug that may be the cause. fits: the given symptoms that the bug explains. score: the likelihood of
    the bug in points; more is more likely.
    """

    bug: Bug
    score: int
    fits: tuple[str, ...]

    @property
    def command(self) -> str:
        """A command that plants the bug and shows the check that detects the bug."""
        return f"minipar verify {_options(self.bug.mutant.case)}--mutant {self.bug.mutant.name}"

    def as_dict(self) -> dict[str, Any]:
        mutant = self.bug.mutant
        return {"mutant": mutant.name, "story": mutant.story, "check": mutant.check, "fits": list(self.fits),
                "score": self.score, "command": self.command, "reports": list(self.bug.reports)}


def autopsy(symptoms: Symptoms) -> list[Suspect]:
    """Returns the bugs that are possible in the given layout and explain at least one symptom. The bugs with
    the highest score come first. If scores are equal, the bug with more public reports comes first. Raises
    ConfigError if there is no symptom.
    """
    if symptoms.ratio is None and not symptoms.which:
        raise ConfigError("there is no symptom; give --ratio, --which, or two files to compare")
    found = [suspect for bug in bugs() if (suspect := _suspect(bug, symptoms))]
    return sorted(found, key=lambda one: (-one.score, -len(one.bug.reports), one.bug.mutant.name))


def _suspect(bug: Bug, symptoms: Symptoms) -> Suspect | None:
    if any(symptoms.layout.get(axis) == 1 for axis in bug.needs):
        return None
    fits, score = [], 0
    if symptoms.which:
        common = bug.which & symptoms.which
        score += FITS * len(common) - len(symptoms.which - common) if common else CONTRADICTS
        fits += sorted(common)
    if symptoms.ratio is not None:
        found = _fitting_ratio(bug, symptoms)
        if not found and VARIES not in (*bug.ratios, symptoms.ratio):
            return None  # this bug never has the measured ratio
        score += FITS if found else CONTRADICTS
        fits += [f"ratio {found}"] if found else []
    return Suspect(bug, score, tuple(fits)) if fits and score > 0 else None


def _fitting_ratio(bug: Bug, symptoms: Symptoms) -> str:
    """Returns the first ratio of the bug that equals the given ratio, or "". If the layout does not give the
    size of an axis such as tp, every whole number can be the ratio "tp".
    """
    for ratio in bug.ratios:
        if VARIES in (ratio, symptoms.ratio):
            if ratio == symptoms.ratio:
                return ratio
            continue
        value = meaning(ratio, symptoms.layout)
        if value is None:
            whole = 1 / float(symptoms.ratio) if ratio.startswith("1/") and symptoms.ratio else symptoms.ratio
            if isinstance(whole, float) and whole > 1.5 and close(whole, round(whole)):
                return f"{ratio} for {ratio.removeprefix('1/')} = {round(whole)}"
        elif isinstance(symptoms.ratio, float) and close(value, symptoms.ratio):
            return ratio
    return ""


def _options(case: Case) -> str:
    """Returns the command-line options with which `minipar verify` runs this case. Options with their default
    value are left out.
    """
    usual = uneven_case(case.layout)
    text = ""
    for name, owner in OPTIONS.items():
        part = {Layout: "layout", ModelConfig: "model", TrainConfig: "train"}[owner]
        default = next(field.default for field in fields(owner) if field.name == name)
        before = default if owner is Layout else getattr(getattr(usual, part), name)
        value = getattr(getattr(case, part), name)
        if value != before:
            flag = "--" + name.replace("_", "-")
            text += f"{flag} " if value is True else f"{flag} {value} "
    return text + "--engine threads "

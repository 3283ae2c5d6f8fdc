"""Finds symptoms in two files: one file of a correct run, and one file of the run under inspection."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from minipar.checkpoint.gpt2 import read_arrays
from minipar.errors import CheckpointError, ConfigError, DataError
from minipar.proof.autopsy.symptoms import VARIES, close
from minipar.proof.clues import ratio
from minipar.proof.findings import difference
from minipar.training.run_folder import read_metrics
from minipar.untrusted.files import GIB

SAME = 1e-4  # values with a smaller relative difference count as equal
CLEAN = 2e-3                                                        # tolerance of a ratio in float32
MOST = 16 * GIB                                                     # largest file that is read
# Key of a metrics file -> symptom. The order is that of the computation in a step, since a wrong value can
# change only values that are computed after it.
METRICS = {"lr": "rate", "loss": "loss", "norm": "norm", "validation": "validation"}
# kind of parameter -> regular expression for its names in minipar and in GPT-2
KINDS = {
    "row-biases": r"(attention\.out|mlp\.down|attn\.c_proj|mlp\.c_proj)\.bias$",
    "norms": r"(norm\d?|ln_\w+)\.(weight|bias)$",
    "positions": r"(positions|wpe)\.weight$",
    "table": r"(tokens|wte|lm_head|head)\.weight$",
}
FoundSymptoms = tuple[frozenset[str], float | str | None, str]      # symptoms, ratio, description
MOST_RATIO = 4096  # largest ratio that counts as a number of ranks


def from_metrics(right: Path, wrong: Path) -> FoundSymptoms:
    """Finds the first difference between the metrics.jsonl files of two runs. Raises DataError if a file is
    missing, or if the files have no step in common.
    """
    for path in (right, wrong):
        if not path.is_file():
            raise DataError(f"there is no file {path}; give the metrics.jsonl of a run")
    lines = [{line["step"]: line for line in read_metrics(path)} for path in (right, wrong)]
    steps = sorted(lines[0].keys() & lines[1].keys())
    if not steps:
        raise DataError(f"{right} and {wrong} have no step in common")
    for number, step in enumerate(steps):
        for key, which in METRICS.items():
            one, other = lines[0][step].get(key), lines[1][step].get(key)
            if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
                continue
            said = f"{key} of step {step} is {other:.6g}, not {one:.6g}"
            if math.isfinite(one) and not math.isfinite(other):
                return frozenset({"not-finite"}), None, said
            if abs(one - other) > SAME * abs(one):
                if number and which in ("loss", "norm"):
                    return frozenset({"later"}), VARIES, said
                return frozenset({which}), _whole(one, other), said
    pairs = zip((right, wrong), lines, strict=True)
    more = [f"{path} has {len(own) - len(steps)} more" for path, own in pairs if len(own) > len(steps)]
    return frozenset(), None, "; ".join([f"no difference in {len(steps)} steps", *more])


def _whole(one: float, other: float) -> float | str:
    """Returns other / one, if this is a whole number, 1 divided by a whole number, or zero. Else returns
    VARIES: every number is a multiple of another one, so other ratios of two numbers show nothing.
    """
    factor = other / one if one else math.inf
    size = max(factor, 1 / factor) if factor > 0 else 0.0
    whole = factor == 0 or 1.5 < size < MOST_RATIO and close(size, round(size))
    return factor if whole else VARIES


def from_arrays(right: Path, wrong: Path, what: str) -> FoundSymptoms:
    """Finds the differences between two files of gradients, or two files of weights. what: the name of the
    arrays in the description, "gradients" or "weights". Raises CheckpointError if a file holds no named
    arrays, and ConfigError if the names differ.
    """
    one, other = (read_arrays(path, "f", MOST) for path in (right, wrong))
    if one.keys() != other.keys():
        lost = sorted(one.keys() ^ other.keys())[0]
        raise ConfigError(f"{right} and {wrong} hold different arrays: {lost} is only in one of them")
    for name in one:
        if one[name].shape != other[name].shape:
            raise ConfigError(f"{name} has shape {one[name].shape} in {right}, but {other[name].shape} in "
                              f"{wrong}; give the whole arrays, not shards, in the same order of axes")
    broken = [name for name in one if np.isfinite(one[name]).all() and not np.isfinite(other[name]).all()]
    if broken:
        return frozenset({"not-finite"}), None, f"{broken[0]} has NaN or infinite elements"
    bad = [name for name in one if difference(other[name], one[name])[1] > SAME]
    if not bad:
        return frozenset(), None, f"no difference in {len(one)} arrays"
    ratios = [ratio(other[name], one[name], CLEAN) for name in bad]
    factor: float | str = VARIES
    known = [value for value in ratios if value is not None]
    if len(known) == len(bad) and max(known) - min(known) <= CLEAN:
        factor = float(np.mean(known))
    if isinstance(factor, float) and abs(factor - 1) <= CLEAN:      # rounded: smaller errors count, too
        bad = [name for name in one if not np.array_equal(one[name], other[name])]
    which = _which(bad, one)
    return which, factor, f"{len(bad)} of {len(one)} {what} differ, such as {bad[0]}"


def _which(bad: Iterable[str], arrays: Mapping[str, np.ndarray]) -> frozenset[str]:
    bad = set(bad)
    if bad == set(arrays):
        return frozenset({"all"})
    found = set()
    for kind, pattern in KINDS.items():
        members = {name for name in bad if re.search(pattern, name)}
        if members:
            found.add(kind)
            bad -= members
    if not bad:
        return frozenset(found)
    return frozenset({"one-parameter"} if len(bad) == 1 and not found else found | {"some"})


def two_files(paths: Iterable[str]) -> tuple[Path, Path]:
    """Returns the two paths. Raises CheckpointError if one of the files is missing."""
    right, wrong = map(Path, paths)
    for path in (right, wrong):
        if not path.exists():
            raise CheckpointError(f"there is no file {path}")
    return right, wrong

"""Why is it wrong? In words, from what differs first and by what ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from minipar.verify.case import Case
from minipar.verify.clues import CLEAN
from minipar.verify.findings import Finding

ROW_BIASES = ("attention.out.bias", "mlp.down.bias")


def explain(case: Case, findings: Sequence[Finding], first: Mapping[str, str],
            ranks: Sequence[Mapping[str, Mapping[str, Any]]], losses: Sequence[float | None]) -> list[str]:
    """Sentences, the likeliest cause first; none for a case that is proven.

    first: the first wrong place of "forward" and of "backward", in the order of computing. ranks: every rank's `clues`.
    losses: every rank's ratio of its loss to the right one.
    """
    wrong = {finding.item: finding.place for finding in findings if not finding.proven}
    texts = []
    if "initial weights" in wrong:
        texts.append("ranks start from another model: a first value is drawn whole, by the parameter's name, and then cut")
    if "forward" in wrong:
        texts.append(f"forward goes wrong at: {first['forward']}")
    elif "loss" in wrong:
        texts.append("all activations are right, the loss is not" + _loss(case, losses))
    if "backward" in wrong and "forward" not in wrong:
        texts.append(f"backward, which begins at the loss, goes wrong at: {first['backward']}")
    if "gradients" in wrong and "forward" not in wrong:
        texts += _gradients(case, ranks)
    if "norm" in wrong and "gradients" not in wrong:
        texts.append("the gradients are right, their norm is not: each parameter counts once, a cut one by the sum of its parts")
    if "later gradients" in wrong and not wrong.keys() & {"forward", "backward", "gradients"}:
        texts.append("the first step's gradients are right, later ones are not: something is carried over from step to step")
    if not wrong.keys() & {"forward", "gradients", "later gradients"} and wrong.keys() & {"SGD weights", "AdamW weights"}:
        texts.append("all gradients are right, the weights are not: look at clipping, the optimiser and its state")
    if "replicas" in wrong:
        texts.append(f"replicas drift apart: {wrong['replicas']} differ")
    return texts


def _loss(case: Case, losses: Sequence[float | None]) -> str:
    known = [loss for loss in losses if loss is not None]
    if len(known) == len(losses) and case.layout.dp > 1 and math.isclose(sum(known), case.layout.tp, rel_tol=CLEAN):
        return ": the ranks of dp have parts of it that add up to it, so its sum over dp is missing"
    if known and len(set(round(loss, 6) for loss in known)) == 1:
        return f": it is {known[0]:.6g} times the right one{_meaning(case, known[0])}"
    return ""


def _gradients(case: Case, ranks: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """One sentence for each kind of wrong."""
    names = list(dict.fromkeys(name for found in ranks for name in found))
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(_kind(case, [found[name] for found in ranks if name in found]), []).append(name)
    texts = []
    for kind, members in kinds.items():
        only = " (only the row biases)" if all(name.endswith(ROW_BIASES) for name in names) else ""
        listed = ", ".join(members[:3]) + ", ..." * (len(members) > 3)
        texts.append(f"{len(members)} gradient{'s' * (len(members) > 1)}{only} {kind}: {listed}")
    return texts


def _kind(case: Case, found: Sequence[Mapping[str, Any]]) -> str:
    """found: the clues of one parameter on the ranks where it is wrong."""
    for axis in ("dp", "tp"):
        if all(axis in one["sums"] for one in found):
            return f"differ from rank to rank, and their sum over {axis} is right, so a reduce over {axis} is missing"
    ratios = [one["ratio"] for one in found]
    if None in ratios:
        return "are no multiple of the right ones"
    if max(ratios) - min(ratios) > CLEAN:
        return f"are off by another factor on each rank ({', '.join(f'{r:.4g}' for r in ratios[:4])}): ranks scale by numbers of their own"
    if abs(ratios[0]) <= CLEAN:
        return "never arrive: they are zero"
    return f"are {ratios[0]:.6g} times the right ones{_meaning(case, ratios[0])}"


def _meaning(case: Case, ratio: float) -> str:
    dp, tp, pieces = case.layout.dp, case.layout.tp, case.train.micro_batches
    known = [
        (dp, f"dp = {dp}: each rank divides by its own tokens, and the mean over dp is missing"),
        (1 / dp, f"1/dp for dp = {dp}: averaged twice, the loss divides by the tokens of the global batch already"),
        (pieces, f"as many as there are micro-batches ({pieces}): each of them divides by its own tokens"),
        (1 / pieces, f"1/{pieces} for {pieces} micro-batches: divided by their number on top"),
        (tp, f"tp = {tp}: summed over tp, though each rank has the whole"),
        (1 / tp, f"1/tp for tp = {tp}: each rank counts a share of it, and nobody adds them up"),
    ]
    meant = [text for value, text in known if value != 1 and math.isclose(value, ratio, rel_tol=CLEAN)]
    return ", " + "; or ".join(meant) if meant else ""

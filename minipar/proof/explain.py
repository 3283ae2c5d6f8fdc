"""Explains a failed proof in sentences. It uses the first wrong value and its ratio to the right value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minipar.plan.stages import Share, stages_of
from minipar.proof.case import Case
from minipar.proof.clues import CLEAN, NEARLY_RIGHT, Clue, Edge
from minipar.proof.findings import Finding
from minipar.proof.record import Location, layer_names

# Item -> its explanation, for items that are wrong while all earlier items are right.
LATER = {
    "logits": "training is right, but generation is wrong: look at the KV cache and the positions of new "
              "tokens",
    "tokens": "the logits are right, but the tokens chosen from them are wrong",
    "saved state": "training is right, but a checkpoint would hold other arrays: look at how shards and "
                   "optimiser states are gathered",
    "saved numbers": "training is right, but a checkpoint would hold other step numbers or another loss "
                     "scale",
    "loss scales": "the loss scale is wrong: all ranks must change it in the same way, once per step, and "
                   "all must skip a step if the gradient of one rank is not finite",
    "mixed losses": "training is right, but mixed precision is wrong: look at which values are rounded, and "
                    "where",
    "mixed gradients": "training is right, but mixed precision is wrong: the gradients must be divided by "
    "the loss scale before the step",
    "mixed norms": "training is right, but mixed precision is wrong: the gradients must be divided by the "
    "loss scale before the norm",
    "resume": "training is right, but a restored trainer continues differently: something is not saved, or "
    "not restored",
    "recomputed": "values are right, but backward does not recompute what --recompute selects",
    "feedback": "compressed gradients lose a part: the sum of sent values and residuals is not the gradient",
    "memory": "values are right, but the memory of a rank is wrong: weights, gradients, state or gathered "
    "weights have other sizes than in the memory ledger",
    "collectives": "an algorithm that these sizes do not use gives a wrong result",
    "derivatives": "the layout and the reference agree, but both have wrong gradients: look at the formulas "
    "of backward",
    "definitions": "the layout and the reference agree, but the code that both use differs from its "
    "definition",
}
ROW_BIASES = ("attention.out.bias", "mlp.down.bias")  # biases of row-parallel layers


@dataclass(frozen=True)
class Evidence:
    """Facts about a failure, collected from all ranks.

    edges         "forward" or "backward" -> the last right and the first wrong location; each can be None
    activations   "forward" or "backward" -> clues to the first wrong location, from the ranks that have it
    gradients     one dict per rank: name of a wrong gradient -> clue
    losses        one number per rank: its loss divided by the right loss, or None
    counting      the fraction of counted (not ignored) targets in the first global batch
    parameters    the number of parameters in the model

    clues.py defines what a clue is: for example the ratio of a wrong to the right array.
    """

    edges: dict[str, Edge]
    activations: dict[str, list[Clue]]
    gradients: list[dict[str, Clue]]
    losses: list[float | None]
    counting: float
    parameters: int


def explain(case: Case, findings: Sequence[Finding], evidence: Evidence) -> list[str]:
    """Returns the causes of a failure as sentences, in the order of the computation. It leaves out errors
    that follow from an earlier error.
    """
    wrong = {finding.item: finding.location for finding in findings if not finding.proven}
    texts = []
    if "initial weights" in wrong:
        texts.append(f"ranks start from another model ({wrong['initial weights']}): the layout determines "
                     "which parameters a rank has; initial values are drawn for the whole parameter, by its "
                     "name, and then sharded")
    elif "forward" in wrong:
        texts.append(f"forward {_edge(case, evidence, 'forward')}")
    else:
        texts += _after_forward(case, wrong, evidence)
    if not texts:
        texts += [text for item, text in LATER.items() if item in wrong][:1]
    if "replicas" in wrong:
        texts.append(f"replicas drift apart: {wrong['replicas']} differ")
    return texts


def _after_forward(case: Case, wrong: Mapping[str, str], evidence: Evidence) -> list[str]:
    texts = []
    if "loss" in wrong:
        texts.append("all activations are right, but the loss is wrong" + _loss(case, evidence))
    if "backward" in wrong:
        texts.append(f"backward, which begins at the loss, {_edge(case, evidence, 'backward')}")
    if "gradients" in wrong:
        texts += _gradients(case, evidence)
    elif "norm" in wrong:
        texts.append("the gradients are right, but their norm is wrong: each parameter of every stage must "
                     "count once. A sharded parameter counts as the sum over its shards, a tied table only "
                     "at one end of the pipeline")
    elif "rates" in wrong:
        texts.append("the gradients are right, but the learning rate is wrong: it must depend only on the "
                     "number of steps")
    elif "first update" in wrong:
        texts.append("the gradients are right, but the first update of the weights is wrong: look at the "
                     "rate and the optimiser")
    elif "later gradients" in wrong:
        texts.append("the first step is right, but later steps are wrong: a value is kept from the step "
                     "before, or does not change with the step")
    elif wrong.keys() & {"AdamW losses", "AdamW weights", "AdamW state"} and "loss" not in wrong:
        texts.append("SGD is right, but AdamW is wrong: look at clipping, weight decay and the optimiser's "
                     "state")
    elif "validation loss" in wrong and "loss" not in wrong:
        texts.append("training is right, but validation is wrong: look at how its batches are distributed "
                     "and summed")
    return texts


def _edge(case: Case, evidence: Evidence, item: str) -> str:
    before, first = evidence.edges[item]
    right = f"is right {before} and " if before else ""
    kind = _kind(case, evidence, evidence.activations[item])
    return f"{right}goes wrong {first}{_between(case, before, first)}: it is {kind}"


def _between(case: Case, before: Location | None, first: Location | None) -> str:
    """Returns ", behind the boundary of stages a and b" if the two locations are on different stages, else
    "".
    """
    layers = [layer_names(case.model, Share(False, tuple(layers), False))
              for layers in stages_of(case.model, case.layout).layers]
    found = [stage for at in (before, first) if at for stage, names in enumerate(layers) if at.name in names]
    return f", behind the boundary of stages {found[0]} and {found[1]}" if len(set(found)) == 2 else ""


def _loss(case: Case, evidence: Evidence) -> str:
    losses = evidence.losses
    known, layout = [loss for loss in losses if loss is not None], case.layout
    if (
        len(known) == len(losses)
        and layout.pp > 1
        and min(known) == 0
        and math.isclose(max(known), 1, rel_tol=CLEAN)
    ):
        return ": only ranks with the last stage have it, so its sum over pp is missing"
    if len(known) == len(losses) and layout.dp > 1 and math.isclose(sum(known), layout.tp * layout.pp,
                                                                    rel_tol=CLEAN):
        return ": its sum over the ranks of dp is right, so the sum over dp is missing"
    if known and max(known) - min(known) <= CLEAN:
        return f": it is {known[0]:.6g} times the right value{_meaning(case, evidence, known[0])}"
    return ", and differs from rank to rank"


def _gradients(case: Case, evidence: Evidence) -> list[str]:
    """Returns one sentence for each kind of error in the gradients."""
    ranks = evidence.gradients
    names = list(dict.fromkeys(name for found in ranks for name in found))
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(_kind(case, evidence, [found[name] for found in ranks if name in found]),
                         []).append(name)
    only = ""
    if all(name.endswith(ROW_BIASES) for name in names):
        only = ", only row biases, which are added once, after the sum over tp"
    elif names == ["tokens.weight"] and case.model.tied and case.layout.pp > 1:
        only = ", only the tied table, whose gradient is the sum over both ends of the pipeline, taken once"
    return [f"{len(members)} of {evidence.parameters} gradients{only} "
            f"({', '.join(members[:3])}{', ...' * (len(members) > 3)}): "
            f"{kind}" for kind, members in kinds.items()]


def _kind(case: Case, evidence: Evidence, clues: Sequence[Clue]) -> str:
    """Describes the error of one array. clues: the clues to this array, from the ranks where it is wrong."""
    if not all(clue["shape"] for clue in clues):
        return "of a wrong shape: samples, tokens or units are missing, or there is one too many"
    ratios = [clue["ratio"] for clue in clues]
    if None not in ratios and max(ratios) - min(ratios) <= CLEAN:
        return _multiple(case, evidence, ratios[0])
    for axis in ("dp", "tp", "pp"):
        if all(axis in clue["sums"] for clue in clues):
            return (
                f"a partial sum on each rank; its sum over {axis} is right: a reduce over {axis} is missing"
            )
    factors = ", ".join(f"{r:.4g}" for r in ratios[:4] if r is not None)
    if None not in ratios and all(math.isclose(clue["ratio"], clue["own"], rel_tol=CLEAN) for clue in clues):
        return f"{factors} times the right value: each rank divides by its own number of counted targets"
    if None not in ratios:
        return f"off by a different factor on each rank ({factors}): the ranks scale by different numbers"
    return "not a multiple of the right value"


def _multiple(case: Case, evidence: Evidence, ratio: float) -> str:
    if abs(ratio) <= CLEAN:
        return "zero: nothing arrives"
    if abs(ratio - 1) <= CLEAN:
        return NEARLY_RIGHT
    return f"{ratio:.6g} times the right value{_meaning(case, evidence, ratio)}"


def _meaning(case: Case, evidence: Evidence, ratio: float) -> str:
    dp, tp, pieces = case.layout.dp, case.layout.tp, case.train.micro_batches
    known = [
        (evidence.counting, "the fraction of counted targets: padding is counted, too"),
        (dp, f"dp = {dp}: each rank divides by its own tokens, and the mean over dp is missing"),
        (1 / dp, f"1/dp for dp = {dp}: averaged twice, because the loss already divides by the tokens of the "
                 "global batch"),
        (pieces, f"the number of micro-batches ({pieces}): each of them divides by its own tokens"),
        (1 / pieces, f"1/{pieces} for {pieces} micro-batches: divided by their number as well"),
        (tp, f"tp = {tp}: summed over ranks of tp that already have the whole"),
        (1 / tp, f"1/tp for tp = {tp}: each rank has one part, and the sum is missing"),
    ]
    meant = [text for value, text in known if value != 1 and math.isclose(value, ratio, rel_tol=CLEAN)]
    return ", " + "; or ".join(meant) if meant else ""

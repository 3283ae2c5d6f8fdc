"""Is it the same training? One process against a layout, and what is said about it. All ranks come to the same report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from minipar.comm.gathered import gathered
from minipar.comm.protocol import Communicator
from minipar.verify.bits import exact_items
from minipar.verify.case import RUNS, Case
from minipar.verify.clues import counting_part, gradient_clues, place_clue, ratio
from minipar.verify.explain import Evidence, explain
from minipar.verify.findings import Finding, difference, differences, over_ranks, tolerance
from minipar.verify.record import Record, Run, Seen, part_of, run_alone, run_rank
from minipar.verify.replicas import digests, fingerprint, replicas
from minipar.verify.traffic import Traffic, sent_by_rank, traffic_of


@dataclass(frozen=True)
class Report:
    """tolerance: relative to the largest element of an array. exact: items that must be equal in every bit. fingerprint: of the
    whole weights after the steps of SGD, so that two layouts can be compared in bits. explanations: why it is not proven, in
    words.
    """

    case: Case
    tolerance: float
    exact: tuple[str, ...]
    findings: list[Finding]
    traffic: list[Traffic]
    fingerprint: str
    explanations: list[str]

    @property
    def lights(self) -> list[str]:
        """What is wrong, in the order in which a mistake reaches it; none if the layout is proven."""
        findings = [one.item for one in self.findings if not one.proven]
        return findings + [f"traffic {one.axis}" for one in self.traffic if not one.proven]

    @property
    def proven(self) -> bool:
        return not self.lights

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"proven": self.proven, **asdict(self), "lights": self.lights}


def verify(world: Communicator, case: Case, reference: Mapping[str, Record] | None = None) -> Report:
    """Run the case on the ranks of `world` and hold it against one process. All ranks call it and return the same report.

    reference: `run_alone(case)`, to be given where the code is broken on purpose after it was made; made here by default.
    Raises what Trainer raises, for sizes that the layout cannot share out.
    """
    reference = reference or run_alone(case)
    runs = {name: run_rank(world, case, name) for name in RUNS}
    limit, exact = tolerance(case.train.dtype), exact_items(case)
    mine = [finding for name, run in runs.items()
            for finding in differences(run.record, part_of(reference[name], run), limit, exact)]
    ranks = gathered(world, {"findings": [asdict(finding) for finding in mine], "digests": digests(runs),
                             "traffic": sent_by_rank(case, runs["SGD"])}, "verify")
    findings = over_ranks([Finding(**finding) for finding in rank["findings"]] for rank in ranks)
    findings.append(replicas([rank["digests"] for rank in ranks]))
    whole = runs["SGD"].trainer.state()[0]                          # on rank 0
    report = Report(case, limit, exact, findings, traffic_of([rank["traffic"] for rank in ranks]),
                    gathered(world, fingerprint(*(whole[name] for name in sorted(whole))), "verify fingerprint")[0], [])
    if not report.proven:
        report.explanations.extend(_explanations(world, report, runs["SGD"], reference["SGD"]))
    return report


def _explanations(world: Communicator, report: Report, run: Run, reference: Record) -> list[str]:
    """All ranks gather what each of them knows of the failure."""
    mine, items, limit = part_of(reference, run), ("forward", "backward"), report.tolerance
    wrong = gathered(world, {item: _wrong(run.record[item], mine[item], limit) for item in items}, "verify places")
    place = {item: _first(reference[item], {place for rank in wrong for place in rank[item]}) for item in items}
    (loss,), (right,) = run.record["loss"].values(), reference["loss"].values()
    ranks = gathered(world, {"activations": {item: place_clue(run, mine, item, place[item][1]) for item in items},
                             "gradients": gradient_clues(run, mine, limit),
                             "loss": ratio(loss.values, right.values)}, "verify clues of all")
    return explain(report.case, report.findings, Evidence(
        place, {item: [rank["activations"][item] for rank in ranks if rank["activations"][item]] for item in items},
        [rank["gradients"] for rank in ranks], [rank["loss"] for rank in ranks], counting_part(run), len(reference["gradients"])))


def _wrong(seen: Mapping[str, Seen], mine: Mapping[str, Seen], limit: float) -> list[str]:
    """The places of an item that are not right on this rank, or are there on one side alone."""
    return [place for place in seen.keys() | mine.keys() if place not in seen or place not in mine
            or difference(seen[place].values, seen[place].own(mine[place].values))[1] > limit]


def _first(order: Iterable[str], wrong: set[str]) -> tuple[str, str]:
    """The last right and the first wrong place, in the order in which one process computes them; "" where there is none."""
    return next((pair for pair in pairwise(["", *order, *sorted(wrong)]) if pair[1] in wrong), ("", ""))

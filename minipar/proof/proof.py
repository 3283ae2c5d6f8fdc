"""Proves a layout: compares the training on the layout with the same training on one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.config import COMPRESSED
from minipar.errors import ConfigError
from minipar.proof.algorithms import Picks, wrong_collective
from minipar.proof.bits import exact_items
from minipar.proof.case import Case
from minipar.proof.clues import activation_clue, counting_part, edge, gradient_clues, ratio
from minipar.proof.definitions import wrong_definition
from minipar.proof.derivatives import wrong_derivative
from minipar.proof.explain import Evidence, explain
from minipar.proof.feedback import SHARED
from minipar.proof.findings import (
    Finding,
    difference,
    differences,
    over_ranks,
    tolerance,
)
from minipar.proof.memory import wrong_memory
from minipar.proof.recomputed import wrong_count
from minipar.proof.record import Entries, Location, RankRun, part_of
from minipar.proof.reference import Reference, shared_reference
from minipar.proof.replicas import digests, fingerprint, replicas
from minipar.proof.runs import run_rank
from minipar.proof.traffic import TrafficFinding, sent_by_rank, traffic_of

FOLLOWING = ("AdamW", "mixed", "text")                              # the runs that follow a right SGD run


@dataclass(frozen=True)
class VerificationReport:
    """The result of `prove`.

    tolerance: the largest allowed error, relative to the largest element of an array. An item that is
    sensitive to rounding has a larger limit (see Finding.limit). exact: the items that must be bitwise equal.
    fingerprint: a hash of the whole weights after the SGD steps. It shows whether two layouts are bitwise
    equal. explanations: texts about the causes of a failure. algorithms: name of a collective -> the
    algorithms that the steps used. recomputed: the number of ops that backward recomputed, on all ranks and
    in all runs.
    """

    case: Case
    tolerance: float
    exact: tuple[str, ...]
    findings: list[Finding]
    traffic: list[TrafficFinding]
    fingerprint: str
    explanations: list[str]
    algorithms: dict[str, list[str]]
    recomputed: int

    @property
    def failed_checks(self) -> list[str]:
        """The failed checks, in the order of the computation. The list is empty if the layout is proven."""
        findings = [one.item for one in self.findings if not one.proven]
        return findings + [f"traffic {one.axis}" for one in self.traffic if not one.proven]

    @property
    def proven(self) -> bool:
        return not self.failed_checks

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for a JSON file."""
        return {"proven": self.proven, **asdict(self), "failed_checks": self.failed_checks}


def prove(world: Communicator, case: Case, reference: Reference | None = None) -> VerificationReport:
    """Run the case on the ranks of `world` and compare the results with the results of one process. All ranks
    call this function, and all return the same report.

    reference: the result of `make_reference(case)`. Make it before you plant a bug. By default the ranks make
    it together. Raises the errors of Trainer for sizes that the layout cannot distribute, and the errors of
    make_reference. Raises ConfigError if the case asks for a hierarchical all-reduce, but all ranks are on
    one node.
    """
    if case.algorithm == "hierarchical" and len(set(world.nodes)) == 1:
        raise ConfigError("the hierarchical all-reduce needs several nodes, and all ranks are on one node; "
                          "choose another algorithm")
    reference = reference or shared_reference(world, case)
    runs = {"SGD": run_rank(world, case, "SGD")}
    exact, picks, lossy = exact_items(case), Picks(case.algorithm), case.layout.gradients in COMPRESSED

    def compared(name: str) -> list[Finding]:
        right, record = part_of(reference.records[name], runs[name]), runs[name].record
        if lossy:
            record = {item: record[item] for item in SHARED if item in record}
        return differences(record, right, reference.limits, exact, reference.noise)

    mine = compared("SGD")
    wrong = [one.item for one in mine if not one.proven]
    later = _worth_running(set().union(*gathered(world, wrong, "verify wrong so far")))
    for name in ("AdamW",) if lossy and later else later:
        runs[name] = run_rank(world, case, name)
        mine += compared(name)
    if "AdamW" in runs:
        mine.append(_resume(runs.values()))
    if lossy:
        mine.append(_yes_or_no("feedback", runs["SGD"].feedback))
    mine += [_yes_or_no("recomputed", next(filter(None, map(wrong_count, runs.values())), "")),
             _yes_or_no("memory", next(filter(None, map(wrong_memory, runs.values())), "")),
             _yes_or_no("collectives", wrong_collective(runs["SGD"].grid))]
    if later == FOLLOWING:                                          # one process and the layout agree
        mine += [_yes_or_no("derivatives", wrong_derivative(case) if world.rank == 0 else ""),
                 _yes_or_no("definitions", wrong_definition() if world.rank == 0 else "")]
    ranks = gathered(world, {"findings": [asdict(finding) for finding in mine], "digests": digests(runs),
                             "traffic": sent_by_rank(case, runs["SGD"], picks),
                             "algorithms": {operation: sorted(names)
                                            for operation, names in picks.seen.items()},
                             "recomputed": sum(sum(run.again.values()) for run in runs.values())}, "verify")
    findings = over_ranks([Finding(**finding) for finding in rank["findings"]] for rank in ranks)
    findings.append(replicas([rank["digests"] for rank in ranks]))
    whole = runs["SGD"].trainer.state()[0]                          # on rank 0
    mark = gathered(world, fingerprint(*(whole[name] for name in sorted(whole))), "verify fingerprint")[0]
    report = VerificationReport(case, tolerance(case.train.dtype), exact, findings,
                                traffic_of([rank["traffic"] for rank in ranks]), mark, [],
                                _together([rank["algorithms"] for rank in ranks]),
                                sum(rank["recomputed"] for rank in ranks))
    if not report.proven:
        report.explanations.extend(_explanations(world, report, runs["SGD"], reference))
    return report


def _worth_running(wrong: set[str]) -> tuple[str, ...]:
    """Returns the runs that follow the SGD run. wrong: the items of the SGD run that are wrong on some rank.
    If the initial weights are wrong, no other run is useful. If another item is wrong, only the AdamW run
    follows.
    """
    if "initial weights" in wrong:
        return ()
    return ("AdamW",) if wrong else FOLLOWING


def _resume(runs: Iterable[RankRun]) -> Finding:
    """Returns the finding about the trainers that resumed from a saved state. Their next step must be bitwise
    equal to the next step of the original trainers.
    """
    differences_found = (run.diverged for run in runs if run.diverged[0])
    what, absolute, relative = next(differences_found, ("", 0.0, 0.0))
    return Finding("resume", absolute, relative, what, bits=not what, proven=not what)


def _yes_or_no(item: str, wrong: str) -> Finding:
    """Returns the finding of a check that has no difference in numbers. wrong: describes the error, or is ""
    if the check passes.
    """
    return Finding(item, 0.0, 0.0, wrong, bits=not wrong, proven=not wrong)


def _together(ranks: Sequence[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """Returns collective -> the algorithms that at least one rank used."""
    operations = sorted({operation for rank in ranks for operation in rank})
    return {operation: sorted({name for rank in ranks for name in rank.get(operation, ())})
            for operation in operations}


def _explanations(world: Communicator, report: VerificationReport, run: RankRun,
                  reference: Reference) -> list[str]:
    """Gather the evidence of all ranks and explain it. All ranks call this function."""
    right, limits, items = reference.records["SGD"], reference.limits, ("forward", "backward")
    mine = part_of(right, run)
    wrong = gathered(world, {item: _wrong(run.record[item], mine[item], limits[item]) for item in items},
                     "verify locations")
    edges = {item: edge(right[item], {Location(*at) for rank in wrong for at in rank[item]})
             for item in items}
    (loss,), (true,) = run.record["loss"].values(), right["loss"].values()
    ranks = gathered(world, {"activations": {item: activation_clue(run, mine, item, first)
                                             for item, (_, first) in edges.items() if first},
                             "gradients": gradient_clues(run, mine, limits["gradients"]),
                             "loss": ratio(loss.values, true.values)}, "verify clues of all")
    return explain(report.case, report.findings, Evidence(
        edges, {item: [rank["activations"][item] for rank in ranks if rank["activations"].get(item)]
                for item in items},
        [rank["gradients"] for rank in ranks], [rank["loss"] for rank in ranks], counting_part(run),
        len(right["gradients"])))


def _wrong(seen: Entries, mine: Entries, limit: float) -> list[Location]:
    """Returns the locations at which an item is wrong on this rank, or is missing in one of the two records.
    """
    return [at for at in seen.keys() | mine.keys() if at not in seen or at not in mine
            or difference(seen[at].values, seen[at].own(mine[at].values))[1] > limit]

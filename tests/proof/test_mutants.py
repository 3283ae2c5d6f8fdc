"""Every classic bug is detected by the check that its mutant names, with the right explanation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.parallel.tensor import SequenceRegion, TensorRegion
from minipar.proof import curves, make_reference, prove
from minipar.proof.case import uneven_case
from minipar.proof.curves import Curve, Curves
from minipar.proof.mutants import MUTANTS
from minipar.proof.mutants.mutant import Change, Mutant, mutant
from minipar.proof.zoo import trial
from tests.proof.proofs import reference
from tests.ranks import ranks

# Key words that one explanation of the mutant must have, separated by " | ".
SAID = {
    "drawn-by-the-shard": "start from another model",
    "f-forgotten": "wrong into tokens | reduce over tp is missing",
    "g-forgotten": "forward | wrong out of tokens | reduce over tp is missing",
    "g-self-dual": "out of blocks.0.mlp.down | 2 times the right value | tp = 2",
    "row-bias-on-every-rank": "right out of blocks.0.attention.out | wrong into blocks.0.mlp.up",
    "row-bias-shared-out": "2 of 16 gradients | only row biases",
    "norm-gradients-not-reduced": "6 of 16 gradients | blocks.0.norm1.weight | reduce over tp is missing",
    "position-gradients-not-reduced": "1 of 16 gradients | positions.weight | reduce over tp is missing",
    "loss-not-reduced": "sum over dp is missing",
    "exponentials-not-reduced": "loss is wrong | differs from rank to rank",
    "remainder-dropped": "wrong shape | samples, tokens or units are missing",
    "own-tokens-then-sum": "times the right value | its own number of counted targets",
    "own-tokens-then-mean": "1.708, 2.412 times the right value | its own number of counted targets",
    "padding-counted": "0.836735 times the right value | padding is counted",
    "averaged-twice": "0.5 times the right value | 1/dp for dp = 2 | averaged twice",
    "mean-of-micro-batches-missing": "3 times the right value | number of micro-batches (3)",
    "divided-by-micro-batches-on-top": "0.333333 times the right value | 1/3 for 3 micro-batches",
    "never-reduced": "16 of 16 gradients | reduce over dp is missing",
    "one-parameter-forgotten": "1 of 16 gradients | norm.bias",
    "sent-in-half-the-bits": "precision is lost",
    "one-step-late": "zero",
    "zero-grad-forgotten": "first step is right | later steps are wrong",
    "norm-counts-replicas": "gradients are right | norm is wrong",
    "rate-times-dp": "learning rate is wrong",
    "steps-counted-apart": "AdamW is wrong",
    "validation-not-reduced": "validation is wrong",
    "stale-activation": "right out of blocks.0.mlp.down | wrong into blocks.1.attention.qkv | stages 0 and 1",
    "gradient-sent-before-backward": "right into blocks.2.attention.qkv | wrong out of blocks.1.mlp.down | "
    "stages 2 and 1",
    "gradient-handed-on": "right into blocks.1.attention.qkv | wrong out of blocks.0.mlp.down",
    "gradient-buffer-reused": "2 of 40 gradients | blocks.1.mlp.down.weight, blocks.1.mlp.down.bias",
    "received-in-another-order": "recv 'activations 2 of stage 0'",
    "bucket-sent-before-weights": "changed between start_all_reduce",
    "gradient-awaited-first": "deadlock | 0 -> 1 -> 0",
    "last-gradient-left-behind": "recv 'gradient 0 of stage 1' with tag 3",
    "targets-of-another-micro-batch": "activations are right | loss is wrong",
    "micro-batches-count-whole": "3 times the right value | number of micro-batches (3)",
    "every-stage-takes-the-mean": "0.333333 times the right value | 1/3 for 3 micro-batches",
    "remainder-layers-dropped": "start from another model | blocks.1.attention.out.bias is missing on rank 0",
    "layers-numbered-from-zero": "blocks.0.attention.out.bias is one too many on rank 1",
    "masks-by-the-number-in-the-stage": "right out of blocks.1.attention.out | wrong into blocks.1.mlp.up",
    "tied-table-not-reduced": "1 of 28 gradients | only the tied table | tokens.weight | reduce over pp is missing",
    "tied-table-reduced-twice": "tokens.weight | 2 times the right value",
    "norm-of-the-own-stages": "gradients are right | norm is wrong",
    "loss-stays-on-the-last-stage": "sum over pp is missing",
    "validation-with-stale-stages": "validation is wrong",
    "schedule-counts-micro-batches": "learning rate is wrong",
    "optimizer-steps-lost-on-resume": "restored trainer continues differently",
    "skipped-steps-counted-on-resume": "restored trainer continues differently",
    "loss-scale-lost-on-resume": "restored trainer continues differently",
    "overflow-decided-by-each-rank": "the loss scale is wrong",
    "validation-remainder-dropped": "validation is wrong",
    "sampled-by-each-rank": "tokens chosen from them are wrong",
    "loss-scale-not-divided-out": "mixed precision is wrong",
    "nothing-recomputed": "does not recompute",
    "cache-off-by-one": "generation is wrong",
    "state-rows-reversed": "checkpoint would hold other arrays",
    "slots-swapped": "checkpoint would hold other arrays",
    "halving-returns-its-input": "algorithm that these sizes do not use",
    "state-sharded-in-name-only": "the memory of a rank is wrong",
    "averaged-twice-by-reduce-scatter": "0.5 times | averaged twice",
    "state-of-the-neighbours-shard": "a restored trainer continues differently",
    "softmax-gradient-without-its-mean": "both have wrong gradients",
    "bias-correction-forgotten": "differs from its definition",
    "second-part-of-a-prompt-from-zero": "generation is wrong",
    "top-k-off-by-one": "tokens chosen from them are wrong",
    "buckets-in-another-order": "group 'dp' do not agree | number of elements | order of calls",
}
DRIFT = {"replicas-start-apart", "dropout-differs-on-replicas", "norm-gradients-not-reduced", "never-reduced",
         "steps-counted-apart", "tied-table-not-reduced", "norm-of-the-own-stages",
         "loss-stays-on-the-last-stage", "norm-of-one-shard", "weights-not-gathered-after-the-step",
         "tied-shards-not-summed"}
UNPAID = {"f-forgotten": "tp", "norm-gradients-not-reduced": "tp", "never-reduced": "dp",
          "tied-table-not-reduced": "tied",
          "norm-of-the-own-stages": "pp", "tied-shards-not-summed": "tied",
          "weights-not-gathered-after-the-step": "dp"}              # messages are missing


def explained(name: str, said: list[str]) -> bool:
    """Whether one explanation has all key words of this mutant, if it has any."""
    words = SAID[name].split(" | ") if name in SAID else []
    return not words or any(all(word in text for word in words) for text in said)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed_by_its_check(name: str) -> None:
    bug = MUTANTS[name]
    failed, said = trial(bug, reference(bug.case.single_process()))
    assert failed[:1] == [bug.check], said
    assert explained(name, said), said
    assert name not in DRIFT or "replicas" in failed and any(text.startswith("replicas drift apart")
                                                             for text in said)
    assert name not in UNPAID or f"traffic {UNPAID[name]}" in failed


def test_the_right_program_is_proven_wherever_a_mutant_is_killed() -> None:
    for case in {bug.case for bug in MUTANTS.values()}:
        known = reference(case.single_process())
        report = run(case.layout.ranks, lambda world, case=case, known=known: prove(world, case, known))[0]
        assert report.proven and not report.explanations, (case, report.failed_checks)


def test_the_zoo_is_as_large_as_promised_and_tells_its_stories() -> None:
    assert len(MUTANTS) >= 80
    assert all(len(bug.story) > 40 and bug.story.endswith((".", ").")) for bug in MUTANTS.values())
    assert SAID.keys() | DRIFT | UNPAID.keys() <= MUTANTS.keys()


@pytest.mark.parametrize("name", MUTANTS)
def test_planting_leaves_no_trace(name: str) -> None:
    """Also where the change stood in for something inherited, and where what ran inside has failed."""
    changes = MUTANTS[name].changes()
    before = [vars(change.owner).get(change.name) for change in changes]
    with pytest.raises(KeyError), MUTANTS[name].planted():
        assert all(vars(change.owner)[change.name] is not old
                   for change, old in zip(changes, before, strict=True))
        raise KeyError
    assert [vars(change.owner).get(change.name) for change in changes] == before


@pytest.mark.parametrize("name, check", [("steps-counted-apart", "replicas"),
                                         ("optimizer-steps-lost-on-resume", "resume")])
@pytest.mark.parametrize("gradients", ["int8", "1bit"])
def test_compressed_gradients_do_not_hide_adam_and_a_restart(gradients: str, name: str, check: str) -> None:
    """Weights are not compared with one process, but replicas and a restarted trainer are still exact."""
    case = uneven_case(Layout(dp=2, gradients=gradients), layers=1, context=7)
    assert check in trial(replace(MUTANTS[name], case=case), reference(case.single_process()))[0]


@mutant("forward", tp=2)
def harmless() -> list[Change]:
    """The same as before: what no check can see."""
    return [Change(TensorRegion, "enter", TensorRegion.enter)]


def test_a_change_that_changes_nothing_survives() -> None:
    assert trial(harmless).failed_checks == []


def test_a_change_of_what_is_not_there_is_refused() -> None:
    lost = Mutant("lost", "", "forward", lambda: [Change(SequenceRegion, "gone", None)], harmless.case)
    with pytest.raises(ConfigError, match="mutant lost changes gone"), lost.planted():
        pass


@ranks(2, engines=["mpi"])
def test_mutants_are_killed_under_mpirun(comm: Communicator) -> None:
    for name in ("f-forgotten", "norm-gradients-not-reduced", "never-reduced", "remainder-dropped",
                 "stale-activation", "tied-table-not-reduced"):
        bug = MUTANTS[name]
        known = make_reference(bug.case)
        with bug.planted():
            report = prove(comm, bug.case, known)
        assert report.failed_checks[0] == bug.check and explained(name, report.explanations)


def test_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right program, planted as a mutant, has the right curve; a loss that is twice too large shows, as
    does a job's end.
    """
    monkeypatch.setattr(curves, "STEPS", 12)
    monkeypatch.setattr(curves, "SEEDS", 2)
    book = Curves()
    same = book.of(harmless, "AdamW")
    assert same.off is not None and abs(same.off) < 1e-9 < same.spread and not same.shows
    assert book.of(MUTANTS["own-tokens-then-sum"], "AdamW").shows
    assert book.of(MUTANTS["buckets-in-another-order"], "SGD") == Curve(None, book.of(harmless, "SGD").spread)
    assert (
        Curve(None, 1.0).shows
        and Curve(math.nan, 1.0).shows
        and Curve(-2.0, 1.0).shows
        and not Curve(0.5, 1.0).shows
    )


def test_what_curves_miss() -> None:
    """Gradients that are 3 times too large, and Adam forgives it: 50 steps end within what two seeds
    differ.
    """
    picotron = Curves().of(MUTANTS["mean-of-micro-batches-missing"], "AdamW")
    assert picotron.off is not None and 1e-6 < abs(picotron.off) < picotron.spread


def test_layouts_of_the_zoo_are_small() -> None:
    assert all(bug.case.layout.ranks <= 4 for bug in MUTANTS.values())
    assert {bug.case.layout.gradients for bug in MUTANTS.values()} == {"flat", "buckets", "int8", "1bit"}
    assert any(bug.case.layout == Layout(dp=2, tp=2) for bug in MUTANTS.values())
    pipelines = {bug.case.layout.pipeline for bug in MUTANTS.values() if bug.case.layout.pp > 1}
    assert pipelines == {"1f1b", "gpipe", "interleaved", "zb-h1"}

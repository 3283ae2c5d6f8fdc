"""`minipar autopsy`: symptoms, given and found in files, lead to the bugs that show them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minipar.cli import main
from minipar.errors import ConfigError
from minipar.proof.autopsy.autopsy import autopsy
from minipar.proof.autopsy.bugs import BY_CHECK, SHOWS, bugs
from minipar.proof.autopsy.evidence import from_arrays, from_metrics
from minipar.proof.autopsy.symptoms import VARIES, WHICH, Symptoms, meaning
from minipar.proof.mutants import MUTANTS
from minipar.proof.zoo import trial
from tests.proof.proofs import reference


def names(ratio: float | str | None = None, which: str = "", **layout: int) -> list[str]:
    sizes = {axis.replace("_", "-"): size for axis, size in layout.items()}
    return [one.bug.mutant.name for one in autopsy(Symptoms(ratio, frozenset(which.split()), sizes))]


@pytest.mark.parametrize("symptoms, first", [
    (dict(ratio=0.25, which="all", dp=4), "averaged-twice"),
    (dict(ratio=4.0, which="row-biases", tp=4), "whole-gradients-summed"),
    (dict(ratio=0.25, which="row-biases", tp=4), "row-bias-shared-out"),
    (dict(ratio=VARIES, which="norms", tp=2), "norm-gradients-not-reduced"),
    (dict(ratio=8.0, which="all", micro_batches=8), "mean-of-micro-batches-missing"),
    (dict(ratio=2.0, which="table", pp=2), "tied-table-reduced-twice"),
    (dict(which="table replicas", pp=2), "tied-table-not-reduced"),
    (dict(which="rate"), "schedule-counts-micro-batches"),
    (dict(which="resume"), "optimizer-steps-lost-on-resume"),
    (dict(which="generation"), "cache-off-by-one"),
    (dict(ratio=0.0, which="loss", pp=2), "loss-stays-on-the-last-stage"),
    (dict(which="norm", tp=2), "norm-counts-replicas"),
    (dict(ratio=3.0, which="rate", dp=3), "rate-times-dp")])
def test_the_likeliest_bug(symptoms: dict, first: str) -> None:
    assert names(**symptoms)[0] == first


def test_a_layout_without_an_axis_has_none_of_its_bugs() -> None:
    assert "norm-counts-replicas" not in names(which="norm", tp=1)
    assert names(ratio=0.25, which="all", dp=1, micro_batches=1) == []


def test_the_table_is_of_the_zoo() -> None:
    assert SHOWS.keys() <= MUTANTS.keys() and {bug.mutant.check for bug in bugs()} <= BY_CHECK.keys()
    assert len(bugs()) == len(MUTANTS) and all(bug.which <= WHICH.keys() and bug.which for bug in bugs())
    reports = [report for bug in bugs() for report in bug.reports]
    assert len(reports) >= 30 and all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", report) for report in reports)


@pytest.mark.parametrize("name", [name for name, (_, ratios, _) in SHOWS.items()
                                  if ratios not in (VARIES, "0", "1") and MUTANTS[name].check == "gradients"])
def test_the_ratios_of_the_table_are_those_that_the_proof_finds(name: str) -> None:
    mutant = MUTANTS[name]
    case = mutant.case
    layout = {"dp": case.layout.dp, "tp": case.layout.tp, "pp": case.layout.pp,
              "micro-batches": case.train.micro_batches}
    value = meaning(SHOWS[name][1], layout)
    said = trial(mutant, reference(case.single_process())).explanations
    assert any(f"{value:.6g} times the right value" in text for text in said), said


@pytest.mark.parametrize("name", ["row-bias-shared-out", "tied-table-not-reduced", "averaged-twice"])
def test_the_command_that_is_told_shows_the_bug(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    which = frozenset(SHOWS[name][0].split())
    (suspect,) = [one for one in autopsy(Symptoms(None, which)) if one.bug.mutant.name == name]
    assert main(suspect.command.split()[1:]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"the first of them: {MUTANTS[name].check}")


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "suspects.json"
    assert (
        main(["autopsy", "--ratio", "1/4", "--which", "row-biases", "--layout", "tp=4", "--json", str(file)])
        == 0
    )
    said = capsys.readouterr().out
    assert said.startswith("1. row-bias-shared-out") and "pytorch/torchtitan#4332" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    found = json.loads(file.read_text())[0]
    assert found["mutant"] == "row-bias-shared-out" and found["check"] == "gradients" and found["reports"]
    assert main(["autopsy", "--ratio", "17.3", "--which", "memory"]) == 1


def write_metrics(path: Path, *lines: dict[str, float]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_symptoms_from_metrics(tmp_path: Path) -> None:
    right = write_metrics(
        tmp_path / "a", {"step": 0, "loss": 4.0, "norm": 1.0, "lr": 0.1}, {"step": 1, "loss": 3.0, "lr": 0.1}
    )
    same = from_metrics(right, right)
    assert same[:2] == (frozenset(), None)
    wrong = write_metrics(
        tmp_path / "b", {"step": 0, "loss": 4.0, "norm": 2.0, "lr": 0.1}, {"step": 1, "loss": 2.0, "lr": 0.1}
    )
    assert from_metrics(right, wrong)[:2] == (frozenset({"norm"}), 2.0)
    wrong = write_metrics(
        tmp_path / "c", {"step": 0, "loss": 4.0, "norm": 1.0, "lr": 0.1}, {"step": 1, "loss": 2.0, "lr": 0.1}
    )
    assert from_metrics(right, wrong)[0] == {"later"}
    assert main(["autopsy", "--metrics", str(right), str(right)]) == 1


def test_symptoms_from_gradients(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    right = {"h.0.attn.c_proj.bias": rng.standard_normal(3), "h.0.ln_1.weight": rng.standard_normal(3),
             "wte.weight": rng.standard_normal((4, 3)), "h.0.mlp.c_fc.weight": rng.standard_normal((3, 5))}

    def found(**wrong: float) -> tuple:
        np.savez(tmp_path / "right.npz", **right)  # type: ignore[arg-type]
        np.savez(tmp_path / "wrong.npz", **{name: wrong.get(name.split(".")[-2], 1.0) * array  # type: ignore[arg-type]
                                            for name, array in right.items()})
        return from_arrays(tmp_path / "right.npz", tmp_path / "wrong.npz", "gradients")[:2]

    assert found() == (frozenset(), None)
    assert found(c_proj=0.5) == ({"row-biases"}, pytest.approx(0.5))
    assert found(c_proj=2, ln_1=2) == ({"row-biases", "norms"}, pytest.approx(2.0))
    assert found(c_proj=2, ln_1=3) == ({"row-biases", "norms"}, VARIES)
    assert found(c_fc=2) == ({"one-parameter"}, pytest.approx(2.0))
    assert found(c_proj=3, ln_1=3, wte=3, c_fc=3) == ({"all"}, pytest.approx(3.0))
    assert main(["autopsy", "--gradients", str(tmp_path / "right.npz"), str(tmp_path / "wrong.npz"),
                 "--layout", "dp=3"]) == 0


@pytest.mark.parametrize("arguments, word", [
    ([], "no symptom"), (["--ratio", "x"], "ratio is 'x'"), (["--ratio", "1/0"], "ratio"),
    (["--which", "nix"], "which is 'nix'"), (["--which", "all", "--layout", "tp=0"], "tp=0"),
    (["--which", "all", "--layout", "xp=2"], "xp=2"), (["--which", "all", "--most", "0"], "most is 0"),
    (["--metrics", "nowhere", "nowhere"], "no file nowhere"),
    (["--gradients", "a.npz", "b.npz"], "no file a.npz")])
def test_mistakes_are_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["autopsy", *arguments]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1


@pytest.mark.parametrize("loss, norm, which, ratio", [
    ([float("nan")] * 2, 1.0, {"not-finite"}, None), ([3.0, float("inf")], 1.0, {"not-finite"}, None),
    ([3.0, 2.0], float("inf"), {"not-finite"}, None), ([3.09, 2.0], 1.0, {"loss"}, VARIES),
    ([6.0, 4.0], 1.0, {"loss"}, 2.0), ([3.0, 4.0], 1.0, {"later"}, VARIES), ([0.0, 0.0], 1.0, {"loss"}, 0.0),
    ([3.0, 2.0], 0.25, {"norm"}, 0.25), ([3.0, 2.0], 1.41, {"norm"}, VARIES),
    ([-3.0, 2.0], 1.0, {"loss"}, VARIES)])
def test_one_number_has_a_ratio_only_if_it_is_whole(
    tmp_path: Path, loss: list[float], norm: float, which: set[str], ratio: float | str | None
) -> None:
    right = write_metrics(
        tmp_path / "a", *({"step": n, "loss": x, "norm": 1.0} for n, x in enumerate([3.0, 2.0]))
    )
    wrong = write_metrics(tmp_path / "b", *({"step": n, "loss": x, "norm": norm} for n, x in enumerate(loss)))
    found = from_metrics(right, wrong)
    assert set(found[0]) == which and found[1] == ratio
    main(["autopsy", "--metrics", str(right), str(wrong)])


def test_a_run_that_ends_early_is_told(tmp_path: Path) -> None:
    lines = [{"step": n, "loss": 2.0} for n in range(3)]
    right, wrong = write_metrics(tmp_path / "a", *lines), write_metrics(tmp_path / "b", lines[0])
    assert "has 2 more" in from_metrics(right, wrong)[2]


def test_gradients_that_are_no_numbers_have_other_shapes_or_are_rounded(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    right = {
        "wte.weight": rng.standard_normal((5, 3)),
        "ln_f.weight": rng.standard_normal(3),
        "h.0.mlp.c_fc.bias": np.ones(3),
    }

    def found(**changed: np.ndarray) -> tuple:
        for name, arrays in (
            ("right", right),
            ("wrong", right | {k.replace("_", "."): v for k, v in changed.items()}),
        ):
            np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        return from_arrays(tmp_path / "right.npz", tmp_path / "wrong.npz", "gradients")

    assert found(wte_weight=right["wte.weight"] * np.nan)[:2] == ({"not-finite"}, None)
    with pytest.raises(ConfigError, match="shape"):
        found(wte_weight=right["wte.weight"].T)
    rounded = {name: array * (1 + 1e-3 * (array.ndim == 2)) + 1e-9 for name, array in right.items()}
    np.savez(tmp_path / "right.npz", **right)  # type: ignore[arg-type]
    np.savez(tmp_path / "wrong.npz", **rounded)  # type: ignore[arg-type]
    which, ratio, _ = from_arrays(tmp_path / "right.npz", tmp_path / "wrong.npz", "gradients")
    assert which == {"all"} and ratio == pytest.approx(1, abs=2e-3)


def test_a_bug_of_another_ratio_is_no_suspect() -> None:
    assert "whole-gradients-summed" not in names(ratio=1.0, which="norms row-biases positions", tp=2)
    assert "whole-gradients-summed" in names(ratio=2.0, which="norms row-biases positions", tp=2)

"""`minipar verify` and `minipar mutants`: what they print, what they write, how they end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from minipar.cli import main
from minipar.cli import mutants as command
from minipar.proof.mutants import MUTANTS
from tests.proof.test_mutants import harmless
from tests.ranks import mpirun

SMALL = ["--layers", "1", "--context", "9"]


def no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_a_proof(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert main(["verify", "--dp", "2", "--engine", "threads", *SMALL, "--json", str(file)]) == 0
    said = capsys.readouterr().out
    words, rows = " ".join(said.split()), said.splitlines()
    assert words.startswith("dp=2 pp=1 tp=1, gradients flat: 2 rank(s), float64; vocabulary 65")
    assert ("PROVEN: dp=2 pp=1 tp=1, gradients flat, trains like one process: errors "
            "up to 1e-12 of") in words
    assert len([row for row in rows if row.endswith(("equal", "differ"))]) == 32 and "WRONG" not in said
    report = json.loads(file.read_text(), parse_constant=no_json)
    assert report["proven"] and report["failed_checks"] == [] and len(report["findings"]) == 32
    assert report["traffic"][0]["messages"] == report["traffic"][0]["predicted_messages"] > 0


def test_more_tokens_than_there_are_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--vocabulary", "2000000"]) == 2
    assert "vocabulary is 2000000; verify has only 1,113,856" in capsys.readouterr().err


def test_a_pipeline_against_serial_accumulation(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes follow from the number of stages; all of SGD is equal in bits."""
    assert main(["verify", "--pp", "2", "--pipeline", "zb-v", "--no-tied", "--serial", "--engine",
                 "threads"]) == 0
    said = capsys.readouterr().out
    words = " ".join(said.split())
    assert (
        words.startswith("dp=1 pp=2 tp=1, gradients flat, zb-v of 4 stages: 2 rank(s)")
        and ", 5 layer(s)," in words
    )
    traffic = [line.split()[:2] for line in said.splitlines() if line.startswith(("traffic  ", "pp  "))]
    assert traffic == [["traffic", "of"], ["pp", "messages"], ["pp", "bytes"]]
    assert "SGD in every bit, the norm and AdamW with errors up to 1e-12" in words


def test_a_failure_names_its_cause(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert main(["verify", "--dp", "2", "--engine", "threads", *SMALL, "--mutant", "remainder-dropped",
                 "--json", str(file)]) == 1
    *table, verdict = capsys.readouterr().out.splitlines()
    assert verdict.startswith("NOT PROVEN: ") and verdict.endswith("the first of them: forward")
    assert any(line.startswith("why: forward goes wrong out of tokens: it is of a wrong shape")
               for line in table)
    report = json.loads(file.read_text(), parse_constant=no_json)
    assert not report["proven"] and report["failed_checks"][0] == "forward"
    assert report["findings"][1]["relative"] is None, (
        "a shape that differs is infinitely wrong, which JSON cannot say"
    )


def test_messages_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--tp", "2", "--engine", "threads", *SMALL, "--mutant", "f-forgotten"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "WRONG" in said
        and "traffic: tp, all_reduce sum, blocks.0.attention.qkv backward: predicted 9 call(s)" in said
    )


def test_single_precision_and_bits_say_their_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *SMALL, "--dtype", "float32"]) == 0
    assert (
        "float32" in (said := " ".join(capsys.readouterr().out.split()))
        and "errors up to 0.00054 of an array's largest element" in said
    )
    assert main(["verify", *SMALL, "--dp", "2", "--gradients", "bitwise", "--engine", "threads"]) == 0
    assert "trains like one process: in every bit; weights " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments, said", [
    (["--dp", "2"], "this layout needs 2 ranks: run mpirun -n 2 minipar ..., or add --engine threads"),
    (["--mutant", "nix"], "there is no mutant 'nix'; see minipar mutants --list"),
    (["--heads", "5", "--width", "7"], "5 heads do not divide the width 7; choose"),
    (["--tp", "3", "--heads", "2", "--engine", "threads"],
     "2 heads over tp=3 leaves ranks without any; choose tp <= 2"),
    ([*SMALL, "--json", "/nowhere/report.json"],
     "/nowhere/report.json cannot be written: No such file or directory"),
])
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(["verify", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"minipar verify: {said}") and error.count("\n") == 1


@pytest.mark.mpi
@pytest.mark.parametrize("mutant, status, verdict",
                         [([], 0, "PROVEN: dp=2"), (["--mutant", "never-reduced"], 1, "NOT PROVEN: ")])
def test_under_mpirun_rank_0_prints_and_all_end_alike(mutant: list[str], status: int, verdict: str) -> None:
    done = mpirun(2, [sys.executable, "-m", "minipar", "verify", "--dp", "2", *SMALL, *mutant], limit=60)
    assert done.returncode == status, done.stdout
    assert (
        done.stdout.count(verdict) == 1
        and done.stdout.count("PROVEN") == 1
        and "Traceback" not in done.stdout
    )


def test_the_table_of_mutants(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mutants.json"
    names = ["never-reduced", "buckets-in-another-order"]
    assert main(["mutants", *names, "--no-curves", "--json", str(file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[1:3]] == [[name, MUTANTS[name].check] for name in names]
    assert said[3] == "2 of 2 bugs are detected by the expected check"
    rows = json.loads(file.read_text(), parse_constant=no_json)
    assert [row["failed_checks"][0] for row in rows] == ["gradients",
                                                  "CommError"] and all(row["explanations"] for row in rows)


def test_a_survivor_is_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MUTANTS", {"harmless": harmless})
    assert main(["mutants", "--no-curves"]) == 1
    assert "NOTHING, not forward" in (said := capsys.readouterr().out) and "0 of 1 bugs" in said


def test_the_list_of_mutants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith(" ")] == list(MUTANTS)
    assert all(MUTANTS[name].story in " ".join(" ".join(said).split()) for name in ("f-forgotten", "g-forgotten"))
    assert main(["mutants", "nix"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "'nix'" in complaint and "minipar mutants --list" in complaint

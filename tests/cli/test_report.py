"""`minipar report`: one page with everything, from a run and a proof; and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.commands import call, refused

SMALL = ("--layers", 1, "--width", 8, "--heads", 2, "--context", 8, "--batch", 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert call("train", *SMALL, "--steps", 3, "--dp", 2, "--engine", "threads", "--out", folder / "run") == 0
    assert call("verify", "--dp", 2, "--engine", "threads", "--layers", 1, "--width", 16, "--heads", 2,
                "--context", 8, "--json", folder / "proof.json") == 0
    return folder


def test_the_page_holds_the_proof_the_pictures_the_costs_and_a_sample(run: Path) -> None:
    assert call("report", run / "run", "--proof", run / "proof.json") == 0
    page = (run / "run" / "index.html").read_text(encoding="utf-8")
    assert "PROVEN" in page and "<td>gradients</td>" in page and "weights" in page and "What the model writes" in page
    assert page.count('src="data:image/png;base64,') == 1, "loss.png; there was no trace"
    assert not re.search(r'(src|href)="(?!data:)', page), "a page that needs no network"


def test_a_proof_is_not_needed(run: Path) -> None:
    assert call("report", run / "run") == 0
    assert "The proof" not in (run / "run" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"proven": true, "case": {"layout": 3}}', "\xff", "[" * 100_000]
)
def test_what_is_no_proof(text: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.json").write_text(text, encoding="latin-1")
    said = refused(capsys, "report", run / "run", "--proof", tmp_path / "p.json")
    assert "p.json" in said or "is not a file of minipar verify" in said


def test_names_that_are_not_unicode(run: Path, tmp_path: Path) -> None:
    proof = json.loads((run / "proof.json").read_text())
    proof["findings"][0]["item"] = "\udcff"
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    folder = tmp_path / "run\udcff"                                 # the file system has the byte 0xff
    shutil.copytree(run / "run", folder)
    assert call("report", folder, "--proof", tmp_path / "proof.json") == 0
    assert (folder / "index.html").read_text(encoding="utf-8").count("\\udcff") >= 3


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no finished run" in refused(capsys, "report", tmp_path)
    assert "cannot be read" in refused(capsys, "report", tmp_path, "--proof", tmp_path / "none.json")


def test_what_a_training_says_fits_a_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of eight ranks with every axis, progress in a log, and the proof's table: at most 80 columns."""
    capsys.readouterr()
    assert call("train", *SMALL, "--layers", 2, "--steps", 20, "--dp", 2, "--tp", 2, "--pp", 2, "--engine",
                "threads", "--out", run / "wide") == 0
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if len(line) > 80 and str(run) not in line] == []
    assert len(re.findall(r"^training: step", err, re.M)) == 10, "a line per tenth"
    assert call("verify", "--dp", 2, "--engine", "threads", "--layers", 1, "--width", 16, "--heads", 2,
                "--context", 8, "--mutant", "replicas-start-apart") == 1
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_the_proof_in_json_has_what_the_page_reads(run: Path) -> None:
    proof = json.loads((run / "proof.json").read_text())
    assert proof["proven"] is True and proof["traffic"][0]["bytes"] == proof["traffic"][0]["predicted_bytes"]

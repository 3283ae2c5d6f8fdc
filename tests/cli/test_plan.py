"""`minipar plan`: the tables, the files, and one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minipar.cli import main

SMALL = ["plan", "--model", "layers=4,width=256,heads=4,context=128", "--ranks", "4", "--machine", "a100-80g",
         "--batch", "8"]


def test_it_shows_the_best_ten_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, picture = tmp_path / "plan.json", tmp_path / "plan.png"
    assert main([*SMALL, "--json", str(table), "--out", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "limited by" in shown and "links between nodes / 2" in shown
    assert max(map(len, shown.splitlines())) <= 110
    values = json.loads(table.read_text())
    assert len(values["best"]) == 10 and values["machine"]["name"] == "a100-80g"
    first = values["best"][0]
    assert first["seconds"] == pytest.approx(sum(first["terms"].values()))
    assert first["memory_bytes"] == pytest.approx(sum(first["memory"].values()))
    assert all(each["refusal"] or each["seconds"] >= first["seconds"] for each in values["layouts"])
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_it_compares_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--compare", "dp=4", "tp=2,pp=2"]) == 0
    shown = capsys.readouterr().out
    assert "a step" in shown and "bubble" in shown and "MFU" in shown


@pytest.mark.parametrize("options, words", [
    (["--ranks", "0"], "ranks"), (["--ranks", "-4"], "ranks"), (["--model", "gpt9"], "gpt9"),
    (["--machine", "b200"], "b200"), (["--batch", "0"], "batch"), (["--context", "-1"], "context"),
    (["--precision", "int8"], "int8"), (["--objective", "luck"], "luck"), (["--top", "0"], "--top"),
    (["--out", "x.txt"], ".png"),
    (["--model", "gpt3-175b"], "no layout fits"), (["--compare", "dp=4", "up=2"], "up=2"),
    (["--json", ""], "--json"), (["--out", ""], "--out"), (["--calibrate", ""], "--calibrate"),
    (["--ranks", "9" * 22], "1 to 1,048,576"), (["--compare", "dp=4", "dp=1,dp=2"], "twice"),
    (["--compare", "dp=3", "dp=1"], "dp=3"), (["--machine", "nowhere.json"], "nowhere.json")])
def test_a_mistake_is_one_line(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Traceback" not in error


@pytest.mark.parametrize("missing", ["--model", "--ranks", "--machine"])
def test_what_is_missing_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = SMALL.index(missing)
    assert main(SMALL[:at] + SMALL[at + 2:]) == 2
    assert missing in capsys.readouterr().err

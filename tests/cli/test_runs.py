"""`minipar runs`: its tables, its files, and one line for every mistake."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minipar.tracking.log import LARGEST
from tests.commands import call, refused
from tests.tiny import options
from tests.tracking.made import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real runs that differ in the layout and the seed, and one that stopped before its first step."""
    folder = tmp_path_factory.mktemp("runs")
    assert call("train", *options(folder, steps=6), "--out", folder / "all" / "one") == 0
    assert call("train", *options(folder, steps=6, seed=1), "--dp", 2, "--engine", "threads", "--out",
                folder / "all" / "two") == 0
    make_run(folder / "all" / "three", [], finished=False)
    return folder / "all"


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    capsys.readouterr()
    assert call("runs", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == "" and [line for line in out.splitlines() if len(line) > 80] == []
    return out.splitlines()


def test_a_list_of_runs(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                        tmp_path: Path) -> None:
    monkeypatch.chdir(runs)
    lines = shown(capsys, ".", "--json", tmp_path / "runs.json")
    assert lines[1:7:2] == ["one", "three", "two"]
    rows = {name: line.split() for name, line in zip(lines[1:7:2], lines[2:7:2], strict=True)}
    assert rows["one"][:5] == ["finished", "1", "rank", "1x8", "6/6"] and rows["two"][1] == "dp2"
    assert rows["three"][0] == "stopped" and rows["three"][-1] == "-"
    values = {each["folder"]: each for each in json.loads((tmp_path / "runs.json").read_text())["runs"]}
    assert values["one"]["tokens"] == 6 * 5 * 8 and values["two"]["layout"]["dp"] == 2
    assert values["one"]["validation"] is not None and values["three"]["loss"] is None
    assert shown(capsys, "list", "one", "two", "one")[1::2][:2] == ["one", "two"], "each run once"
    monkeypatch.chdir(runs.parent)
    (runs.parent / "runs").symlink_to(runs)
    assert len(shown(capsys)) == len(lines), "the default is the folder runs"


def test_a_comparison(runs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = shown(capsys, "compare", runs / "one", runs / "two", "--json", tmp_path / "c.json")
    assert any(line.split() == ["train.seed", "0", "1"] for line in lines)
    assert any(line.split() == ["layout.dp", "1", "2"] for line in lines)
    assert any("first different bit" in line and "step 0" in line for line in lines)
    values = json.loads((tmp_path / "c.json").read_text())
    assert (
        values["first"]["step"] == 0
        and values["common_steps"] == 6
        and values["config"]["train.seed"] == [0, 1]
    )
    assert values["figures"]["tokens"] == [240, 240]
    assert any("same in every bit" in line for line in shown(capsys, "compare", runs / "one", runs / "one"))


@pytest.mark.parametrize("order", ["folders first", "options first"])
def test_a_picture(order: str, runs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--out", tmp_path / "l.png", "--json", tmp_path / "l.json"]
    folders = [runs / "one", runs / "two"]
    words = [*folders, *files] if order == "folders first" else [*files, *folders]
    assert call("runs", "plot", *words) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'l.png'}\n"
    assert (tmp_path / "l.png").read_bytes()[:4] == b"\x89PNG"
    curves = json.loads((tmp_path / "l.json").read_text())["runs"]
    assert [len(each["losses"]) for each in curves] == [6, 6] and curves[0]["validations"].keys() == {
        "3",
        "5",
    }


def test_an_export_of_two_runs(runs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("runs", "export", runs / "one", runs / "two", "--tensorboard", tmp_path / "logs", "--json",
                tmp_path / "e.json") == 0
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / "logs" / name) for name in ("one", "two")]
    assert len(list(tmp_path.glob("logs/*/events.out.tfevents.*"))) == 2
    assert json.loads((tmp_path / "e.json").read_text())["runs"]["one"]["loss/training"] == 6


def no_log(run: Path) -> None:
    (run / "config.json").unlink()
    (run / "metrics.jsonl").unlink()


def foreign(run: Path) -> None:
    (run / "metrics.jsonl").write_text('{"epoch": 1, "acc": 0.5}\n')


def huge(run: Path) -> None:
    os.truncate(run / "metrics.jsonl", LARGEST + 1)


def pipe(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")


def binary(run: Path) -> None:
    (run / "metrics.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")


def a_folder(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()


def other_config(run: Path) -> None:
    (run / "config.json").write_text('{"name": "app", "version": "1.0"}')


def huge_config(run: Path) -> None:
    os.truncate(run / "config.json", 1 << 40)


@pytest.mark.parametrize("damage", [no_log, foreign, huge, pipe, binary, a_folder, other_config, huge_config])
def test_a_damaged_run_is_one_line(damage: Callable[[Path], Any], tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    good, run = make_run(tmp_path / "good", [1.0]), make_run(tmp_path / "bad", [2.0])
    damage(run)
    for words in (["list", run], [run], ["compare", good, run], ["plot", run, "--out", tmp_path / "x.png"],
                  ["export", run, "--tensorboard", tmp_path / "logs"]):
        assert "bad" in refused(capsys, "runs", *words) and not (tmp_path / "x.png").exists()
    assert not (tmp_path / "logs").exists()


def test_a_list_shows_the_other_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "good", [1.0])
    foreign(make_run(tmp_path / "bad", [1.0]))
    assert call("runs", tmp_path, "--json", tmp_path / "r.json") == 2
    out, err = capsys.readouterr()
    assert f"{tmp_path / 'good'}" in out and err.count("\n") == 1 and "bad" in err
    assert [each["state"] for each in json.loads((tmp_path / "r.json").read_text())["runs"]] == [
        "finished",
        "damaged",
    ]


@pytest.mark.parametrize("words, said", [
    (["none"], "not a folder"), (["."], "holds no run"), (["compare", "none"], "RUN"),
    (["compare", "a", "b"], "a"), (["plot", "a"], "--out"), (["plot", "a", "--out", "x.txt"], ".png"),
    (["plot", "--out", "x.png"], "RUN"),
    (["export", "a"], "--tensorboard"), (["export", "a", "--tensorboard", "file/logs"], "file"),
    (["list", "--json", "none/x.json"], "none"), (["", "--json", "x"], "empty"),
    (["plot", "", "--out", "x.png"], "empty"), (["--bogus"], "--bogus"), (["."] + ["--json"], "--json")])
def test_a_mistake_is_one_line(words: list[str], said: str, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert said in refused(capsys, "runs", *words)


@pytest.mark.parametrize("losses", [[1e308] * 40, [-1e308, 1e308], [5e-324, 0.0], [-0.001, 1e-9, 123456.7]])
def test_extreme_numbers_fit_the_columns(
    losses: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = dict(dp=1024, tp=512, pp=1000)
    a = make_run(tmp_path / ("long" * 60), losses, model=dict(layers=1000, width=1 << 20), layout=layout)
    b = make_run(tmp_path / "b\x1b[31m\n", losses[::-1], train=dict(data="d" * 5000, steps=123_456_789))
    shown(capsys, "list", a, b)
    shown(capsys, "compare", a, b)
    assert call("runs", "plot", a, b, "--out", tmp_path / "x.png") == 2 * (max(map(abs, losses)) > 1e100)
    assert call("runs", "export", a, b, "--tensorboard", tmp_path / "logs") == 0

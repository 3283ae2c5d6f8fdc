"""What `minipar train` writes and shows, and that a run goes on as if it had never stopped."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.cli import trace
from minipar.comm.wrappers.counting import Counting
from tests.commands import call, finished, refused
from tests.tiny import MODEL, TEXT, TRAIN, contents, losses, options


def test_a_run_and_what_it_leaves(tmp_path: Path) -> None:
    """Through a process of its own, so that all of stderr is seen."""
    shown = finished("train", *options(tmp_path), "--out", tmp_path / "run")
    assert shown.returncode == 0
    bar = shown.stderr.split("\r")[-1]
    assert re.search(r"training: step 20 of 20, loss \d", bar)            # no terminal: a line per tenth
    assert re.search(r"loss \d\.\d{3}, validation \d\.\d{3}, [\d,]+ tokens/s\n$", bar)
    assert "Warning" not in shown.stderr

    summary, *more = shown.stdout.splitlines()
    assert re.fullmatch(r"[\d,]+ parameters, 20 steps, validation loss \d\.\d{4} nats per token", summary)
    assert f"summary, pictures, metrics and checkpoints: {tmp_path / 'run'}" in more
    assert len("\n".join(more[more.index("a sample:") + 2:-1])) == 1 + 400
    assert {name.split("/")[0] for name in contents(tmp_path / "run")} == {
        "config.json", "metrics.jsonl", "loss.png", "checkpoints", "summary.txt"}
    assert (tmp_path / "run" / "summary.txt").read_text() == shown.stdout


def test_a_traced_run_also_has_the_pictures_of_a_step(tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", *options(tmp_path, layers=2), "--pp", 2, "--engine", "threads", "--trace", "--out",
                tmp_path / "run") == 0
    assert "rank 1: " in (tmp_path / "run" / "summary.txt").read_text()
    assert {path.name for path in (tmp_path / "run" / "trace").iterdir()} == {
        "timeline.png", "memory.png", "summary.json", "trace.json"}


def test_what_each_rank_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:
    """All that is sent is in the table, but for what agrees on signals; columns of axes that are not used are
    left out.
    """
    books: list[Counting] = []
    monkeypatch.setattr("minipar.cli.train.Counting", lambda world: books.append(Counting(world))
                        or books[-1])
    words = options(tmp_path, layers=2, steps=3, micro_batches=2)
    assert call("train", *words, "--pp", 2, "--tp", 2, "--engine", "threads", "--out", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("sent in all"))
    titles, *rows = (re.split(" {2,}", line.strip()) for line in lines[start:start + 5])
    assert titles[2:] == ["pp MiB", "pp sends", "tp MiB", "tp sends"]
    for row in rows:
        book = next(each.traffic for each in books if each.rank == int(row[0]))
        sent = {group: tally.messages for (group,), tally in book.by("group").items()}
        assert sent["tied"] > 0 and sum(int(row[column])
                                        for column in (2, 4)) == sum(sent.values()) - sent["world"]


def test_a_folder_whose_name_is_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "caf\udce9"                                    # as Python reads the byte 0xe9
    assert call("train", *options(tmp_path, steps=1), "--out", run) == 0
    assert r"caf\udce9" in (run / "summary.txt").read_text()


def test_ranks_that_read_different_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """As on hosts with different copies of a file, or different versions of Python's documentation."""
    words = [*options(tmp_path), "--dp", 2, "--engine", "threads", "--out", tmp_path / "run"]
    texts = {"rank 0": TEXT, "rank 1": TEXT[::-1]}
    monkeypatch.setattr(
        "minipar.training.start.load_text", lambda path: texts[threading.current_thread().name]
    )
    assert "only 1 of 2 ranks agree with rank" in refused(capsys, "train",
                                                          *words) and not (tmp_path / "run").exists()
    # the threads of one process share the text that they trace; each process reads its own
    run_on = trace._run_on
    monkeypatch.setattr(trace, "_run_on", lambda world, asked, task: run_on(
        world, asked, task._replace(text=f"digest of rank {world.rank}'s text")))
    assert "the ranks have read different texts" in refused(capsys, "trace", *words)


def test_config_json_says_what_was_asked_for(pristine: Path) -> None:
    config = json.loads((pristine / "run" / "config.json").read_text())
    asked = {**MODEL, **TRAIN, "data": str(pristine / "text.txt")}
    asked.pop("validation_windows")
    assert asked.items() <= {**config["model"], **config["train"]}.items()
    assert config["model"]["vocabulary"] == len(set((pristine / "text.txt").read_text()))


def test_metrics_have_every_step_and_validation(pristine: Path) -> None:
    lines = [json.loads(line) for line in (pristine / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(20))
    assert all(line.keys() == {"step", "loss", "norm", "lr", "seconds", "tokens"} and line["seconds"] > 0
               for line in steps)
    assert [line["step"] for line in lines if "validation" in line] == [3, 7, 11, 15, 19]
    rates = [line["lr"] for line in steps]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075,
                                       0.01]) and 0.001 < rates[-1] < 0.0012 and rates[3:] == sorted(
        rates[3:], reverse=True)
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.1


def test_checkpoints_are_the_last_two_and_the_best(pristine: Path) -> None:
    kept = Checkpoints(pristine / "run" / "checkpoints")
    assert {path.name for path in kept.folder.iterdir()} == {"step-00000018.npz", "step-00000020.npz",
                                                             "step-00000012.npz"} or (
        kept.best() == kept.latest() and len(list(kept.folder.iterdir())) == 2)
    arrays, meta = load(kept.folder / "step-00000020.npz")
    assert meta["done"] == meta["step"] == 20 and {name.split("/")[0]
                                                   for name in arrays} == {"weights", "optimizer"}


@pytest.mark.parametrize("words", [[], ["--dropout", "0.2", "--micro-batches", "3"]])
def test_ten_and_ten_steps_leave_the_files_of_twenty(tmp_path: Path, words: list[str]) -> None:
    """Byte for byte: checkpoints with weights, optimiser and metadata; metrics but for the times."""
    words = [*options(tmp_path, schedule="constant"), *words]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call("train", *words, "--out", whole) == 0
    assert call("train", *words, "--out", parts, "--steps", 10) == 0
    assert call("train", "--resume", parts, "--steps", 20) == 0
    name = "checkpoints/step-00000020.npz"
    assert contents(parts)[name] == contents(whole)[name]
    assert contents(parts)["config.json"] == contents(whole)["config.json"]
    extra = [line for line in losses(parts) if line not in losses(whole)]
    assert len(extra) == 1 and extra[0]["step"] == 9 and "validation" in extra[0]  # that of its last step
    assert [line for line in losses(parts) if line not in extra] == losses(whole)


def test_another_seed_is_another_run(tmp_path: Path, pristine: Path) -> None:
    assert call("train", *options(tmp_path), "--out", tmp_path / "run", "--seed", 1) == 0
    assert losses(tmp_path / "run")[0]["loss"] != losses(pristine / "run")[0]["loss"]


def test_without_data_python_brings_the_text(tmp_path: Path) -> None:
    assert call("train", "--preset", "tiny", "--layers", 1, "--width", 8, "--context", 8, "--batch", 2,
                "--steps", 1, "--out", tmp_path / "run") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    # of the preset
    assert config["train"]["data"] == "" and config["train"]["lr"] == 2e-3 and config["model"]["heads"] == 4
    assert config["model"]["layers"] == 1 and config["model"]["vocabulary"] > 80


def test_metrics_that_end_in_half_a_line(done: Path) -> None:
    """As a kill or a full disk leaves them: resume drops the half and what is to be done again, and keeps the
    rest.
    """
    expected = losses(done)
    for path in (done / "checkpoints").iterdir():
        if path.name != "step-00000018.npz":
            path.unlink()
    with (done / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "lo')
    (done / "metrics.jsonl.0123abcd.tmp").write_text("left over by a kill")
    assert call("train", "--resume", done) == 0
    assert losses(done) == expected
    assert (done / "metrics.jsonl").read_text().count("\n") == len(expected) and not list(done.glob("*.tmp"))

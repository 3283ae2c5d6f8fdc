"""`minipar schedule`: what it prints, what it writes, and its one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minipar.schedules.generators import SCHEDULES
from tests.commands import call, finished, refused

OWN = "def schedule(ranks, micro_batches):\n    return [[f'{kind}{m}' for kind in 'FB' for m in range(micro_batches)]] * ranks\n"


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    capsys.readouterr()
    assert call("schedule", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "show", "1f1b", "--ranks", "2", "--micro-batches", "2") == [
        "1f1b: 2 rank(s), 2 stage(s), 2 micro-batch(es)",
        "makespan 9, bubble 33.3 % of all time",
        "rank 0  F0 F1 ......B0--- ...B1---",
        "rank 1  ...F0 B0--- F1 B1--- ......",
        "time    0                         9"]
    shown = printed(capsys, "show", "gpipe", "--costs", "F=1:2,B=1/2:1,W=0.5:1", "--comm", "1", "--ranks",
                    "2", "--width", "60")
    assert shown[0] == "gpipe: 2 rank(s), 2 stage(s), 8 micro-batch(es)"
    assert shown[1].startswith("makespan 36, bubble 33.3 %") and all(len(line) <= 60 for line in shown)


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_show_writes_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                            name: str) -> None:
    path = tmp_path / "some.json"
    first = printed(capsys, "show", name, "--json", path)
    assert printed(capsys, "show", path) == first


def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "$x^$ 我.json"  # no formula for matplotlib, and a letter that its font lacks
    own.write_text('{"orders": ["F0 B0 W0", "F0 B0 W0"]}')
    for schedule, ending, start in (("zb-h1", "png", b"\x89PNG"), (own, "svg", b"<?xml")):
        assert len(printed(capsys, "show", schedule, "--ranks", "2", "--out", tmp_path / f"a.{ending}")) == 5
        assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


def test_lint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "lint", "1f1b", "--ranks", "2", "--micro-batches", "3", "--json", tmp_path
                   / "lint.json")
    ring = ("rank 0, stage 0, step 1: F1 waits for rank 1 to receive x1@0; "
            "rank 1, stage 1, step 1: B0 waits for rank 0 to receive g0@1")
    assert said[0] == "1f1b: 2 rank(s), 2 stage(s), 3 micro-batch(es): right"
    assert f"synchronous sends deadlock: {ring}" in " ".join(" ".join(said).split())
    assert {"asynchronous sends  safe",
            "0     0       6             2",
            "1     1       6             1", "6 messages", "rank 0 to rank 1: 3"} <= set(said)
    assert json.loads((tmp_path / "lint.json").read_text()) == {
        "name": "1f1b", "ranks": 2, "stages": 2, "micro_batches": 3, "safe_async": True, "safe_sync": False,
        "deadlock": ring, "peaks": [2, 1], "messages": [{"from": 0, "to": 1, "messages": 3},
                                      {"from": 1, "to": 0, "messages": 3}]}
    assert "synchronous sends   safe" in printed(capsys, "lint", "gpipe", "--synchronous")
    assert (
        "minipar schedule: deadlock under synchronous sends: rank 0, stage 0, step 1: F1 waits for"
        in refused(capsys, "schedule", "lint", "1f1b", "--ranks", "2", "--synchronous")
    )


def test_simulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "simulate", "zb-h2", "--ranks", "3", "--micro-batches", "6", "--json", tmp_path
                   / "some.json")
    assert {"makespan  20          from the first start to the last end",
            "idle/total: of all time 1/10 = 10.0 %               0 = 0.0 %",
            "idle/ideal: of the work 1/9 = 11.1 %                0 = 0.0 %",
            "1     1       19    18     2     5", "24 messages", "rank 1 to rank 2: 6"} <= set(said)
    values = json.loads((tmp_path / "some.json").read_text())
    assert (
        values["makespan"] == 20
        and values["span"] == 18
        and values["peaks"] == [5, 5, 5]
        and values["busy"] == [18, 18, 18]
    )
    assert values["bubble_exact"]["idle/total over the makespan"] == "1/10"
    assert values["bubble"]["idle/ideal over the makespan"] == pytest.approx(1 / 9)


@pytest.mark.parametrize("costs, message, plain", [
    ("F=18.5/3,B=1e-1,W=.5", "6e-1", "F=37/6,B=1/10,W=1/2"), ("F=1E2,B=2.,W=1/.5", "0.6", "F=100,B=2,W=2"),
    ("F=1:2e0:3/1:4,B=1e+1,W=0", "3/5", "F=1:2:3:4,B=10,W=0")])
def test_times_may_be_fractions_and_have_exponents(capsys: pytest.CaptureFixture[str], costs: str,
                                                   message: str, plain: str) -> None:
    words = ("simulate", "gpipe", "--costs")
    assert printed(capsys, *words, costs, "--comm",
                   message) == printed(capsys, *words, plain, "--comm", "0.6")


@pytest.mark.parametrize("wrong", ["1e", "1/0", "1/0e3", "-1", "1e999", "nan", "1//2", "1/2/3", "", ".",
                                   "1_0", "9" * 5000])
def test_what_is_no_time(capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    assert "is not a time" in refused(capsys, "schedule", "simulate", "1f1b", f"--comm={wrong}")
    assert "is not a time" in refused(capsys, "schedule", "show", "1f1b", f"--costs=F=1:{wrong}")


def test_simulate_at_any_size(capsys: pytest.CaptureFixture[str]) -> None:
    """What is too large to be listed is simulated as a wave, with the same result."""
    said = printed(capsys, "simulate", "1f1b", "--ranks", "300", "--micro-batches", "2000")
    assert (
        "makespan  6897        from the first start to the last end" in said
        and "299   299     6299  6000   897   1" in said
    )
    assert (
        "idle/total: of all time 299/2299 = 13.0 %           299/2299 = 13.0 %" in said
        and "1,196,000 messages" in said
    )
    assert sum(line.startswith("... ") for line in said) == 2        # of ranks, and of links
    small = printed(capsys, "simulate", "1f1b", "--ranks", "5", "--micro-batches", "7")
    for most in (10, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("minipar.cli.schedule.MOST", most)
            assert printed(capsys, "simulate", "1f1b", "--ranks", "5", "--micro-batches", "7") == small


def test_a_schedule_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    for action in ("show", "lint", "simulate"):
        said = printed(capsys, action, path, "--ranks", "3", "--micro-batches", "5")
        assert said[0].startswith("own: 3 rank(s)")
        assert [line.replace("gpipe", "own") for line in printed(
            capsys, action, "gpipe", "--ranks", "3", "--micro-batches", "5")] == said
    path.write_text(OWN.replace("for kind in 'FB' for m in range(micro_batches)",
                                "for m in range(micro_batches) for kind in 'BF'"))
    for action in ("show", "lint", "simulate"):
        error = refused(capsys, "schedule", action, path)
        assert error.startswith(
            "minipar schedule: rank 0, stage 0, step 0: B0 has no activations: F0@0 comes "
            "later, in step 1; move"
        )


@pytest.mark.parametrize("words, said", [
    ("show 2f2b", "no schedule is called '2f2b'; choose one of naive, gpipe, 1f1b, "),
    ("show 1f1b --ranks 0", "argument --ranks: '0' is not a number >= 1"),
    ("show 1f1b --micro-batches x", "argument --micro-batches: 'x' is not a number >= 1"),
    ("show 1f1b --virtual 2", "schedule 1f1b needs 1 stage per rank, not 2"),
    ("show 1f1b --costs F=0,B=0,W=0", "nothing to draw: all of it takes no time; choose other --costs"),
    ("show 1f1b --costs Q=1", "--costs Q=1: 'Q=1' is not a time; write for example F=1,B=1,W=1/2"),
    ("show 1f1b --costs F=-1", "--costs: '-1' is not a time; write for example 2, 0.5, 6e-1"),
    ("show 1f1b --costs F=1/0", "--costs: '1/0' is not a time"),
    ("show 1f1b --costs F=1e999999999", "--costs: '1e999999999' is not a time"),
    ("show 1f1b --costs F=1:2", "2 times of F for 4 stages; give one for each, or one for all"),
    ("show 1f1b --comm nan", "--comm: 'nan' is not a time"),
    ("show 1f1b --out a.gif", "a.gif does not end in .png or .svg"),
    ("show 1f1b --json {folder}/none/a.json",
     "cannot be written: No such file or directory; choose another path"),
    ("lint gpipe --ranks 1000 --micro-batches 10000",
     "up to 30,000,000 instructions are too many to list; choose fewer"),
    ("lint {folder}/none.json", "none.json cannot be read: No such file or directory; name another file"),
    ("lint {folder}/some.json --ranks 3", "some.json is for 2 ranks, not 3; ask for 2, or use another file"),
    ("lint {folder}/some.json --micro-batches 3",
     "some.json is for 1 micro-batches, not 3; ask for 1, or use another file"),
    ("lint {folder}/some.json --virtual 1",
     "some.json defines each rank's number of stages"),
    ("simulate 1f1b --ranks 999999999 --micro-batches 2",
     "999,999,999 ranks with 2 micro-batches would take hours; choose"),
    ("simulate gpipe --ranks 100000 --micro-batches 10001",
     "100,000 ranks with 10,001 micro-batches would take hours; choose"),
    ("draw 1f1b", "argument ACTION: invalid choice: 'draw'"),
    ("show", "the following arguments are required: NAME|FILE"),
])
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    (tmp_path / "some.json").write_text('{"orders": ["F0 B0", "F0 B0"]}')
    assert said in refused(capsys, "schedule", *words.format(folder=tmp_path).split())


@pytest.mark.parametrize("orders, bits, verdict", [
    ("F0 F1 B0 B1", "equal", ": SGD in every bit, the norm and AdamW with errors up to 1e-12"),
    ("F0 F1 F2 B2 B1 B0", "differ", ": errors up to 1e-12 of an array's largest element"),
])
def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], orders: str, bits: str,
             verdict: str) -> None:
    """Against the same micro-batches one after the other, so bits are equal where they are taken in order."""
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"orders": [orders] * 2}))
    said = printed(capsys, "run", path)
    (row,) = [line for line in said if line.startswith("gradients ")]
    words = " ".join(" ".join(said).split())
    assert bits in row.split() and " PROVEN: " in words and "NOT PROVEN" not in words and verdict in words


def test_help_names_the_schedules_and_the_file_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert '{"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}' in "\n".join(printed(capsys, "--help"))
    assert "dualpipev" in " ".join(printed(capsys, "show", "--help"))


def test_in_a_process_of_its_own() -> None:
    shown = finished("schedule", "show", "naive", "--ranks", "2", "--micro-batches", "1")
    assert (
        shown.returncode == 0
        and shown.stderr == ""
        and shown.stdout.splitlines()[2] == "rank 0  F0 .........B0---"
    )

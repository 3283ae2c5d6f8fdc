"""`minipar --help`, the help of every command, what is no command or no option, and what each of them
imports.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys

import pytest

from minipar.cli import COMMANDS, command_module, parsed
from minipar.cli.help_format import HelpFormatter
from minipar.cli.options import MODEL, TRAIN
from minipar.config import PRESETS
from tests.commands import call, command, finished, refused
from tests.ranks import mpirun

NAMES = list(COMMANDS)


def test_python_m_minipar_lists_the_commands() -> None:
    shown = finished("--help")
    assert shown.returncode == 0 and shown.stderr == ""
    assert {"train", "generate", "gradcheck"} <= set(NAMES) and all(name in shown.stdout for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(name, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: minipar {name}") and f"`minipar {name}`" in out and err == ""


@pytest.mark.parametrize("name", ["", *NAMES])
def test_every_help_has_examples_that_are_valid(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each example is parsed, and not run."""
    call(*name.split(), "--help")
    shown = capsys.readouterr().out
    examples = re.findall(rf"^    ((?:mpirun -n \d+ )?minipar {name}\b.*)", shown, re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(re.split("  +", example)[0])             # without the remark behind it
        words = words[words.index("minipar") + 1:]
        parsed(words, words[0])


def test_a_list_in_a_description_is_not_wrapped() -> None:
    text = "One sentence that is longer than the line\nof a help.\n\n    minipar runs     # all\n    minipar doctor\n"
    assert HelpFormatter("minipar")._fill_text(text, 30, " ").splitlines() == [
        " One sentence that is longer", " than the line of a help.", "", "     minipar runs     # all",
        "     minipar doctor"]


def test_a_name_with_a_hyphen_is_not_broken() -> None:
    assert HelpFormatter("minipar")._split_lines("a schedule such as looped-bfs", 24) == [
        "a schedule such as", "looped-bfs"]


ACTIONS = ["schedule show", "schedule lint", "schedule simulate", "schedule run", "lesson run",
           "lesson teach", "lesson export", "exercise start", "exercise check", "exercise watch",
           "exercise solution", "exercise grade", "exercise pack"]


@pytest.mark.parametrize("words", ["", *NAMES, *ACTIONS])
def test_help_fits_80_columns(words: str, capsys: pytest.CaptureFixture[str],
                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(*words.split(), "--help") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_train_lists_its_options_presets_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    call("train", "--help")
    shown = capsys.readouterr().out
    for word in ["--out", "--resume", "--preset", *MODEL, *TRAIN, *PRESETS]:
        assert word in shown
    assert "(default 0.001)" in shown and "(default 12)" in shown


@pytest.mark.parametrize("arguments, said", [
    ([], "the following arguments are required: COMMAND"),
    (["trane"], "invalid choice: 'trane'"),
    (["train", "--layer", "2", "--bogus"], "unrecognized arguments: --bogus; see minipar train --help"),
    (["train", "--preset", "gpt5"], "argument --preset: invalid choice: 'gpt5'"),
    (["train", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
    (["train", "--out", "a", "--resume", "b"], "not allowed with argument"),
    (["train", "--resume", ""],
     "argument --resume: the value is empty; give a name, or leave the option out"),
    (["train", "--data", ""], "argument --data: the value is empty"),
    (["generate", "--prompt", "x"], "one of the arguments --run --weights is required"),
])
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, *arguments)
    assert said in line and line.rstrip().endswith("--help")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in `minipar mutants --list | head -1`."""
    with subprocess.Popen(command("schedule", "show", "1f1b", "--ranks", 64, "--micro-batches", 64, "--width",
                                  4000),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.readline()
        job.stdout.close()
        assert job.stderr.read() == "" and job.wait(60) == 128 + 13


def test_a_wrong_command_line_is_told_once_for_all_ranks() -> None:
    job = mpirun(2, command("train", "--bogus"), limit=60)
    assert job.returncode == 2 and job.stdout.count(
        "unrecognized arguments: --bogus"
    ) == 1 == job.stdout.count("\n"), job.stdout


@pytest.mark.parametrize("words", [
    ["gradcheck"], ["mutants"], ["mutants", "--list"], ["doctor"], ["launch", "-n", "2", "echo"],
    ["lesson", "list"],
    ["lesson", "teach", "1"],
    *(["schedule", action, "1f1b"] for action in ("show", "lint", "simulate", "run")),
    *([*words, "--engine", "threads"] for words in (["train"], ["verify"], ["trace"],
                                                    ["generate", "--run", "r", "--prompt", "p"]))])
def test_one_process_is_not_started_several_times(words: list[str], monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The message is told by a job, which is another test's matter."""
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setattr("minipar.cli.ranks.tell_once", lambda error: None)
    assert "runs in one process, but mpirun has started 3; start it without mpirun" in refused(capsys, *words)


@pytest.mark.parametrize("words, spared", [("--help", ["numpy", "tqdm", "matplotlib"]),
                                           ("train --help", ["matplotlib"]),
                                           ("schedule show naive", ["matplotlib"])])
def test_what_is_not_used_is_not_imported(words: str, spared: list[str]) -> None:
    program = ("import sys\nfrom minipar.cli import main\ntry:\n    main(sys.argv[1:])\n"
               "except SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True,
                          check=True)
    assert "minipar.cli" in done.stderr.split() and not set(spared) & set(done.stderr.split())


def test_ctrl_c_while_a_command_is_imported(monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(module: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minipar.cli.import_module", interrupted)
    assert call("train") == 130
    assert capsys.readouterr().err == "minipar train: interrupted\n"


def test_every_command_is_in_the_table_of_one_process_or_runs_on_ranks() -> None:
    """So that a new command cannot be forgotten: what says nothing of ranks is refused under mpirun."""
    names = {"train", "generate", "verify", "trace"}                # these have --engine
    assert {name for name in COMMANDS if "--engine" in help_of(name)} == names


def help_of(name: str) -> str:
    parser = argparse.ArgumentParser()
    command_module(name).add_options(parser)
    return parser.format_help()

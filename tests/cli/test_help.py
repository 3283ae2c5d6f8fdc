"""`minipar --help`, the help of every command, and what is no command or no option."""

from __future__ import annotations

import subprocess

import pytest

from minipar.cli import COMMANDS
from minipar.cli.options import MODEL, TRAIN
from minipar.config import PRESETS
from tests.commands import call, command, finished, refused

NAMES = [each.__name__.rpartition(".")[2] for each in COMMANDS]


def test_python_m_minipar_lists_the_commands() -> None:
    shown = finished("--help")
    assert shown.returncode == 0 and shown.stderr == ""
    assert {"train", "generate", "gradcheck"} <= set(NAMES) and all(name in shown.stdout for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(name, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: minipar {name}") and f"`minipar {name}`" in out and err == ""


def test_train_lists_its_options_presets_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    call("train", "--help")
    shown = capsys.readouterr().out
    for word in ["--out", "--resume", "--preset", *MODEL, *TRAIN, *PRESETS]:
        assert word in shown
    assert "(default 0.001)" in shown and "(default 12)" in shown


@pytest.mark.parametrize("arguments, said", [
    ([], "the following arguments are required: COMMAND"),
    (["trane"], "invalid choice: 'trane'"),
    (["train", "--layer", "2", "--bogus"], "unrecognized arguments: --bogus"),
    (["train", "--preset", "gpt5"], "argument --preset: invalid choice: 'gpt5'"),
    (["train", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
    (["train", "--out", "a", "--resume", "b"], "not allowed with argument"),
    (["generate", "--prompt", "x"], "the following arguments are required: --run"),
])
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, *arguments)
    assert said in line and line.rstrip().endswith("--help")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in `minipar mutants --list | head -1`."""
    with subprocess.Popen(command("schedule", "show", "1f1b", "--ranks", 64, "--micro-batches", 64, "--width", 4000),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.readline()
        job.stdout.close()
        assert job.stderr.read() == "" and job.wait(60) == 128 + 13

"""`minipar generate`: the prompt, and what the trained model makes of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.commands import call
from tests.tiny import TEXT, contents, options


def written(capsys: pytest.CaptureFixture[str], run: Path, *words: object) -> str:
    capsys.readouterr()
    assert call("generate", "--run", run, *words) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.endswith("\n")
    return out[:-1]


def test_it_goes_on_from_the_prompt(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = pristine / "run"
    before = contents(run)
    text = written(capsys, run, "--prompt", "the fox", "--tokens", 50)
    assert text.startswith("the fox") and len(text) == len("the fox") + 50 and set(text) <= set(TEXT)
    assert len(written(capsys, run, "--prompt",
                       "a")) == 1 + 400 and written(capsys, run, "--prompt", "a", "--tokens", 0) == "a"
    assert contents(run) == before


def test_seed_temperature_and_top_k(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (pristine / "run", "--prompt", "lazy ", "--tokens", 60)
    usual = written(capsys, *words)
    assert usual == written(capsys, *words, "--seed", 0) != written(capsys, *words, "--seed", 1)
    assert usual != written(capsys, *words, "--temperature", 3)
    greedy = written(capsys, *words, "--temperature", 0)
    assert greedy == written(capsys, *words, "--top-k", 1, "--seed", 5) != usual


def test_a_terminal_that_lacks_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = options(tmp_path, tokenizer="byte", steps=1)
    assert call("train", *words, "--out", tmp_path / "run") == 0
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        assert call("generate", "--run", tmp_path / "run", "--prompt", "café", "--tokens", 0) == 0
        terminal.flush()
        assert terminal.buffer.getvalue() == b"caf?\n"               # type: ignore[attr-defined]

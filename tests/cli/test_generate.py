"""`minipar generate`: the prompt, and what the trained model makes of it."""

from __future__ import annotations

import io
import json
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


def test_a_file_of_prompts_gives_the_texts_of_each_prompt(pristine: Path, tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    run, prompts, result = pristine / "run", ["the fox", "a", "wizards"], tmp_path / "texts.json"
    (tmp_path / "prompts.txt").write_text("\n".join(prompts) + "\n")
    options = ("--tokens", 20, "--top-p", 0.9, "--seed", 3)
    each = [written(capsys, run, "--prompt", prompt, *options) for prompt in prompts]
    words = ("--prompts", tmp_path / "prompts.txt", "--json", result, *options)
    for extra in ((), ("--batch", 2), ("--batch", 1), ("--invariant",), ("--dp", 2, "--engine", "threads"),
                  ("--tp", 2, "--engine", "threads")):
        assert written(capsys, run, *words, *extra) == "\n".join(
            line for number, text in enumerate(each, start=1) for line in (f"# {number}", text))
    texts = [one["prompt"] + one["samples"][0]["text"] for one in json.loads(result.read_text())]
    assert texts == each


def test_prompts_longer_than_the_context_are_named(pristine: Path, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompts.txt").write_text(
        "\n".join(["the fox", "the fox " * 9, "a" * 500, "judge my " * 30]) + "\n"
    )
    assert (
        call("generate", "--run", pristine / "run", "--tokens", 3, "--prompts", tmp_path / "prompts.txt") == 0
    )
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("minipar generate: prompt ") and "tokens" in err
    assert "a" * 500 in out
    assert call("generate", "--run", pristine / "run", "--tokens", 0, "--prompt", "a" * 400) == 0
    assert "400 tokens" in capsys.readouterr().err


def test_samples_and_stop_texts(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (pristine / "run", "--prompt", "the", "--tokens", 30)
    shown = written(capsys, *words, "--samples", 2)
    first, second = shown.removeprefix("# 1, sample 1\n").split("\n# 1, sample 2\n")
    assert first == written(capsys, *words) != second
    stop = first[9:11]
    assert written(capsys, *words, "--stop", stop) == "the" + first[3:].partition(stop)[0]


def test_a_terminal_that_lacks_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = options(tmp_path, tokenizer="byte", steps=1)
    assert call("train", *words, "--out", tmp_path / "run") == 0
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        assert call("generate", "--run", tmp_path / "run", "--prompt", "café", "--tokens", 0) == 0
        terminal.flush()
        assert terminal.buffer.getvalue() == b"caf?\n"

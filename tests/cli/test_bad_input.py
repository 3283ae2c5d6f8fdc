"""What a user can get wrong: one clear line, exit status 2, nothing written, nothing lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import load, save
from minipar.checkpoint.claim import claimed
from tests.commands import call, finished, refused
from tests.tiny import TEXT, contents, options


def last(run: Path) -> Path:
    return run / "checkpoints" / "step-00000020.npz"


@pytest.mark.parametrize("content, said", [
    (None, "text.txt does not exist"),
    (b"", "text.txt is empty"),
    (b" \n", "text.txt is empty"),
    (b"\x89PNG\0\x01", "text.txt is binary, not text: byte 4 is NUL"),
    (b"caf\xe9 " * 50, "text.txt is not UTF-8: byte 3 is 0xe9"),
    (b"abc", "the training text has 2 tokens, but a context of 8 needs 9; choose a shorter context or give "
             "more text"),
    (TEXT[:80].encode(), "the validation text has 8 tokens, but a context of 8 needs 9"),
])
def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str) -> None:
    words = options(tmp_path)
    (tmp_path / "text.txt").unlink() if content is None else (tmp_path / "text.txt").write_bytes(content)
    before = contents(tmp_path)
    assert said in refused(capsys, "train", *words, "--out", tmp_path / "run")
    assert contents(tmp_path) == before and not (tmp_path / "run").exists()


@pytest.mark.parametrize("words, said", [
    ("--heads 3", "3 heads do not divide the width 8; choose 2, 4, 1, 8 heads or another width"),
    ("--context 100000",
     "tokens, but a context of 100000 needs 100001; choose a shorter context or give more text"),
    ("--context 0", "context is 0; it must be at least 1"),
    ("--width -8", "width is -8"),
    ("--hidden -1", "hidden is -1"),
    ("--layers 0", "layers is 0"),
    ("--dropout 1", "dropout is 1.0; it must be at least 0 and less than 1"),
    ("--dropout nan", "dropout is nan"),
    ("--steps 0", "steps is 0; it must be at least 1"),
    ("--batch 0", "batch is 0"),
    ("--micro-batches 6", "6 micro-batches of a batch of 5 leave some empty; choose at most 5"),
    ("--lr 0", "lr is 0.0; it must be a positive number"),
    ("--lr nan", "lr is nan"),
    ("--lr inf", "lr is inf"),
    ("--clip nan", "clip is nan"),
    ("--weight-decay inf", "weight_decay is inf"),
    ("--batch 100000000000000000000", "batch is 100000000000000000000; it must be at most"),
    ("--warm-up -1", "warm_up is -1"),
    ("--seed -1", "seed is -1"),
    ("--save-every 0", "save_every is 0"),
    ("--validate-every 0", "validate_every is 0"),
    ("--tokenizer bpe", "tokenizer is 'bpe'; choose byte, char"),
    ("--optimizer adamax", "optimizer is 'adamax'; choose sgd, adagrad, adam, adamw"),
    ("--schedule linear", "schedule is 'linear'; choose constant, cosine"),
    ("--dtype float16", "dtype is 'float16'; choose float32, float64"),
    ("--width 100000000", "not enough memory: Unable to allocate"),
])
def test_sizes_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    assert said in refused(capsys, "train", *options(tmp_path), "--out", tmp_path / "run", *words.split())
    assert list(contents(tmp_path)) == ["text.txt"] and not (tmp_path / "run").exists()


@pytest.mark.parametrize("words, said", [
    ("--stage-layers a,b",
     "argument --stage-layers: 'a,b' is not a list of whole numbers; write for example 2,3,3"),
    ("--stage-layers=", "'' is not a list of whole numbers"),
    ("--stage-layers=-1,2",
     "--stage-layers -1,2 should be 2 numbers, one per stage, that add up to 1 layers"),
    ("--layers 1",
     "1 layer(s) over 2 pipeline stages leave stages without any; choose --layers 2 or more, or fewer stages"),
    ("--layers 4 --virtual 2",
     "schedule 1f1b needs 1 stage per rank, not 2; schedules with any number of stages are interleaved"),
    ("--timeout -1", "argument --timeout: '-1' is not a positive number of seconds"),
    ("--timeout nan", "'nan' is not a positive number of seconds"),
    ("--layers 4 --pipeline 1b1f", "no schedule is called '1b1f'; choose one of naive"),
    ("--layers 4 --pipeline inference", "schedule inference has no backward; choose one that trains"),
    ("--layers 4 --pipeline {folder}/two.json",
     "two.json is for 2 micro-batches, not 1; ask for 2, or use another file"),
    ("--layers 4 --pipeline {folder}/two.json --micro-batches 2 --gradients bitwise",
     "two.json is for 2 micro-batches, not 1"),
    ("--layers 4 --pipeline {folder}/idle.json",
     "idle.json gives rank 1 of the pipeline no stage; use all 2 ranks, or fewer"),
    ("--layers 4 --trace --gradients bitwise", "gradients bitwise computes one sample after the other"),
    ("--layers 4 --trace --gradients shared",
     "gradients shared uses shared memory, which the clock cannot time"),
])
def test_pipelines(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    """Refused before the run has a folder: a second attempt does not find the first one's."""
    (tmp_path / "two.json").write_text('{"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}')
    (tmp_path / "idle.json").write_text('{"orders": ["F0 B0", ""]}')
    assert said in refused(capsys, "train", *options(tmp_path), "--out", tmp_path / "run", "--pp", 2,
                           "--engine", "threads", *words.format(folder=tmp_path).split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "trace", "verify"])
@pytest.mark.parametrize("words, said", [
    ("--zero 4", "zero is 4; choose stage 1, 2 or 3"), ("--zero=-1", "zero is -1; choose stage 1, 2 or 3"),
    ("--zero one", "argument --zero: invalid int value: 'one'"),
    ("--zero 1 --gradients bitwise", "zero=1 sums gradients by reduce-scatter, not by gradients bitwise"),
    ("--zero 3 --gradients int8", "zero=3 sums gradients by reduce-scatter, not by gradients int8"),
    ("--zero 2 --no-reshard-after-forward", "zero=2 keeps the weights whole, so there is nothing to reshard"),
    ("--no-reshard-after-forward", "zero=0 keeps the weights whole"),
    ("--zero 3 --dp 9", "a batch of 5 over dp=9 leaves ranks without samples"),
])
def test_stages_of_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, words: str, said: str
) -> None:
    of_command = options(tmp_path) if command != "verify" else ["--batch", "5"]
    out = [] if command == "verify" else ["--out", tmp_path / "run"]
    assert said in refused(
        capsys, command, *of_command, *out, "--dp", 2, "--engine", "threads", *words.split()
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words, said", [
    ("--flops-rate 0", "a rank cannot compute 0.0 FLOPs per second; give a positive number"),
    ("--flops-rate nan", "cannot compute nan FLOPs"),
    ("--alpha -1", "a network's alpha is a time, not -1.0; give 0 or more seconds"),
    ("--beta inf", "a network's beta is a time, not inf"),
    ("--out {folder}/text.txt", "text.txt cannot be written: Not a directory"),
    ("--gradients shared --dp 2", "to trace, choose another way to sum them"),
    ("--gradients bitwise", "to trace, choose another way to sum them"),
])
def test_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    of_training = options(tmp_path)
    assert said in refused(capsys, "trace", *of_training, "--out", tmp_path / "trace", "--engine", "threads",
                           *words.format(folder=tmp_path).split())
    assert list(contents(tmp_path)) == ["text.txt"]


@pytest.mark.parametrize("place, said", [
    ("text.txt", "cannot write {place}: File exists"),
    ("text.txt/run", "cannot write {place}: Not a directory"),
    ("/proc/run", "cannot write /proc/run: "),                         # refused to root, too
])
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str,
                                         said: str) -> None:
    words = options(tmp_path)
    before = contents(tmp_path)
    assert said.format(place=tmp_path / place) in refused(capsys, "train", *words, "--out", tmp_path / place)
    assert contents(tmp_path) == before


def test_a_folder_that_holds_a_run(done: Path, pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(done)
    said = refused(capsys, "train", *options(pristine), "--out", done)
    assert f"{done} holds a run; continue it with --resume {done}, or choose another --out" in said
    assert contents(done) == before
    shutil.rmtree(done / "checkpoints")  # to save room, say: what happened is still worth keeping
    assert "holds a run" in refused(capsys, "train", *options(pristine), "--out", done)


@pytest.mark.parametrize("words, said", [
    ("--steps 10", "is after 20 steps, more than 10; choose a larger --steps"),
    ("--steps 40 --width 16",
     "is of another model: it has width 8, not 16; resume with the sizes it was trained with"),
    ("--steps 40 --heads 4", "is of another model: it has heads 2, not 4"),
    ("--steps 40 --context 4", "is of another model: it has context 8, not 4"),
    ("--steps 40 --optimizer sgd", "is of another model: optimizer/"),
    ("--steps 40 --dtype float64", "holds float32; leave --dtype out"),
    ("--steps 40 --tokenizer byte", "was trained with the char tokenizer; leave --tokenizer out"),
    ("--steps 40 --heads 3", "3 heads do not divide the width 8"),
    ("--steps 40 --data {folder}/other.txt", "was trained on another text; give the same --data"),
    ("--steps 40 --data {folder}/greek.txt",
     "was trained on another text: the tokenizer does not know the character 'α'"),
    ("--steps 40 --data {folder}/none.txt", "none.txt does not exist"),
])
def test_resume_with_what_does_not_fit(done: Path, capsys: pytest.CaptureFixture[str], words: str,
                                       said: str) -> None:
    (done.parent / "other.txt").write_text(TEXT[::-1])
    (done.parent / "greek.txt").write_text(TEXT + "α")
    before = contents(done)
    assert said in refused(capsys, "train", "--resume", done, *words.format(folder=done.parent).split())
    assert contents(done) == before


def test_another_training_in_the_same_folder(done: Path, pristine: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(done)
    with claimed(done):  # by a lock, which any other one meets, of this process too
        for words in (["--resume", done, "--steps", 40], [*options(pristine), "--out", done]):
            assert f"another minipar is writing to {done}; wait for its end" in refused(
                capsys, "train", *words
            )
    assert contents(done) == before
    assert call("train", "--resume", done, "--steps", 21) == 0


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def foreign_archive(path: Path) -> None:
    np.savez(path, wte=np.ones(3))


def foreign_text(path: Path) -> None:
    path.write_text("not a checkpoint")


def foreign_state(path: Path) -> None:
    save(path, {"a": np.ones(3)}, {"model": {"layers": 3}})


def of_another_version(path: Path) -> None:
    arrays, meta = load(path)
    save(path, arrays, {**meta, "train": {**meta["train"], "experts": 8}})


@pytest.mark.parametrize("spoil, said", [
    (truncate, "is not a checkpoint, or is truncated"), (flip, "is damaged"),
    (foreign_archive, "is not a minipar checkpoint"),
    (foreign_text, "is not a checkpoint"), (foreign_state, "is not a checkpoint of minipar train"),
    (of_another_version,
     "it has unknown fields: experts; use the version of minipar that wrote it"),
    (os.unlink, "holds no checkpoint"),
])
def test_resume_and_generate_from_a_spoilt_checkpoint(done: Path, capsys: pytest.CaptureFixture[str],
                                                      spoil: Callable[[Path], None], said: str) -> None:
    for path in (done / "checkpoints").iterdir():
        if path != last(done):
            path.unlink()
    spoil(last(done))
    before = contents(done)
    assert said in refused(capsys, "train", "--resume", done, "--steps", "40")
    assert said in refused(capsys, "generate", "--run", done, "--prompt", "the")
    assert contents(done) == before


def test_the_way_out_that_a_damaged_checkpoint_names(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(last(done))
    assert "move this file away to use the checkpoint before it" in refused(capsys, "train", "--resume", done)
    last(done).rename(done / "damaged.npz")
    assert call("train", "--resume", done) == 0
    assert load(last(done))[1]["done"] == 20


@pytest.mark.parametrize("words, said", [
    ("--run {run} --prompt α", "the tokenizer does not know the character 'α' (U+03B1, at position 0)"),
    ("--run {run} --prompt=", "an empty prompt gives the model nothing to continue"),
    ("--run {run}/none --prompt x", "none holds no checkpoint; train one with: minipar train --out"),
    ("--run {run} --prompt a --temperature -1", "temperature is -1.0"),
    ("--run {run} --prompt a --temperature nan", "temperature is nan"),
    ("--run {run} --prompt a --top-k -1", "top_k is -1"),
    ("--run {run} --prompt a --temperature 0 --top-p 0.5",
     "temperature 0 always chooses the most likely token"),
    ("--run {run} --prompt a --top-p 0", "top_p is 0.0"),
    ("--run {run} --prompt a --samples 0", "samples is 0"),
    ("--run {run} --prompt a --batch 0", "--batch is 0"), ("--run {run} --prompt a --stop=", "stop is"),
    ("--run {run} --prompt a --samples 3 --batch 2", "3 samples run together"),
    ("--run {run} --prompts {run}/none", "cannot read"), ("--run {run} --prompts {run}", "is a folder"),
    ("--run {run} --prompts {run}/empty.txt", "empty.txt is empty"),
    ("--run {run} --prompts {run}/blank.txt", "line 2 of"),
    ("--run {run} --prompts {run}/latin.txt", "not UTF-8"),
    ("--run {run} --prompts {run}/greek.txt", "the tokenizer does not know the character 'α'"),
    ("--run {run} --prompt a --tokens -1", "--tokens is -1; it must not be negative"),
])
def test_generate(pristine: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    for name, data in (("empty", b""), ("blank", b"a\n\nb\n"), ("latin", b"caf\xe9"), ("greek", "α".encode())):
        (pristine / "run" / f"{name}.txt").write_bytes(data)
    assert said in refused(capsys, "generate", *words.format(run=pristine / "run").split())


def test_the_same_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Nothing that capsys does not see, such as a complaint at the end of the interpreter."""
    shown = finished("train", *options(tmp_path), "--heads", "3", "--out", tmp_path / "run")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert (
        shown.stderr
        == "minipar train: 3 heads do not divide the width 8; choose 2, 4, 1, 8 heads or another width\n"
    )


@pytest.mark.parametrize("words", ["train --lr=--", "train --data=--", "train --resume=--", "verify --dp=--",
                                   "trace --alpha=--",
                                   "schedule simulate 1f1b --costs=--", "generate --run=--",
                                   "launch -n=-- x", "lesson run 1 --out=--"])
def test_two_dashes_are_no_value(capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert "is not a value" in refused(capsys, *words.split())


@pytest.mark.parametrize("words", [
    "verify --json", "mutants --no-curves --json", "schedule show 1f1b --json", "schedule show 1f1b --out",
    "schedule lint 1f1b --json", "schedule simulate 1f1b --json", "trace --out", "lesson run 1 --out"])
@pytest.mark.parametrize("place", ["/proc/none/x.png", "{folder}/file/x.png", "{folder}/" + 300 * "x"
                                   + "/y.png"])
def test_places_for_results_are_tried_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch, words: str,
                                                      place: str) -> None:
    """Nothing is computed, and nothing is left behind."""
    (tmp_path / "file").touch()
    for name in ("verify.make_reference", "mutants.trial", "schedule.simulate", "schedule.lint",
                 "trace.trace_step", "lesson.run_lesson"):
        monkeypatch.setattr(f"minipar.cli.{name}", None)
    assert "cannot be written" in refused(capsys, *words.split(), place.format(folder=tmp_path))
    assert list(contents(tmp_path)) == ["file"]


def test_a_picture_of_another_kind_is_refused_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not end in .png or .svg" in refused(capsys, "schedule", "show", "1f1b", "--out", "x.jpg")


@pytest.mark.parametrize("option", ["--steps", "--seed", "--layers", "--lr", "--data", "--tokenizer", "--dp",
                                    "--pipeline", "--stage-layers", "--none"])
@pytest.mark.parametrize("value", ["9" * 4000, "9" * 5000, "a b " * 1500, "\x1b[31m\n"],
                         ids=["digits", "more", "words", "control"])
def test_long_values_are_not_echoed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str,
                                          value: str) -> None:
    said = refused(capsys, "train", *options(tmp_path), "--out", tmp_path / "run", f"{option}={value}")
    assert len(said) < 520 and said[:-1].isprintable()


@pytest.mark.parametrize("words", ["exercise hint ring_shift --folder FILE",
                                   "exercise start ring_shift --folder FILE/below",
                                   "autopsy --ratio 4 --checkpoints LONG LONG",
                                   "exercise grade . --csv ABSENT/a.csv"])
def test_a_path_that_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str], words: str) -> None:
    """A file where a folder belongs, a name that is too long, a folder that does not exist: the line names
    the path.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("not a folder")
    line = refused(capsys, *words.replace("LONG", "x" * 5000).split())
    assert any(name in line for name in ("FILE", "xxx", "ABSENT"))

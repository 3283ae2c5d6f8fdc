"""Files of byte-pair tokenizers: written and read without loss, read as GPT-2 has them, refused by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.gpt2 import save_gpt2
from minipar.checkpoint.tokenizer_files import load_tokenizer, save_tokenizer
from minipar.config import ModelConfig
from minipar.data.bytepair.alphabet import BYTES, LETTERS, to_letters
from minipar.data.bytepair.tokenizer import BytePairTokenizer
from minipar.errors import DataError
from minipar.nn import GPT
from tests.commands import call
from tests.refusals import refused

LEARNED = BytePairTokenizer.learn("the cat, the hat, the mat, the bat " * 5, 266)
END = "<|endoftext|>"
TOKENIZER = BytePairTokenizer([*LEARNED.vocabulary, END.encode()], LEARNED.merges, {END: 266})  # type: ignore[arg-type]
TEXT = "the mat, na\u00efve\n"


def gpt2_files(folder: Path) -> Path:
    """vocab.json and merges.txt as GPT-2's: its bytes are numbered in the order of its letters."""
    printable = sorted(LETTERS.values(), key=lambda letter: (ord(letter) > 255, ord(letter)))
    words = [*printable, *(to_letters(piece) for piece in LEARNED.vocabulary[256:]), END]
    (folder / "vocab.json").write_text(
        json.dumps({word: token for token, word in enumerate(words)}), encoding="utf-8"
    )
    lines = [
        f"{to_letters(LEARNED.vocabulary[one])} {to_letters(LEARNED.vocabulary[two])}"
        for one, two in LEARNED.merges
    ]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    return folder


def test_the_letters_of_all_bytes_differ() -> None:
    assert len(set(LETTERS.values())) == 256 and [BYTES[LETTERS[byte]] for byte in range(256)] == list(
        range(256)
    )


def test_saved_and_loaded(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "tokenizer.json", TOKENIZER)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert load_tokenizer(path).to_dict() == TOKENIZER.to_dict()


def test_gpt2s_files(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(gpt2_files(tmp_path))
    assert tokenizer.specials == {END: 266} and tokenizer.encode("!").tolist() == [0]
    assert [tokenizer.decode([token]) for token in tokenizer.encode(TEXT)] == [
        LEARNED.decode([token]) for token in LEARNED.encode(TEXT)]


def change_json(folder: Path, change: object) -> None:
    save_tokenizer(folder / "tokenizer.json", TOKENIZER)
    values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(values)  # type: ignore[operator]
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize("change, words", [
    (lambda v: v["model"].update(type="Unigram"), "Unigram"),
    (lambda v: v["model"].update(byte_fallback=True), "BPE"),
    (lambda v: v.update(normalizer={"type": "NFKC"}), "NFKC"),
    (lambda v: v.update(pre_tokenizer={"type": "Whitespace"}), "another rule"),
    (lambda v: v.update(pre_tokenizer=None), "another rule"),
    (lambda v: v["pre_tokenizer"].update(add_prefix_space=True), "another rule"),
    (lambda v: v["model"]["merges"].append("t h e"), "merge 11"),
    (lambda v: v["model"]["merges"].append("t \u4e2d"), "merge 11"),
    (lambda v: v["model"]["merges"].append(["!", "!"]), "no token"),
    (lambda v: v["model"]["vocab"].pop("!"), "gaps"),
    (lambda v: v["model"]["vocab"].update(zz=1), "gaps"),
    (lambda v: v["model"]["vocab"].update(zz="267"), "whole number"),
    (lambda v: v["model"].update(vocab=[1, 2]), "damaged"),
    (lambda v: v.update(added_tokens=[{}]), "damaged"),
    (lambda v: v.update(model=3), "damaged")])
def test_files_of_another_kind(change: object, words: str, tmp_path: Path) -> None:
    change_json(tmp_path, change)
    with pytest.raises(DataError, match=words) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value).count("tokenizer.json") == 1 and "\n" not in str(caught.value)


def test_line_ends_of_another_system(tmp_path: Path) -> None:
    """The lines end with CR LF, and the file begins with a byte-order mark."""
    tokenizer = load_tokenizer(gpt2_files(tmp_path))
    merges = (tmp_path / "merges.txt").read_bytes()
    (tmp_path / "merges.txt").write_bytes(b"\xef\xbb\xbf" + merges.replace(b"\n", b"\r\n"))
    assert load_tokenizer(tmp_path).to_dict() == tokenizer.to_dict()


def test_merges_without_end(tmp_path: Path) -> None:
    """A small file of many merges, and many merges of one long token, end at once."""
    gpt2_files(tmp_path)
    (tmp_path / "merges.txt").write_bytes(b"t h\n" * 2_000_000)
    with pytest.raises(DataError, match="lines"):
        load_tokenizer(tmp_path)
    long = TOKENIZER.to_dict()
    long["vocabulary"] = [*LEARNED.to_dict()["vocabulary"], "a" * 2_000_000, "a" * 2_000_000 + "b"]
    with pytest.raises(DataError, match="bytes of tokens"):
        BytePairTokenizer.from_dict({**long, "merges": [[266, ord("b")]] * 10_000, "specials": {}})


def test_paths_that_hold_no_tokenizer(tmp_path: Path) -> None:
    gpt2_files(tmp_path)
    (tmp_path / "merges.txt").unlink()
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for path, words in [("", "merges.txt"), ("list.json", "not a tokenizer"), ("empty", "neither"),
                        ("nothing.json", "no file")]:
        with pytest.raises(DataError, match=words):
            load_tokenizer(tmp_path / path)
    with refused(DataError, kind="not a file"):
        load_tokenizer(tmp_path / "pipe.json")


def test_gpt2_weights_write_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`minipar generate --weights`, on one process and over tp=2 and pp=2: the same text."""
    config = ModelConfig(vocabulary=267, context=16, layers=2, heads=2, width=128)
    save_gpt2(tmp_path / "model.npz", config, GPT(config, seed=1).state_dict())
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    command = ("generate", "--weights", tmp_path / "model.npz", "--tokenizer", gpt2_files(tmp_path),
               "--prompt", "the cat", "--tokens", 12)
    texts = []
    for layout in ([], ["--tp", 2, "--engine", "threads"], ["--pp", 2, "--engine", "threads"]):
        assert call(*command, *layout) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0].startswith("the cat") and len(set(texts)) == 1
    for words, named in [(("--weights", tmp_path / "model.npz", "--prompt", "a"), "--tokenizer"),
                         (("--run", tmp_path, "--tokenizer", tmp_path, "--prompt", "a"), "--weights"),
                         ((*command[1:3], "--prompt", "a", "--tokenizer", tmp_path / "none"), "none"),
                         (("--weights", tmp_path / "other.npz", *command[3:]), "other.npz")]:
        assert call("generate", *words) == 2
        assert named in capsys.readouterr().err

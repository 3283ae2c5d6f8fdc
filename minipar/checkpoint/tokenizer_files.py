"""Read and write byte-pair tokenizers in the formats of Hugging Face's `tokenizers` and of GPT-2.

* `tokenizer.json`: everything in one file; `save_tokenizer` writes it.
* `vocab.json` (token in GPT-2's letters -> number) with `merges.txt` (one merge per line) beside it.

`load_tokenizer` raises an error for a file that splits words by another rule, or that changes the text first
(with a normalizer). Without this check, the tokens would be wrong, and no error would be raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minipar.checkpoint.atomic import replacing
from minipar.data.bytepair.alphabet import from_letters, to_letters
from minipar.data.bytepair.merge import Pair
from minipar.data.bytepair.tokenizer import MOST_TOKENS, BytePairTokenizer
from minipar.errors import DataError, shown
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json

LARGEST = 64 * MIB
JSON, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
GPT2_END = "<|endoftext|>"
_RULE = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def load_tokenizer(path: str | os.PathLike[str]) -> BytePairTokenizer:
    """Load the tokenizer from a tokenizer.json, from a vocab.json with merges.txt beside it, or from a folder
    that holds one of these.

    Raises DataError for a file that is missing, damaged, too large, or of another kind of tokenizer.
    """
    source = Path(path)
    if source.is_dir():
        found = [source / name for name in (JSON, VOCABULARY) if (source / name).exists()]
        if not found:
            raise DataError(f"{source} holds neither {JSON} nor {VOCABULARY} with {MERGES}; give the folder "
                            "of a byte-pair tokenizer")
        source = found[0]
    values = parse_json(_read(source), source, DataError)
    if not isinstance(values, dict):
        raise DataError(f"{source} is not a tokenizer: it holds no object; give a {JSON} or {VOCABULARY}")
    try:
        if "model" in values:
            return _from_json(values, source)
        specials = {GPT2_END: values[GPT2_END]} if GPT2_END in values else {}
        return _tokenizer(values, _lines_of(source.with_name(MERGES)), specials)
    except DataError as error:
        raise DataError(str(error) if str(source.parent) in str(error) else f"{source}: {error}",
                        **{"item": str(source), **error.facts}) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{source} is damaged, or not a byte-pair tokenizer ({shown(str(error))})") from error


def save_tokenizer(path: str | os.PathLike[str], tokenizer: BytePairTokenizer) -> None:
    """Write a tokenizer.json, completely or not at all. Raises DataError if the system refuses."""
    number = {to_letters(piece) if token not in tokenizer.specials.values() else piece.decode(): token
              for token, piece in enumerate(tokenizer.vocabulary)}
    words = {token: word for word, token in number.items()}
    added = [{"id": token, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for text, token in tokenizer.specials.items()]
    values = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
              "normalizer": None, "pre_tokenizer": _RULE, "post_processor": None, "decoder": _RULE,
              "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                        "vocab": number,
                        "merges": [f"{words[one]} {words[two]}" for one, two in tokenizer.merges]}}
    try:
        with replacing(Path(path)) as file:
            file.write(json.dumps(values, ensure_ascii=False).encode())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST, DataError)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; {VOCABULARY} and {MERGES} belong together") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _from_json(values: Mapping[str, Any], path: Path) -> BytePairTokenizer:
    model, rule = values["model"], values.get("pre_tokenizer")
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback") or "merges" not in model:
        raise DataError(f"{path} is a {shown(model.get('type'))} tokenizer; this reader supports only "
                        "byte-level BPE, as in GPT-2")
    if values.get("normalizer") is not None:
        raise DataError(f"{path} changes the text first ({shown(values['normalizer'].get('type'))}), which "
                        "this reader does not support; GPT-2's tokenizer has no normalizer")
    if not isinstance(rule, dict) or (rule.get("type"), rule.get("add_prefix_space"),
                                      rule.get("use_regex", True)) != ("ByteLevel", False, True):
        raise DataError(f"{path} splits words by another rule than GPT-2's; its tokens would differ")
    specials = {one["content"]: one["id"] for one in values.get("added_tokens") or []}
    return _tokenizer(model["vocab"], [line.split(" ") if isinstance(line, str) else line
                                       for line in model["merges"]], specials)


def _lines_of(path: Path) -> list[list[str]]:
    """Return the merges of a merges.txt, without its first line ("#version: ...")."""
    data = _read(path)
    if data.count(b"\n") > MOST_TOKENS:
        raise DataError(f"{path} has more than {MOST_TOKENS:,} lines; a merge makes a token of the "
                        "vocabulary")
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start}") from error
    start = 1 if lines[0].startswith("#version") else 0
    return [line.split(" ") for line in lines[start:] if line]


def _tokenizer(number: Mapping[str, Any], merges: list[list[str]],
               specials: Mapping[str, int]) -> BytePairTokenizer:
    """Build a tokenizer from tokens in GPT-2's letters. `number` maps a token to its number, and `specials`
    maps the text of a special token to its number.
    """
    number = {**number, **specials}
    if any(type(token) is not int for token in number.values()) or len(number) > MOST_TOKENS:
        raise DataError("every token must have a whole number, and there may be at most "
                        f"{MOST_TOKENS:,} tokens")
    if sorted(number.values()) != list(range(len(number))):
        raise DataError(f"the {len(number):,} tokens are not numbered from 0 without gaps")
    vocabulary = [b""] * len(number)
    for text, token in number.items():
        vocabulary[token] = text.encode() if text in specials else from_letters(text)
    pairs: list[Pair] = []
    for line, pair in enumerate(merges, start=1):
        if len(pair) != 2 or any(text not in number for text in pair):
            raise DataError(f"merge {line} is {shown(' '.join(map(str, pair)))}, which is not two tokens of "
                            "the vocabulary")
        pairs.append((number[pair[0]], number[pair[1]]))
    return BytePairTokenizer(vocabulary, pairs, specials)

"""A corpus whose words carry tags, made up, for lesson 03: as many tokens of each tag as one asks for.

A word of an entity comes from the names of its type, one in five from names that all types share. There only
the word before may tell the type: a cue such as "Mr" or "in", which stands before most entities.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minipar.rng import stream

TYPES = ["PER", "ORG", "LOC", "MISC"]
WORDS, NAMES, CUES = 400, 60, 5  # per pool: words of O, names of a type, cues of a type
SHARED = WORDS + 4 * NAMES  # where the names begin that all types share
CUE = SHARED + NAMES
VOCABULARY = CUE + 4 * CUES


def corpus(name: str, counts: Mapping[str, int], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Sentences of about 14 words: words and labels [S, T], with exactly these tokens per tag.

    A label is the place of its tag in `counts`. Shorter sentences are filled up with word 0, labelled
    `padding`.
    """
    tags_in_order = list(counts)
    rng, segments = stream(0, "corpus", name), [["O"]] * counts["O"]
    for kind in TYPES:
        inside = np.bincount(rng.integers(counts[f"B-{kind}"], size=counts[f"I-{kind}"]),
                             minlength=counts[f"B-{kind}"])
        segments += [[f"B-{kind}", *[f"I-{kind}"] * more] for more in inside]
    sentences: list[list[str]] = [[]]
    for number in rng.permutation(len(segments)):
        if len(sentences[-1]) >= 14:
            sentences.append([])
        sentences[-1] += segments[number]
    longest = max(map(len, sentences))
    labels = np.full((len(sentences), longest), padding)
    words = np.zeros((len(sentences), longest), int)
    for row, tags in enumerate(sentences):
        labels[row, : len(tags)] = [tags_in_order.index(tag) for tag in tags]
        words[row, : len(tags)] = [_word(rng, tag, tags[position + 1 : position + 2])
                                   for position, tag in enumerate(tags)]
    return words, labels


def _word(rng: np.random.Generator, tag: str, following: list[str]) -> int:
    """A word for this tag, before a word with the following one."""
    if tag != "O":
        pool = SHARED if rng.random() < 0.2 else WORDS + NAMES * TYPES.index(tag[2:])
        return pool + int(rng.integers(NAMES))
    if following and following[0][:2] == "B-" and rng.random() < 0.6:
        return CUE + CUES * TYPES.index(following[0][2:]) + int(rng.integers(CUES))
    return int(rng.integers(SHARED, CUE)) if rng.random() < 0.02 else int(rng.integers(1, WORDS))

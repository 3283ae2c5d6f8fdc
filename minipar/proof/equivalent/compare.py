"""Compares each array of a parallel program with the array of the serial program, and explains the
differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minipar.proof.equivalent.patterns import kind_of
from minipar.proof.equivalent.sharding import OnRank, Partial, Replicated, Sharded, Sharding
from minipar.proof.equivalent.wrong_array import ONE_NUMBER, UNKNOWN, Facts, WrongArray
from minipar.proof.findings import Finding, difference, element, signed, tolerance
from minipar.proof.replicas import fingerprint

ByRank = Sequence[Mapping[str, np.ndarray]]  # one dict per rank: name -> array
SHOWN = 3  # an explanation names at most this many arrays


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    findings: one per array in the order of the serial program, and a last one for the replicas (copies of an
    array on several ranks). explanations: one sentence per kind of mistake.
    """

    findings: list[Finding] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)


def compare(
    whole: Mapping[str, np.ndarray],
    ranks: ByRank,
    shardings: Mapping[str, Sharding],
    allowed: float,
    facts: Facts,
) -> Comparison:
    """Compare the arrays of all ranks with the arrays of one process.

    whole: the arrays of one process. ranks: the arrays of each rank. shardings: name of an array -> its
    distribution over the ranks. An array without an entry is Replicated(). allowed: the tolerance for
    float64, relative to the largest element of an array. For another dtype the tolerance is scaled by the
    ratio of the machine epsilons. facts: facts about the run that help to explain differences.
    """
    result = Comparison()
    kinds: dict[str, list[str]] = {}
    for name in dict.fromkeys([*whole, *(name for rank in ranks for name in rank)]):
        sharding = shardings.get(name, Replicated())
        finding, wrong = _array(
            name, whole.get(name), [rank.get(name) for rank in ranks], sharding, allowed, facts
        )
        result.findings.append(finding)
        if wrong:
            kinds.setdefault(kind_of(wrong, facts), []).append(name)
        elif not finding.proven:
            kinds.setdefault(finding.location, []).append(name)
    result.explanations.extend(_sentences(kinds, len(result.findings), whole))
    result.findings.append(_replicas(ranks, shardings, facts))
    if not result.findings[-1].proven:
        result.explanations.append(f"replicas drift apart: {result.findings[-1].location} differ")
    return result


def _array(
    name: str,
    want: np.ndarray | None,
    got: list[np.ndarray | None],
    sharding: Sharding,
    allowed: float,
    facts: Facts,
) -> tuple[Finding, WrongArray | None]:
    owners = [sharding.rank] if isinstance(sharding, OnRank) else facts.holders(got)
    missing = [rank for rank in owners if got[rank] is None]
    if want is None or missing or not owners:
        where = f" on rank {missing[0]}" if missing else ""
        text = "is not in the serial program" if want is None else f"is missing{where}"
        return Finding(name, math.inf, math.inf, text, bits=False, proven=False), None
    arrays = [array for rank in owners if (array := got[rank]) is not None]
    if isinstance(sharding, Partial) and len({array.shape for array in arrays}) == 1:
        arrays, owners = [np.sum(np.stack(arrays), axis=0)], owners[:1]
    wanted = [
        sharding.part(want, facts.parts[rank], facts.number) if isinstance(sharding, Sharded) else want
        for rank in owners
    ]
    limit = allowed * tolerance(_dtype(want)) / tolerance("float64")
    sizes = [difference(one, right) for one, right in zip(arrays, wanted, strict=True)]
    worst = max(range(len(sizes)), key=lambda number: sizes[number][1])
    proven = [relative <= limit for _, relative in sizes]
    where = element(arrays[worst], wanted[worst]) if sizes[worst][1] else ""
    finding = Finding(
        name,
        max(size for size, _ in sizes),
        sizes[worst][1],
        f"{name}{where} on rank {owners[worst]}" if sizes[worst][1] else "",
        all(one.tobytes() == right.tobytes() for one, right in zip(arrays, wanted, strict=True)),
        all(proven),
        0.0,
        limit,
    )
    if all(proven):
        return finding, None
    by_rank = [None if array is None else signed(array) for array in got]
    return finding, WrongArray(name, sharding, signed(want), owners, list(map(signed, arrays)),
                               list(map(signed, wanted)), proven, by_rank, facts.clean)


def _dtype(want: np.ndarray) -> str:
    """Returns the dtype whose rounding sets the tolerance: the dtype of the serial array, or float64 for
    integers.
    """
    return str(want.dtype) if want.dtype.kind == "f" else "float64"


def _replicas(ranks: ByRank, shardings: Mapping[str, Sharding], facts: Facts) -> Finding:
    """Checks that all ranks with a copy of the same array or shard hold the same bits."""
    for name in dict.fromkeys(name for rank in ranks for name in rank):
        sharding = shardings.get(name, Replicated())
        if isinstance(sharding, (Partial, OnRank)):
            continue
        first: dict[int, tuple[int, str]] = {}  # part -> (first rank that has it, checksum)
        for rank, arrays in enumerate(ranks):
            if name in arrays:
                part = 0 if isinstance(sharding, Replicated) else facts.parts[rank]
                bits = fingerprint(arrays[name])
                if first.setdefault(part, (rank, bits))[1] != bits:
                    return Finding(
                        "replicas",
                        0.0,
                        0.0,
                        f"{name} on ranks {first[part][0]} and {rank}",
                        bits=False,
                        proven=False,
                    )
    return Finding("replicas", 0.0, 0.0, "", bits=True, proven=True)


def _sentences(kinds: Mapping[str, list[str]], arrays: int, whole: Mapping[str, np.ndarray]) -> list[str]:
    """Returns one explanation per kind of mistake, with the names of the wrong arrays.

    An array of unknown kind after one of a known kind is left out, because it is probably a consequence of
    the known mistake. kinds: explanation -> names of arrays. arrays: the number of all arrays.
    """
    sentences = []
    weak = [kind.startswith((UNKNOWN, ONE_NUMBER)) for kind in kinds]
    first = weak.index(False) if False in weak else len(weak)       # the first kind that is known
    shown = [(kind, names) for number, (kind, names) in enumerate(kinds.items())
             if number <= first or not weak[number]]
    for kind, names in shown:
        vectors = (set(names) <= set(whole) and all(whole[name].ndim == 1 for name in names)
                   and any(array.ndim > 1 for array in whole.values()))
        only = ", only vectors (biases and the like)" if vectors and len(kinds) == 1 else ""
        more = ", ..." * (len(names) > SHOWN)
        sentences.append(f"{len(names)} of {arrays} arrays{only} ({', '.join(names[:SHOWN])}{more}): {kind}")
    return sentences

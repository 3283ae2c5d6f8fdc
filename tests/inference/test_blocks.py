"""The accounting of blocks: nobody's block is given away, and only equal beginnings are shared."""

from __future__ import annotations

import pytest

from minipar.inference.batch import runs_of
from minipar.inference.blocks import BlockPool
from minipar.rng import stream


def test_a_sequence_gets_neighbouring_blocks() -> None:
    pool, tables = BlockPool(64, 4, longest=8), [[], [], []]
    for _ in range(8):
        for table in tables:
            table.append(pool.allocate(table[-1] if table else None))
    assert all(len(runs_of(table, 4, 32)) == 1 for table in tables)
    assert len({block for table in tables for block in table}) == 24


def test_equal_tokens_after_different_beginnings_are_different() -> None:
    pool = BlockPool(8, 2, longest=8)
    a, b = pool.allocate(None), pool.allocate(None)
    prefix = pool.register(a, 0, [5, 6])
    pool.register(b, prefix, [7, 8])
    assert pool.match([5, 6, 7, 8, 1])[0] == [a, b]
    assert pool.match([9, 9, 7, 8])[0] == [] and pool.match([7, 8, 5, 6])[0] == []
    assert pool.match([5, 6, 7])[0] == [a]


def test_cached_blocks_are_evicted_from_the_end_of_the_oldest_text() -> None:
    pool = BlockPool(10, 1, longest=8)
    table, prefix = [], 0
    for token in range(10):
        table.append(pool.allocate(table[-1] if table else None))
        prefix = pool.register(table[-1], prefix, [token])
    assert pool.allocate(None) is None
    assert {pool.state_of(block) for block in table} == {"in use"}
    pool.release(table)
    assert {pool.state_of(block) for block in table} == {"cached"}
    assert pool.available == 10 and pool.match(list(range(10)))[0] == table
    block = pool.allocate(None)
    assert sorted(map(pool.state_of, table)) == ["cached"] * 2 + ["free"] * 7 + ["in use"]
    assert block in table and pool.evictions == 8 and pool.match(list(range(10)))[0] == table[:2]


@pytest.mark.parametrize("seed", range(20))
def test_any_history_keeps_the_books(seed: int) -> None:
    """References are those of the tables, and the content of a block changes only when nobody can read it."""
    rng, pool = stream(seed, "pool"), BlockPool(12, 2, longest=8)
    tables: list[tuple[list[int], list[int]]] = []                   # blocks and tokens of each sequence
    content: dict[int, tuple[int, ...]] = {}                         # block -> all tokens up to its end
    for _ in range(300):
        if rng.random() < 0.6 or not tables:
            tokens = rng.integers(2, size=2 * rng.integers(1, 5)).tolist()
            table, prefix = pool.match(tokens)
            for at, block in enumerate(table):
                assert content[block] == tuple(tokens[: 2 * at + 2])
                pool.share(block)
            while len(table) < len(tokens) // 2:
                block = pool.allocate(table[-1] if table else None)
                if block is None:
                    break
                assert all(block not in blocks for blocks, _ in tables)
                table.append(block)
                content[block] = tuple(tokens[: 2 * len(table)])
                prefix = pool.register(block, prefix, tokens[2 * len(table) - 2 : 2 * len(table)])
            tables.append((table, tokens))
        else:
            pool.release(tables.pop(int(rng.integers(len(tables))))[0])
        used = [block for blocks, _ in tables for block in blocks]
        assert pool.references == [used.count(block) for block in range(12)]
        assert pool.in_use == len(set(used))

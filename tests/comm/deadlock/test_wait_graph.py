"""The wait graph: the deadlocked ranks, and their description."""

import random

import pytest

from minipar.comm.deadlock.wait_graph import State, cycle, is_stuck, roll_call, say, stuck


def waits(peer: int, kind: str = "recv") -> State:
    return State("waiting", peer, "", kind, 0, kind, "forward 3", "train.py:88")


FINISHED, GONE, RUNNING, STOPPED, UNKNOWN = (State(doing)
                                             for doing in ("finished", "gone", "running", "stopped",
                                                           "unknown"))


@pytest.mark.parametrize("states, lost, ring", [
    ([RUNNING, RUNNING], set(), []),
    ([waits(1), RUNNING], set(), []),
    ([waits(1), waits(0)], {0, 1}, [0, 1]),
    ([waits(0), RUNNING], {0}, [0]),
    ([waits(1), waits(2), waits(0), RUNNING], {0, 1, 2}, [0, 1, 2]),
    ([waits(1), waits(2), waits(1), RUNNING], {0, 1, 2}, [1, 2]),
    ([waits(1), FINISHED], {0}, []),
    ([waits(1), waits(2), GONE], {0, 1}, []),
    ([waits(1), State("failed")], {0}, []),
    ([waits(1), waits(2), STOPPED], set(), []),
    ([waits(1), UNKNOWN], set(), []),
    ([waits(1), waits(0), waits(3), RUNNING], {0, 1}, [0, 1]),
])
def test_who_can_never_go_on(states: list[State], lost: set[int], ring: list[int]) -> None:
    assert stuck(states) == lost and cycle(states) == ring


def test_ranks_in_words() -> None:
    assert say(2, waits(1)) == "rank 2 waits in recv(source=1) 'forward 3' at train.py:88"
    assert say(0, State("waiting", 1, "", "send", 4, "send", "x",
                        "a.py:1")) == "rank 0 waits in send(dest=1, tag=4) 'x' at a.py:1"
    collective = State("waiting", 3, "tp", "recv", None, "all_reduce", "gradients", "data.py:41")
    assert (
        say(1, collective)
        == "rank 1 is in all_reduce 'gradients' of group 'tp' at data.py:41, in its recv(source=3)"
    )
    assert say(0, FINISHED) == "rank 0 has finished"
    assert say(0, State("running", location="model.py:7")) == "rank 0 is computing at model.py:7"


@pytest.mark.parametrize("states, begins", [
    ([waits(1), waits(0), RUNNING], "deadlock, a cycle of waiting 0 -> 1 -> 0: rank 0 waits"),
    ([waits(0)], "deadlock, rank 0 waits for itself: rank 0 waits"),
    ([waits(1), waits(2), FINISHED], "the partner has left, rank 2: rank 0 waits"),
    ([waits(1), RUNNING], "rank 0 waits"),
])
def test_the_diagnosis_comes_first_and_every_rank_is_named(states: list[State], begins: str) -> None:
    story = roll_call(states)
    assert story.startswith(begins) and "\n" not in story
    assert all(f"rank {rank} " in story for rank in range(len(states)))


@pytest.mark.parametrize("seed", range(30))
def test_the_paths_of_one_rank_say_whether_it_is_deadlocked(seed: int) -> None:
    """As the analysis of all ranks does, on random graphs; a rank may wait for any of several."""
    print("seed", seed)
    rng = random.Random(seed)
    size = rng.randrange(2, 12)
    states = [
        State("waiting", rng.randrange(size), others=rng.sample(range(size), rng.choice([0, 0, 0, 1, 2])))
        if rng.random() < 0.8
        else rng.choice([RUNNING, FINISHED, STOPPED])
        for _ in range(size)
    ]
    for rank in (rank for rank, state in enumerate(states) if state.doing == "waiting"):
        assert is_stuck(states, rank) == (rank in stuck(states)), (rank, states)


def test_many_ranks_are_summed_up() -> None:
    states = [State("waiting", (rank + 1) % 200, "", "recv", None, "all_reduce", "gradients", "train.py:8")
              for rank in range(200)]
    states[40], states[41], states[100] = waits(41), waits(40), RUNNING
    story = roll_call(states)
    assert story.startswith("deadlock, a cycle of waiting 40 -> 41 -> 40: rank 40 waits in recv(source=41)")
    assert "ranks 0 to 39, 42 to 99, 101 to 199: in all_reduce 'gradients' at train.py:8" in story
    assert "rank 100: computing" in story and len(story) < 400

"""Which light goes off, for results that are made here: no process runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.exercises.catalogue import every, find
from minipar.exercises.check import check, read_submission
from minipar.exercises.cost import fastest
from minipar.exercises.exercise import LIGHTS, Exercise, Par
from minipar.exercises.light import Light, Verdict
from minipar.exercises.lights import verdict
from minipar.exercises.outcome import of_error
from minipar.exercises.tasks import CallResult, GradedCall, RankResult, graded_calls
from minipar.exercises.wire import pack
from minipar.exercises.worker_process import problem

SOURCE = "def reduce_scatter(comm, x): ...\n"


@pytest.fixture
def exercise() -> Exercise:
    return find("ring_reduce_scatter")


def right(exercise: Exercise, call: GradedCall) -> CallResult:
    """What a right answer gives."""
    assert exercise.reference is not None and exercise.par is not None
    par = exercise.par(call.ranks, call.arguments)
    wanted = exercise.reference(call.ranks, call.arguments)
    bytes_of = par.bytes if isinstance(par.bytes, list) else [par.bytes] * call.ranks
    return CallResult(call, [RankResult(wanted[rank], messages=par.messages, bytes=bytes_of[rank])  # type: ignore
                             for rank in range(call.ranks)])


def judged(exercise: Exercise, spoil: Any = lambda result: None) -> Verdict:
    results = [right(exercise, call) for call in graded_calls(exercise, 1, [1, 2, 3])]
    for result in results:
        spoil(result)
    return verdict(exercise, SOURCE, results)


def states(found: Verdict) -> list[str]:
    return [light.state for light in found.lights]


def test_all_right(exercise: Exercise) -> None:
    assert judged(exercise).passed and judged(exercise).score == 1


def test_an_error_turns_off_the_first_light_and_darkens_the_others(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        if result.call.ranks == 3:
            result.ranks[1].error = problem("exception", "IndexError: 3", "a.py:7")

    found = judged(exercise, spoil)
    assert states(found) == ["off", "dark", "dark", "dark", "dark"] and found.score == 0
    assert "rank 1" in found.lights[0].diagnosis and "a.py:7" in found.lights[0].diagnosis


def test_every_call_has_inputs_of_its_own(exercise: Exercise) -> None:
    calls = graded_calls(exercise, 1)
    told = {pack(call.arguments) for call in calls if call.case != "empty"}
    assert len(told) == sum(call.case != "empty" for call in calls) and sum(not call.plain for call in calls) > 5


def test_a_wrong_value_darkens_cost_and_deadlock(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        for rank in result.ranks:
            rank.outputs = rank.outputs * 2

    assert states(judged(exercise, spoil)) == ["on", "off", "none", "dark", "dark"]


def test_a_shape_that_is_wrong_in_a_ragged_case_alone_is_a_wrong_value(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        if result.call.case == "ragged" and result.call.ranks == 2:
            result.ranks[0].outputs = np.zeros(9)

    found = judged(exercise, spoil)
    assert states(found)[:2] == ["on", "off"] and "'ragged'" in found.lights[1].where


def test_ranks_on_which_a_call_failed_are_not_called_right(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        if result.call.ranks == 2 and result.call.case == "plain":
            result.ranks = [RankResult(error=problem("stuck", "deadlock")) for _ in result.ranks]
        if result.call.ranks == 3:
            for rank in result.ranks:
                rank.outputs = rank.outputs + 1

    assert "right on 1 rank" in judged(exercise, spoil).light("values").where


def test_a_deadlock_in_an_ordinary_run_is_told_by_the_last_light(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        if result.call.ranks > 1:
            result.ranks = [
                RankResult(error=problem("stuck", "deadlock: rank 0 waits")) for _ in result.ranks
            ]

    found = judged(exercise, spoil)
    assert states(found) == ["on", "dark", "none", "dark", "off"]


def test_a_deadlock_on_several_ranks_is_shown_before_that_of_one_rank(exercise: Exercise) -> None:
    """On 1 rank, a rank waits for itself, which explains less than a cycle."""
    def spoil(result: CallResult) -> None:
        if not result.call.plain:
            result.ranks = [RankResult(error=problem("stuck", "deadlock: rank 0 waits")) for _ in result.ranks]

    assert "on 2 ranks" in judged(exercise, spoil).light("no deadlock").where


def test_a_result_that_depends_on_the_order_of_arrivals(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        if result.call.delays:
            result.ranks[0].outputs = result.ranks[0].outputs + 1

    found = judged(exercise, spoil)
    assert states(found) == ["on", "on", "none", "on", "off"] and "order" in found.lights[4].diagnosis


def test_fewer_bytes_than_the_result_needs_came_another_way(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        for rank in result.ranks:
            rank.bytes = 0

    assert states(judged(exercise, spoil))[3] == "off"


def test_a_changed_argument_is_a_wrong_value(exercise: Exercise) -> None:
    def spoil(result: CallResult) -> None:
        result.ranks[0].changed = [0]

    assert "changed the argument" in judged(exercise, spoil).light("values").diagnosis


def test_nothing_came_back(exercise: Exercise) -> None:
    assert states(verdict(exercise, SOURCE, [])) == ["off", "dark", "dark", "dark", "dark"]


def test_a_forbidden_helper_turns_off_the_first_light(exercise: Exercise) -> None:
    results = [right(exercise, call) for call in graded_calls(exercise, 1, [1, 2, 3])]
    found = verdict(exercise, "from minipar.comm.collectives import reduce_scatter\n", results)
    assert states(found)[0] == "off" and "line 1" in found.lights[0].diagnosis


def test_the_untouched_program_with_a_bug_shows_its_diagnoses_and_earns_nothing() -> None:
    bug = find("chunk_order_bug")
    results = [right(bug, call) for call in graded_calls(bug, 1, [2])]
    found = verdict(bug, bug.text("stub.py").replace("import numpy", "# a comment\nimport numpy"), results)
    assert found.score == 0 and found.lights[0].state == "off"


def test_a_judge_that_cannot_read_a_result_has_its_answer(tmp_path: Path) -> None:
    one = Exercise(kind="design", minutes=5, goal="", lesson="", inputs=lambda ranks, rng, size: [()], comm="",
                   judge=lambda ranks, arguments, results: "" if results[0]["width"] > 0 else "too narrow")
    call = graded_calls(one, 1)[0]
    for outputs, state in (({"width": 1}, "on"), ({"width": 0}, "off"), (None, "off"), ([], "off")):
        found = verdict(one, "", [CallResult(call, [RankResult(outputs)])])
        assert found.light("values").state == state


@pytest.mark.parametrize("error, words", [
    (problem("comm", "rank 0 of 1 in world: send names rank 1, but only one process is running, rank 0; start 2: mpirun -n 2 "
             "python ..."), ("the call runs on 1 rank", "modulo")),
    (problem("stuck", "rank 0 of 1: deadlock, rank 0 waits for itself: rank 0 waits"), ("deadlock", "own neighbour")),
    (problem("exception", "SyntaxError: '(' was never closed"), ("never closed", "the line before")),
    (problem("exception", "IndexError: 3"), ("IndexError", "print")),
    (problem("exception", "AttributeError: 'Clock' object has no attribute 'Get_rank'"), ("Get_rank", "comm.rank")),
    (problem("exception", "TypeError: Communicator.recv() missing 1 required positional argument: 'out'"), ("recv", "comm.recv(out")),
    (problem("exception", "TypeError: Allreduce() missing 1 required positional argument: 'recvbuf'"), ("recvbuf", "capital letter")),
    (problem("stuck", "the partner has left, rank 0: rank 0 has finished; rank 1 is in all_reduce at a.py:3, in its "
             "recv(source=0)"), ("has finished", "same number of times")),
    (problem("comm", "the ranks of world do not agree on number of elements"), ("agree", "same collective")),
    (problem("comm", "the ranks of world do not agree on number of elements and counts"), ("agree", "counts=")),
    (problem("comm", "send at a.py:3 needs a NumPy array, not float64"), ("float64", "x[:1]")),
    (problem("left", "the program has ended, but rank 0 never received a message from rank 1"), ("never", "source")),
    (problem("exception", "TypeError: message: expecting buffer or list/tuple, not NoneType"), ("buffer", "np.empty_like")),
    (problem("comm", "split at a.py:3 has color 0.0, which is not a 64-bit integer"), ("color", "a // b")),
    (problem("comm", "reduce_scatter at a.py:5 has 2 rows, but counts=[2, 2] are 4"), ("counts", "rows of all ranks")),
    (problem("stuck", "the partner has left, rank 1: rank 0 waits in recv(source=1, tag=1) (a message came with tag 0)"), ("tag", "tags differ")),
    (problem("stuck", "the partner has left, rank 0: rank 2 waits in recv(source=0)"), ("left", "no rank sends")),
    (problem("comm", "all partners have left: rank 0 waits in Recv(source=ANY_SOURCE)"), ("left", "too long")),
    (problem("stuck", "deadlock, a cycle of waiting 0 -> 1 -> 0: rank 0 waits in Recv(source=1); rank 1 waits in Recv(source=0)"),
     ("cycle", "none has sent")),
    (problem("stuck", "deadlock, a cycle of waiting 0 -> 1 -> 0: rank 0 waits in Recv(source=1); rank 1 waits in Send(dest=0)"),
     ("cycle", "which rank waits for which")),
    (problem("stuck", "deadlock, a cycle of waiting 0 -> 1 -> 0: rank 0 is in Wait at a.py:7, in its send(dest=1); rank 1 is in Wait"),
     ("cycle", "directly after Isend")),
    (problem("stuck", "deadlock, a cycle of waiting 0 -> 1 -> 0: rank 0 is in Sendrecv at a.py:7, in its recv(source=1)"),
     ("cycle", "as its dest")),
    (problem("stuck", "deadlock, a cycle of waiting 2 -> 1 -> 2: rank 0 is in allreduce of group 'a' at a.py:10, in its recv(source=2)"),
     ("cycle", "same order")),
    (problem("left", "the program has ended, but rank 0 never waited for its Irecv; rank 1 never received a message from rank 0"),
     ("Irecv", "Wait()")),
    (problem("comm", "recv at a.py:8 expects at most 4 elements of float64 from rank 0, which sent a pickled object of 159 bytes"),
     ("pickled", "do not mix")),
    (problem("comm", "recv at a.py:8 expects (1,) int64 from rank 0, which sent 1 element of float64"), ("expects", "dtype")),
    (problem("comm", "COMM_WORLD at a.py:3 is called outside a job; start the program with minipar run"), ("COMM_WORLD", "comm that")),
    (problem("comm", "send at a.py:8 got a non-contiguous array of shape (2,)"), ("contiguous", "copies")),
    (problem("comm", "recv at a.py:8 needs a NumPy array, not None"), ("None", "comm.recv(out")),
    (problem("comm", "recv at a.py:8 needs a NumPy array, not list"), ("list", "into an array")),
    (problem("comm", "Bsend at a.py:7: 80 bytes need an attached buffer of 176"), ("Bsend", "Isend")),
    (problem("exception", "TypeError: message: expecting buffer or list/tuple, not int"), ("buffer", "order")),
    (problem("exception", "AttributeError: 'Counting' object has no attribute 'allreduce'"), ("allreduce", "mp.all_reduce")),
    (problem("exception", "AttributeError: 'numpy.ndarray' object has no attribute 'rank'"), ("rank", "first argument")),
    (problem("exception", "AttributeError: module 'minipar' has no attribute 'all_gather'"), ("all_gather", "stub")),
    (problem("exception", "TypeError: all_gather() takes 2 positional arguments but 3 were given", "a.py:3"), ("takes", "by name")),
    (problem("exception", "TypeError: hello() takes 0 positional arguments but 1 was given"), ("takes", "parameters")),
    (problem("exception", "TypeError: hello() missing 1 required positional argument: 'x'"), ("missing", "parameters")),
    (problem("exception", "a.py defines no hello; keep the name that the stub gave it"), ("defines", "spelled")),
    (problem("exception", "TypeError: unsupported operand type(s) for /: 'list' and 'int'"), ("list", "np.array")),
    (problem("exception", "ValueError: operands could not be broadcast together with shapes (3,) (4,)"), ("broadcast", "shapes")),
    (problem("exception", "ValueError: matmul: Input operand 1 has a mismatch"), ("matmul", ".T")),
    (problem("exception", "ValueError: array split does not result in an equal division"), ("equal", "array_split")),
    (problem("exception", "ValueError: message: expecting 2 to 4 items"), ("items", "no buffer")),
    (problem("exception", "TypeError: 'numpy.float64' object cannot be interpreted as an integer"), ("integer", "len(x)")),
    (problem("exception", "IndexError: index -6 is out of bounds for axis 1 with size 3"), ("-6", "negative")),
    (problem("stub", "N is still None: write down what you expect"), ("None", "number")),
])
def test_an_error_has_the_next_step(
    exercise: Exercise, error: dict[str, str], words: tuple[str, str]
) -> None:
    call = graded_calls(exercise, 1, [2 if "rank 1" in error["text"] else 1])[0]
    found = of_error(0, error, CallResult(call, [RankResult(error=error)]))
    assert words[0] in found.text and words[1] in found.advice and "mpirun" not in found.text


def test_a_rank_that_waits_for_itself_on_two_ranks_is_no_neighbour_of_itself(exercise: Exercise) -> None:
    call = graded_calls(exercise, 1, [2])[0]
    error = problem("stuck", "deadlock, rank 0 waits for itself: rank 0 waits in recv(source=0)")
    assert "source" in of_error(0, error, CallResult(call, [RankResult(error=error)])).advice


def test_a_known_mistake_has_its_own_diagnosis_and_an_exchange_is_seen(exercise: Exercise) -> None:
    for change, words in ((lambda rank: exercise_pair(rank)[::-1], "first result is what the second result should be"),
                          (lambda rank: (exercise_pair(rank)[0], exercise_pair(rank)[1] * 0 + 7), "seven")):
        one = Exercise(kind="write", minutes=5, goal="", lesson="", inputs=lambda ranks, rng, size: [()] * ranks,
                       reference=lambda ranks, arguments: [exercise_pair(rank) for rank in range(ranks)],
                       mistakes={"seven is no answer\nthink": lambda ranks, arguments: [
                           (exercise_pair(rank)[0], np.full(3, 7.0)) for rank in range(ranks)]})
        call = graded_calls(one, 1, [3])[0]
        found = verdict(one, "", [CallResult(call, [RankResult(change(rank)) for rank in range(3)])])
        assert words in found.light("values").diagnosis


def exercise_pair(rank: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(3.0) + rank, np.arange(3.0) ** 2 - rank


@pytest.mark.parametrize("messages, sizes, words", [
    ([3, 0, 0, 0], [0] * 4, "other ranks"), ([2, 2, 0, 0], [0] * 4, "does not need")])
def test_too_many_messages_have_a_next_step_that_fits(
    messages: list[int], sizes: list[int], words: str
) -> None:
    """par: 1 message of each of 3 ranks."""
    one = Exercise(kind="write", minutes=5, goal="", lesson="", inputs=lambda ranks, rng, size: [()] * ranks,
                   reference=lambda ranks, arguments: [0.0] * ranks, par=lambda ranks, arguments: Par(messages=[1, 1, 1, 0]))
    call = graded_calls(one, 1, [4])[0]
    results = [
        RankResult(0.0, messages=count, bytes=size) for count, size in zip(messages, sizes, strict=True)
    ]
    assert words in verdict(one, "", [CallResult(call, list(results))]).light("cost").advice


def test_virtual_time_over_par_names_latency_or_bandwidth() -> None:
    one = Exercise(kind="par", minutes=5, goal="", lesson="", inputs=lambda ranks, rng, size: [()] * ranks,
                   reference=lambda ranks, arguments: [0.0] * ranks, par=lambda ranks, arguments: Par(seconds=1e-5))
    call = graded_calls(one, 1, [2])[0]
    for count, size, words in ((9, 72, "latency"), (2, 1_000_000, "bandwidth")):
        results = [RankResult(0.0, messages=count, bytes=size, seconds="1/1000") for _ in range(2)]
        assert words in verdict(one, "", [CallResult(call, list(results))]).light("cost").advice


@pytest.mark.parametrize("allowed, peers, words", [
    ([[1], [0]], [[1], [0]], ""), (None, [[1], [0]], ""), ([[1], []], [[1], [0]], "rank 1 sends to rank 0; it may send to no rank"),
    ([[1], [0]], [[0, 1], [0]], "rank 0 sends to rank 0; it may send only to rank 1")])
def test_a_message_to_a_rank_that_the_task_does_not_allow(allowed: Any, peers: list[list[int]], words: str) -> None:
    one = Exercise(kind="write", minutes=5, goal="", lesson="", inputs=lambda ranks, rng, size: [()] * ranks,
                   reference=lambda ranks, arguments: [0.0] * ranks, par=lambda ranks, arguments: Par(peers=allowed))
    call = graded_calls(one, 1, [2])[0]
    light = verdict(one, "", [CallResult(call, [RankResult(0.0, peers=each) for each in peers])]).light("cost")
    assert (light.state, light.diagnosis) == ("off" if words else "on", words)


@pytest.mark.parametrize("exercise", [one for one in every() if one.comm and one.par], ids=lambda one: one.name)
def test_only_exercises_of_kind_par_have_a_best_time(exercise: Exercise) -> None:
    """A limit of the virtual time makes no contest of an exercise of another kind."""
    call = GradedCall(0, 2, "", [(), ()], clock=True)
    passed = Verdict(tuple(Light(name, "on") for name in LIGHTS))
    time = fastest(exercise, passed, [CallResult(call, [RankResult(seconds="1/8")] * 2)])
    assert time == (0.125 if exercise.kind == "par" else None)


def test_peak_memory_is_a_cost(tmp_path: Path) -> None:
    """Twice the array is par; the second function keeps a third one."""
    one = Exercise(kind="write", minutes=5, goal="", lesson="", function="f", comm="", folder=tmp_path,
                   inputs=lambda ranks, rng, size: [(rng.standard_normal(size),)], cases={"plain": 100_000},
                   reference=lambda ranks, arguments: [arguments[0][0] * 2 + 1],
                   par=lambda ranks, arguments: Par(memory=2 * arguments[0][0].nbytes + 50_000))
    for text, state in (
        ("y = x * 2\n    y += 1\n    return y", "on"),
        ("y = x * 2\n    z = x * 3\n    w = y + 1\n    return w", "off"),
    ):
        path = tmp_path / "f.py"
        path.write_text(f"def f(x):\n    {text}\n")
        found = check(one, read_submission(path), mpi=False).threads
        assert found.light("values").state == "on" and found.light("cost").state == state

"""The notice board of a node, and the watcher that reads it."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from minipar.comm.deadlock import board as board_module
from minipar.comm.deadlock.board import HEAD, Board, Notice, Process, board_bytes, life_of
from minipar.comm.deadlock.exit_pipe import watch_lifeline
from minipar.comm.deadlock.stack_probe import be_findable, find
from minipar.comm.deadlock.wait_graph import State
from minipar.comm.deadlock.watcher import Alarm, watch

WAITING = State("waiting", 1, "tp", "recv", 3, "recv", "forward", "train.py:88",
                "a message came with tag 4")


@pytest.fixture
def board() -> Iterator[Board]:
    """Of a job of 3 ranks, of which 0 and 2 run on this node."""
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), board_bytes(2))
        yield Board(file.fileno(), 3, {0: 0, 2: 1})


NONE = 999                                                          # no open file of any process here
HERE = Process(os.getpid(), 0, NONE)
HOLDS = """
import time
from minipar.comm.deadlock.exit_pipe import hold_lifeline
print(hold_lifeline(), flush=True)
time.sleep(60)
"""


def holding() -> tuple[subprocess.Popen, Process]:
    """A process that holds a lifeline, and how it signs in."""
    child = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        return child, Process(child.pid, 0, int(child.stdout.readline()))


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "this does not come about"
        time.sleep(0.01)


def watched(board: Board) -> str:
    return watch(board, Alarm({rank: board.process(rank) for rank in board.slots})).removeprefix(
        "CommError: "
    )


def test_a_notice_is_read_as_it_was_written(board: Board) -> None:
    board.sign_in(2, HERE)
    board.write(2, WAITING)
    board.looked(2)
    board.looked(2, times=3)
    assert board.read(2) == Notice(WAITING, version=4, looks=4)
    board.write(2, State("finished"))
    assert board.read(2) == Notice(State("finished"), version=6, looks=0)


WRITES = """
import sys, time
from minipar.comm.deadlock.board import Board
from minipar.comm.deadlock.wait_graph import State
board, end = Board(int(sys.argv[1]), 3, {0: 0, 2: 1}), time.monotonic() + 1.5
while time.monotonic() < end:
    board.write(2, State("waiting", label="w" * 50))
    board.looked(2)
"""


def test_no_notice_is_read_half_written(board: Board) -> None:
    """Once a reader could come between a word cleared and the word written: an even version, and no text."""
    board.sign_in(2, HERE)
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(board.file)], pass_fds=[board.file])
    versions = set()
    while writer.poll() is None:
        notice = board.read(2)
        assert notice.version == 2 or notice.state == State("waiting", label="w" * 50)
        versions.add(notice.version)
    assert len(versions) > 10 and writer.returncode == 0


def test_a_rank_of_another_node_is_out_of_sight(board: Board) -> None:
    for rank in (0, 2):
        board.sign_in(rank, HERE)
    assert [notice.state.doing for notice in board.everyone()] == ["running", "unknown", "running"]


def test_any_label_fits(board: Board) -> None:
    board.sign_in(0, HERE)
    board.sign_in(2, HERE)
    board.write(0, State("waiting", 2, "\N{SNOWMAN}" * 1000, "recv", 1, "recv", "\N{SNOWMAN}" * 1000,
                         "/".join(["deep"] * 100)))
    assert board.read(0).state.label == "\N{SNOWMAN}" * 80
    board.write(0, State("waiting", 2, "\0" * 100, "recv", 1, "recv", "\0" * 100, "\0" * 100))
    assert board.read(0).state == State("waiting", 2, "", "recv", 1, "recv") and board.read(2).version == 2


def test_stopped_and_dead_processes_are_seen(board: Board, child: subprocess.Popen) -> None:
    board.sign_in(0, Process(child.pid, 0, NONE))
    assert board.read(0).state.doing == "running"
    os.kill(child.pid, signal.SIGSTOP)
    until(lambda: board.read(0).state.doing == "stopped")
    assert board.read(0).state.detail == f"kill -CONT {child.pid} lets it go on"
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: board.read(0).state.doing == "gone")              # a zombie counts as gone
    child.wait()
    assert board.read(0).state.doing == "gone"


def test_a_rank_that_died_while_it_wrote_holds_nobody_up(board: Board, child: subprocess.Popen) -> None:
    board.sign_in(0, Process(child.pid, 0, NONE))
    HEAD.pack_into(board.memory, board._at(0), 3, 0, child.pid, 0, 0, 17)
    child.kill()
    child.wait()
    assert board.read(0).state.doing == "gone"


def test_one_rank_may_report(board: Board) -> None:
    assert [board.claim() for _ in range(3)] == [True, False, False]


def test_the_watcher_tells_of_a_rank_that_left_without_a_word(board: Board, child: subprocess.Popen) -> None:
    board.sign_in(0, HERE)
    board.write(0, State("waiting", 2, "", "recv", None, "barrier", "epoch", "train.py:9"))
    board.sign_in(2, Process(child.pid, 0, NONE))
    child.kill()
    assert watched(board) == (
        "rank 2 ended without an error message (killed, out of memory, or os._exit): the partner "
        "has left, rank 2: "
        "rank 0 is in barrier 'epoch' at train.py:9, in its recv(source=2); rank 1 is "
        "on another host, its state "
        "unknown; rank 2 is gone"
    )


def test_the_watcher_knows_who_ended_first(board: Board) -> None:
    """The launcher kills the other ranks, often before the watcher comes to read the board."""
    ranks = {}
    for rank in (0, 2):
        ranks[rank], process = holding()
        board.sign_in(rank, process)
        board.write(rank, State("waiting", 1, "", "recv", None, "barrier", "epoch", "train.py:9"))

    alarm = Alarm({rank: board.process(rank) for rank in ranks})
    for rank in (2, 0):
        ranks[rank].kill()
        ranks[rank].wait()
    story = watch(board, alarm)
    assert story.startswith("CommError: rank 2 ended without an error message")
    assert "rank 0 is in barrier 'epoch'" in story and story.endswith("rank 2 is gone")


def test_a_lifeline_breaks_though_a_child_lives_on() -> None:
    forks = HOLDS.replace("time.sleep",
                          "import os\nif not os.fork():\n    print(os.getpid(), flush=True)\ntime.sleep")
    with subprocess.Popen([sys.executable, "-c", forks], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lifeline, child = int(parent.stdout.readline()), int(parent.stdout.readline())
        queue, file = select.epoll(), watch_lifeline(parent.pid, lifeline)
        queue.register(file, select.EPOLLHUP)
        assert not queue.poll(0)
        parent.kill()
        assert queue.poll(10) == [(file, select.EPOLLHUP)]
        os.close(file)
        os.kill(child, signal.SIGKILL)


def test_the_watcher_is_silent_where_all_have_ended_or_the_error_is_told(
    board: Board, child: subprocess.Popen
) -> None:
    for rank in (0, 2):
        board.sign_in(rank, Process(child.pid, 0, NONE))
    child.kill()
    child.wait()
    assert board.claim() and watched(board) == ""                     # another has the word
    for rank in (0, 2):
        board.write(rank, State("finished"))
    assert watched(board) == ""


def test_the_watcher_tells_what_a_rank_cannot(board: Board) -> None:
    for rank in (0, 2):
        board.sign_in(rank, HERE)
        board.write(rank, State("failed", detail="CommError: no stream" * (rank == 2)))
    assert board.claim() and watched(board) == "no stream"


def test_the_watcher_frees_the_mpi_library_s_memory_once_all_have_ended(board: Board) -> None:
    path = f"/dev/shm/mpich_shm_test_{os.getpid()}"
    code = (f"import mmap, time\nwith open({path!r}, 'wb+') as file:\n    file.truncate(4096)\n"
            "    memory = mmap.mmap(file.fileno(), 4096)\nprint('mapped', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "mapped\n"
        board.sign_in(0, Process(process.pid, 0, NONE))
        board.sign_in(2, Process(process.pid, 0, NONE))
        command = [sys.executable, "-m", "minipar.comm.deadlock.watcher", str(board.file), "3", "", "0", "2"]
        with subprocess.Popen(command, pass_fds=[board.file], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as watcher:
            assert watcher.stdout is not None and watcher.stdout.read(1) == "!" and os.path.exists(path)
            process.kill()
            _, said = watcher.communicate(timeout=10)
    assert "ended without an error message" in said and not os.path.exists(path)


def test_a_busy_process_tells_where_it_is() -> None:
    code = ("from minipar.comm.deadlock.stack_probe import be_findable\n"
            "handle = be_findable()\n"
            "for turn in range(10**9):\n"
            "    if turn == 10:\n"
            "        print(handle, flush=True)\n")
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(code)
        program.flush()
        with subprocess.Popen([sys.executable, program.name], stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": os.getcwd()}) as process:
            assert process.stdout is not None
            handle = int(process.stdout.readline())
            places = {find(process.pid, handle) for _ in range(2)}
            process.kill()
    assert places <= {f"{os.path.basename(program.name)}:{line}" for line in (3, 4, 5)} and places


def test_a_process_that_does_not_answer_is_nowhere(child: subprocess.Popen) -> None:
    handle = be_findable()
    assert find(os.getpid(), handle).startswith("test_board.py:")  # where it asks itself
    assert find(2**22 - 1, handle) == ""


def test_life_without_a_process_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no /proc: a process that answers is alive, and no rank may look gone just because nothing can
    be read.
    """
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(board_module, "PROCESS_TABLE", "/nowhere")
    assert life_of(os.getpid()) == "alive"
    assert life_of(ended.pid) == "gone"

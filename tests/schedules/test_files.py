"""Schedules of one's own from JSON and Python files: what they may say, and what is said of their
mistakes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minipar.errors import ScheduleError
from minipar.schedules.files import from_json, load_json, load_python, to_json
from minipar.schedules.find import find_schedule
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.lint import lint
from tests.untrusted.test_untrusted import no_plain_files


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("ranks, micro_batches", [(1, 1), (2, 5), (4, 3)])
def test_there_and_back(tmp_path: Path, name: str, ranks: int, micro_batches: int) -> None:
    schedule = make_schedule(name, ranks, micro_batches)
    path = tmp_path / "some.json"
    path.write_text(json.dumps(to_json(schedule)))
    assert load_json(path) == schedule


def test_json() -> None:
    assert to_json(make_schedule("1f1b", 2, 2)) == {
        "name": "1f1b", "micro_batches": 2, "stage_to_rank": [0, 1], "orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}
    assert to_json(make_schedule("zb-v", 1, 1))["orders"] == ["F0@0 F0@1 B0@1 W0@1 B0@0 W0@0"]


def test_what_a_file_need_not_say(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    # as Windows saves it
    path.write_text('{"orders": ["F0 F1 B0 B1", ["F0", "B0", "F1", "B1"]]}', encoding="utf-8-sig")
    assert to_json(load_json(path)) == {**to_json(make_schedule("1f1b", 2, 2)), "name": "mine"}
    vee = from_json({"orders": ["F0@0 F0@3", "F0@1 F0@2"]}, "v.json")
    assert vee.stage_to_rank == (0, 1, 1, 0) and vee.forward_only and not vee.split and lint(vee).safe_sync
    assert from_json({"orders": ["F0 B0 W0"]}, "w.json").split


def test_what_is_wrong_in_a_file_is_for_lint_to_say(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"], "micro_batches": 3}')
    with pytest.raises(ScheduleError, match=r"rank 0.*F2 is not among"):
        lint(load_json(path))


@pytest.mark.parametrize("text, said", [
    ('{"orders": ["F0"\n"B0"]}', ", line 2, column 1: not JSON: Expecting ',' delimiter"),
    ("", ", line 1, column 1: not JSON: Expecting value"),
    ("\xff", ": not UTF-8: byte 0; write JSON as text"),
    ("[" * 100000, ": JSON with more than"),
    ("[]", ': no orders; write {"orders": ["F0 B0", ...]}, one for each rank'),
    ('{"stage_to_rank": [0]}', ": no orders; write"),
    ('{"orders": ["F0"], "ranks": 1}',
     ": unknown field 'ranks'; choose among name, micro_batches, stage_to_rank, orders"),
    ("9" * 10_000, ": cannot read this JSON: a number of 10,000 digits"),
    ('{"orders": [' + '"F0 B0",' * 300_000 + '""]}', ": more than 2,048 orders"),
    ('{"orders": ["' + "F0 " * 1_000_001 + '"]}', ": more than 1,000,000 instructions"),
    ('{"orders": ["F0"], "stage_to_rank": [-1]}',
     ": stage_to_rank names rank -1; there are orders for ranks 0 to 0"),
    ('{"orders": ["F0"], "stage_to_rank": [' + "9" * 300 + "]}", ": stage_to_rank names rank 9999"),
    ('{"orders": ["F0"], "micro_batches": 0}', ": micro_batches is 0; write a number from 1"),
    ('{"orders": ["F0"], "micro_batches": ' + "9" * 300 + "}", ": micro_batches is 9999"),
    ('{"orders": ["F0"], "\\u001b[31m": 3}', ": unknown field "),
    ('{"orders": ["' + "x" * 10_000 + '"]}', ", rank 0, step 0: "),
    ('{"orders": ["F0"], "stage_to_rank": "0"}',
     ": stage_to_rank is '0'; write a list of ranks, one for each stage"),
    ('{"orders": ["F0"], "stage_to_rank": [true]}',
     ": stage_to_rank is [True]; write a list of ranks, one for each stage"),
    ('{"orders": ["F0"], "micro_batches": 1.5}', ": micro_batches is 1.5; write a whole number"),
    ('{"orders": ["F0"], "name": 1}', ": name is 1; write a text of one line"),
    ('{"orders": ["F0"], "name": "a\\n\\u001b[31m"}', r": name is 'a\n\x1b[31m'; write a text of one line"),
    ('{"orders": ["", ""], "micro_batches": 2}',
     ": there is no instruction in the orders; write for example F0 B0"),
    ('{"orders": "F0 B0"}', ": the orders are of type str; give a list with an order for each rank"),
    ('{"orders": ["F0", 7]}', ", rank 1: the order is of type int; give a text or a list"),
    ('{"orders": ["F0", "F0 f1"]}',
     ", rank 1, step 1: 'f1' is not an instruction"),
    ('{"orders": ["F0 B", "F0"]}', ", rank 0, step 1: 'B' is not an instruction"),
    ('{"orders": [["F0", 0]]}', ", rank 0, step 1: 0 is not an instruction"),
    ('{"orders": ["F0", "F0@3"]}',
     ": no rank has stage 1, but rank 1 has stage 3; use every stage from 0 on"),
    ('{"orders": ["F0@0 F0"], "stage_to_rank": [0, 0]}',
     ", rank 0, step 1: F0 does not give its stage, but its rank has 2 stages; "),
    ('{"orders": ["F0", "F0"], "stage_to_rank": [0]}',
     ", rank 1, step 0: F0 does not give its stage, but its rank has 0 stages"),
])
def test_mistakes_in_json(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(text.encode("latin-1"))
    assert message(lambda: load_json(path)).startswith(f"{path}{said}")


def test_many_ranks_take_no_longer_than_their_number(tmp_path: Path) -> None:
    """The largest file that is read: what is quadratic in the number of ranks would take minutes."""
    path = tmp_path / "wide.json"
    path.write_text(json.dumps({"orders": ["F0 B0"] * 2048}))
    schedule = load_json(path)
    assert lint(schedule).safe_sync and schedule.in_order and to_json(schedule)["orders"] == ["F0 B0"] * 2048


def test_what_is_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in no_plain_files(Path(".")):
        for load in (load_json, lambda path: load_python(path, 2, 2)):
            assert message(lambda load=load, path=path: load(path)).startswith(str(path))


GPIPE = """
def schedule(ranks, micro_batches):
    every = range(micro_batches)
    return [[f"F{m}" for m in every] + [f"B{m}" for m in every] for _ in range(ranks)]
"""
INSTRUCTIONS = """
from __future__ import annotations
from dataclasses import dataclass
from minipar.schedules.instruction import Instruction

@dataclass
class Step:
    kind: str
    def of(self, stage, micro):
        return Instruction(self.kind, stage, micro)

def schedule(ranks, micro_batches):
    every = range(micro_batches)
    return [[Step("F").of(r, m) for m in every] + [Step("B").of(r, m) for m in every] for r in range(ranks)]
"""
NUMPY = """
import numpy as np
from minipar.schedules.instruction import Instruction

def schedule(ranks, micro_batches):
    return [[Instruction(kind, rank, micro) for kind in "FB" for micro in np.arange(micro_batches)] for rank in range(ranks)]
"""
MADE = """
from minipar.schedules.instruction import Instruction, Schedule

def schedule(ranks, micro_batches):
    return Schedule('own', *"""

REPLACED = """
from dataclasses import replace
from minipar.schedules.generators import make_schedule

def schedule(ranks, micro_batches):
    return replace(make_schedule('gpipe', ranks, micro_batches), """

GENERATOR = """
from minipar.schedules.generators import make_schedule

def schedule(ranks, micro_batches):
    return make_schedule("gpipe", ranks, micro_batches)
"""


@pytest.mark.parametrize("source", [GPIPE, INSTRUCTIONS, GENERATOR, NUMPY])
def test_python(tmp_path: Path, source: str) -> None:
    path = tmp_path / "gpipe.py"
    path.write_text(source)
    assert repr(load_python(path, 3, 4)) == repr(make_schedule("gpipe", 3, 4))


def test_python_must_do_all_micro_batches_that_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("def schedule(ranks, micro_batches): return ['F0 B0'] * ranks")
    assert load_python(path, 2, 2).micro_batches == 2


@pytest.mark.parametrize("source, said", [
    ("", " is empty"), ("x = (", ", line 1: SyntaxError: '(' was never closed"),
    ("import nothing.at.all", ", line 1: ModuleNotFoundError: No module named 'nothing'"),
    ("\ndef schedule(ranks, micro_batches):\n    return 1 / (ranks - 2)",
     ", line 3: ZeroDivisionError: division by zero"),
    ("def schedule(ranks, micro_batches):\n    int('7\\n8')",
     ", line 2: ValueError: invalid literal for int() with base 10"),
    ("open('none')", ", line 1: FileNotFoundError: [Errno 2] No such file or directory: 'none'"),
    ("import sys\nsys.exit(3)", ", line 2: SystemExit: 3"),
    ("raise GeneratorExit", ", line 1: GeneratorExit"),
    ("class Own(BaseException): pass\nraise Own('x')", ", line 2: Own: x"),
    ("import asyncio\ndef schedule(ranks, micro_batches):\n    raise asyncio.CancelledError",
     ", line 3: CancelledError"),
    ("def schedule(ranks):\n    return []",
     ": TypeError: schedule() takes 1 positional argument but 2 were given"),
    ("orders = []",
     ": no function schedule(ranks, micro_batches); define one that returns an order for each rank"),
    ("def schedule(ranks, micro_batches):\n    pass",
     ": the orders are of type NoneType; give a list with an order for each rank"),
    ("def schedule(ranks, micro_batches): return ['F0 B0'] * 3",
     ": schedule(2, 1) returns orders for 3 ranks; return 2"),
    ("def schedule(ranks, micro_batches): return ['F0 B0', 'F0 Q0']",
     ", rank 1, step 1: 'Q0' is not an instruction"),
    ("x = '\0'", ": SyntaxError: source code string cannot contain null bytes"),
    ("assert False", ", line 1: AssertionError"),
    ("def schedule(ranks, micro_batches): return 10 ** 5000", ": the orders are of type int"),
    ("def schedule(ranks, micro_batches): return [[10 ** 5000], []]", ", rank 0, step 0: "),
    ("class Own(list):\n    def __iter__(self):\n        raise KeyError('x')\ndef schedule(r, m): return "
     "Own('ab')", ", line 3: KeyError"),
    (MADE + "(10 ** 5000, (0, 1), ((), ())))", ": micro_batches is "),
    (MADE + "(2, (0, 1), (('F0',), ())))", ": schedule(2, 1) returns orders for 2 micro-batches; return 1"),
    (MADE + "('1', (0, 1), ((), ())))", ": micro_batches is '1'; write a whole number"),
    (MADE + "(1, '01', ((), ())))", ": stage_to_rank is '01'; write a list of ranks"),
    (MADE + "(1, (0, 1), ((('F', 0, 0),), ())))", ", rank 0, step 0: ('F', 0, 0) is not an instruction"),
    (MADE + "(1, (0, 1), ((Instruction('F', 0, 1.0),), ())))",
     ", rank 0, step 0: Instruction(kind='F', stage=0, micro=1.0) is no"),
    (MADE + "(1, (0, 1), ((Instruction(['F'], 0, 1),), ())))",
     ", rank 0, step 0: Instruction(kind=['F'], stage=0, micro=1) is no"),
    # texts that cannot be made, classes that lie about their length, values that Schedule does not check
    *[(f"class Own(Exception):\n    def __str__(self): {body}\nraise Own", ", line 3: Own")
      for body in ("raise ValueError", "return 3", "return self.args[7]")],
    *[(f"class Own(list):\n    def __iter__(self):\n        while True: yield {item}\n"
       f"def schedule(r, m): return {made}", said)
      for item, made, said in (("'F0'", "[Own('a')] * r", ": more than 1,000,000 instructions"),
                               ("['F0']", "Own('a')", ": more than 2,048 orders"))],
    *[(f"{REPLACED}{field}={value})",
       f": {field} is ") for field, value in (
        ("name", "3"), ("name", "None"), ("name", "'a\\nb'"), ("name", "'x' * 999"), ("split", "'no'"),
        ("split", "None"), ("split", "[0]"), ("forward_only", "1"))],
    ("import sys\ndef schedule(r, m):\n    sys.stderr = sys.stdout = None\n    1 / 0", ", line 4: ZeroDivis"),
    (MADE + "(1, (0, 1), 7))", ": the orders are of type int; give a list with an order for each rank"),
])
def test_mistakes_in_python(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(source)
    assert message(lambda: load_python(path, 2, 1)).startswith(f"{path}{said}")


def test_a_schedule_is_found_by_name_or_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(GPIPE)
    (tmp_path / "own.json").write_text(json.dumps(to_json(make_schedule("gpipe", 2, 3))))
    assert find_schedule("interleaved", 2, 3, 4) == make_schedule("interleaved", 2, 3, 4)
    for name in ("own.py", "own.json", "gpipe"):
        assert find_schedule(str(tmp_path / name) if "." in name else name, 2,
                             3).orders == make_schedule("gpipe", 2, 3).orders
    assert find_schedule(str(tmp_path / "own.json")).ranks == 2
    assert message(lambda: find_schedule(str(tmp_path / "own.json"), 2, 4)) == (
        f"{tmp_path / 'own.json'} is for 3 micro-batches, not 4; ask for 3, or use another file")
    assert message(lambda: find_schedule("own.txt")).startswith("no schedule is called 'own.txt'; choose one "
                                                                "of naive, gpipe, ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for load in (load_json, lambda path: load_python(path, 2, 2)):
        assert message(lambda load=load: load(tmp_path / "none")).startswith(
            f"{tmp_path / 'none'} cannot be read: No such file or directory; name another file")


def message(load: object) -> str:
    with pytest.raises(ScheduleError) as caught:
        load()                                                       # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_of_version_0_1_calls_the_ranks_of_stages_homes() -> None:
    orders = ["F0 F1 B0 B1", "F0 B0 F1 B1"]
    old, new = ({name: [0, 1], "orders": orders} for name in ("homes", "stage_to_rank"))
    assert from_json(old, "x.json") == from_json(new, "x.json")

"""Finds slips in the source of a submission: Python that runs, but does not mean what a beginner expects.

A slip often causes a diagnosis that does not show it. An example is `rank = comm.Get_rank` without
parentheses: then `rank == 0` is false on every rank, and the program ends with messages that nobody received.
So the first light that is off names the first slip of the source, with its line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

METHODS = ("Get_rank", "Get_size", "Get_source", "Get_tag", "Get_count")
RETURN_NOTHING = ("Send", "Recv", "Sendrecv", "Allreduce", "Allgather", "Bcast", "Gather", "Scatter",
                  "Reduce", "Alltoall", "send")
REQUESTS = ("irecv", "isend")


def first_slip(source: str) -> str:
    """Return the first slip as "line N: text". Return "" if there is none, or if the source is invalid."""
    try:
        tree = ast.parse(source)
        found = sorted(slip for search in SEARCHES for slip in search(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return f"line {found[0][0]}: {found[0][1]}" if found else ""


Slips = Iterator[tuple[int, str]]                                   # (line, text)


def methods_without_a_call(tree: ast.AST) -> Slips:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS and id(node) not in called:
            name = ast.unparse(node)
            yield node.lineno, f"`{name}` is a method: call it, {name}()"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Attribute):
            name = ast.unparse(node)
            yield node.lineno, f"`{name}` alone does nothing: call it, {name}()"


def errors_that_are_hidden(tree: ast.AST) -> Slips:
    """`except Exception: pass` hides the line that fails."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(one, ast.Pass) for one in node.body):
            yield node.lineno, "this `except` hides an error: without it, the check names the line that fails"


def defaults_that_live_on(tree: ast.AST) -> Slips:
    """A mutable default value is made once, and all calls share it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                if isinstance(default, ast.List | ast.Dict | ast.Set):
                    text = ast.unparse(default)
                    yield node.lineno, (f"the default `{text}` is made only once, and all calls of "
                                        f"{node.name} share it: make it inside the function")


def powers_as_exclusive_or(tree: ast.AST) -> Slips:
    """`2 ^ k` is often meant as a power. `rank ^ k` is right: it flips bits of the rank."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
            left = node.left
            if isinstance(left, ast.Constant) and left.value in (2, 10):
                power = f"{left.value} ** {ast.unparse(node.right)}"
                yield node.lineno, f"`{ast.unparse(node)}` is an exclusive or; a power is {power}"


def remainders_of_one(tree: ast.AST) -> Slips:
    """`rank + 1 % size` is rank + (1 % size)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            right = node.right
            if (isinstance(right, ast.BinOp) and isinstance(right.op, ast.Mod)
                    and isinstance(right.left, ast.Constant) and not isinstance(node.left, ast.Constant)):
                sign = "+" if isinstance(node.op, ast.Add) else "-"
                sum_ = f"({ast.unparse(node.left)} {sign} {ast.unparse(right.left)})"
                yield node.lineno, f"% is computed before + and -: write {sum_} % {ast.unparse(right.right)}"


def results_of_nothing(tree: ast.AST) -> Slips:
    """`x = comm.Recv(...)` stores None."""
    for _, value in assignments(tree):
        if (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)
                and value.func.attr in RETURN_NOTHING and isinstance(value.func.value, ast.Name)
                and value.func.value.id in ("comm", "part", "row", "col", "column")):
            ends = ("what it receives is in the array that you pass" if value.func.attr.lower() != "send"
                    else "a send has no result")
            yield value.lineno, f"{ast.unparse(value.func)} returns None: {ends}"


def one_array_with_two_names(tree: ast.AST) -> Slips:
    """`a = b = np.zeros(1)` makes one array."""
    for node in ast.walk(tree):
        if (isinstance(node, ast.Assign) and len(node.targets) > 1 and isinstance(node.value, ast.Call)
                and ast.unparse(node.value.func).startswith("np.")):
            names = " and ".join(ast.unparse(target) for target in node.targets)
            yield node.lineno, f"{names} are the same array: make one array for each name"


def arrays_received_into_again(tree: ast.AST) -> Slips:
    """`first = buffer` does not copy; the next receive into `buffer` overwrites `first`."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        receives = [(call.lineno, name) for call in ast.walk(function) if isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute) and "recv" in call.func.attr.lower()
                    for name in receive_buffers(call)]
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                name = node.value.id
                lines = [line for line, buffer in receives if buffer == name]
                if lines and min(lines) < node.lineno < max(lines):
                    yield node.lineno, (f"`{ast.unparse(node)}` does not copy: the next receive into {name} "
                                        f"overwrites it; write {name}.copy()")


def receive_buffers(call: ast.Call) -> list[str]:
    """Return the names of the arrays that a call may receive into. The first argument of a sendrecv is sent.
    """
    is_receive = isinstance(call.func, ast.Attribute) and "send" not in call.func.attr.lower()
    values = [*call.args[0 if is_receive else 1:],
              *(word.value for word in call.keywords if word.arg in ("recvbuf", "buf", "out"))]
    return [value.id for value in values if isinstance(value, ast.Name)]


def statuses_that_nobody_fills(tree: ast.AST) -> Slips:
    """Only the call that gets a Status fills it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    values = [value for call in calls for value in (*call.args, *(word.value for word in call.keywords))]
    passed = {value.id for value in values if isinstance(value, ast.Name)}
    for target, value in assignments(tree):
        if (isinstance(target, ast.Name) and target.id not in passed and isinstance(value, ast.Call)
                and ast.unparse(value.func).split(".")[-1] == "Status"):
            yield value.lineno, f"no receive fills `{target.id}`: pass it to the receive, status={target.id}"


def assignments(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield (target, value) of each assignment. `a, b = x, y` has two."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                yield from zip(target.elts, value.elts, strict=False)
            else:
                yield target, value


def requests_used_as_results(tree: ast.AST) -> Slips:
    """`comm.irecv(...)` returns a request. Its wait() returns the object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            for side in (node.left, node.right):
                if (isinstance(side, ast.Call) and isinstance(side.func, ast.Attribute)
                        and side.func.attr in REQUESTS):
                    yield side.lineno, (f"{ast.unparse(side.func)} returns a request: its wait() waits for "
                                        "the message, and returns the object")


def texts_without_an_f(tree: ast.AST) -> Slips:
    """A text such as "rank {rank}" without an f before its quotes contains the braces themselves."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | owners:
            found = re.search(r"\{([A-Za-z_]\w*)[^{}]*\}", node.value)
            if found and found[1] in names:
                yield node.lineno, f"the text contains {found[0]} itself: write f before its quotes"


def questions_to_the_keyboard(tree: ast.AST) -> Slips:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "input":
            yield node.lineno, "input() waits for the keyboard: the function gets all inputs as arguments"


def loops_that_end_at_once(tree: ast.AST) -> Slips:
    """A `return` in the body of a `for`, without an `if`, ends the function in the first pass."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            for line in node.body:
                if isinstance(line, ast.Return) and not has_jump(node.body[:node.body.index(line)]):
                    yield line.lineno, "this `return` ends the function in the first pass of its loop"


def has_jump(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Continue) for line in body for node in ast.walk(line))


def sums_that_are_overwritten(tree: ast.AST) -> Slips:
    """`total = 0`, and then `total = x` in a loop: only the x of the last pass is left."""
    for body in (node.body for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        zeros = {ast.unparse(target) for line in body for target, value in assignments(ast.Module([line], []))
                 if re.match(r"(np\.zeros|0\b)", ast.unparse(value))}
        for loop in (line for line in body if isinstance(line, ast.For)):
            read = {node.id for node in ast.walk(loop)
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
            for line in loop.body:
                name = ast.unparse(line.targets[0]) if isinstance(line, ast.Assign) else ""
                if name in zeros - read:
                    yield line.lineno, f"each pass of the loop overwrites {name}: is it `{name} += ...`?"


SEARCHES: tuple[Callable[[ast.AST], Slips], ...] = (
    methods_without_a_call, errors_that_are_hidden, defaults_that_live_on, powers_as_exclusive_or,
    remainders_of_one, results_of_nothing, one_array_with_two_names, arrays_received_into_again,
    statuses_that_nobody_fills, requests_used_as_results, texts_without_an_f, questions_to_the_keyboard,
    loops_that_end_at_once, sums_that_are_overwritten)

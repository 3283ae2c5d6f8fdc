"""Sixty submissions that hang, crash, cheat or destroy, and the lights that each may have at most.

Each is a file for the exercise ring_reduce_scatter. RIGHT is a right answer; what a hostile one does comes
before it, in its place, or around it.
"""

from __future__ import annotations

import inspect

RIGHT = '''
import numpy as np

def right(comm, x):
    p, rank = comm.size, comm.rank
    chunks = np.array_split(x, p)
    passing = chunks[(rank - 1) % p]
    for step in range(p - 1):
        own = chunks[(rank - step - 2) % p]
        passing = comm.sendrecv(passing, (rank + 1) % p, np.empty_like(own), (rank - 1) % p) + own
    return passing.copy()

def whole(comm, x):
    """Right, but with p times too many bytes."""
    total, passing = x.copy(), x
    for _ in range(comm.size - 1):
        passing = comm.sendrecv(passing, (comm.rank + 1) % comm.size, np.empty_like(x), (comm.rank - 1) % comm.size)
        total = total + passing
    return np.array_split(total, comm.size)[comm.rank].copy()

'''
HEAD = RIGHT + "def reduce_scatter(comm, x):\n"
NOTHING: frozenset[str] = frozenset()
RUNS, VALUES = frozenset({"runs"}), frozenset({"runs", "values", "no deadlock"})
ALL = frozenset({"runs", "values", "cost", "no deadlock"})


def body(text: str) -> str:
    return HEAD + "\n".join(f"    {line}" for line in inspect.cleandoc(text).splitlines()) + "\n"


def top(text: str) -> str:
    """Before a right answer, when the file is loaded."""
    return RIGHT + inspect.cleandoc(text) + "\n\ndef reduce_scatter(comm, x):\n    return right(comm, x)\n"


# name: (source, the lights that it may have at most)
HOSTILE: dict[str, tuple[str, frozenset[str]]] = {
    "loop": (body("while True: pass"), NOTHING),
    "loop at the top": (top("while True: pass"), NOTHING),
    "loop in numpy": (body("a = np.ones((3000, 3000))\nwhile True: a = a @ a"), NOTHING),
    "loop on one rank": (body("while comm.rank == comm.size - 1: pass\nreturn right(comm, x)"), NOTHING),
    "loop that swallows": (body("while True:\n    try:\n        comm.recv(np.empty(1), comm.rank)\n    except BaseException: pass"), NOTHING),
    "sleep": (body("import time\ntime.sleep(1000)"), NOTHING),
    "loop of tests": (body("r = comm.irecv(np.empty(1), comm.rank)\nwhile not comm.test(r): pass"), RUNS),
    "recursion": (body("return reduce_scatter(comm, x)"), NOTHING),
    "regular expression": (body("import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"), NOTHING),
    "large number": (body("return len(str(10 ** 10 ** 9))"), NOTHING),
    "receives from itself": (body("comm.recv(np.empty(1), comm.rank)"), RUNS),
    "receives in a ring": (body("comm.recv(np.empty(1), (comm.rank + 1) % comm.size)"), RUNS),
    "one rank leaves": (body("if comm.rank == 0: return x\ncomm.recv(np.empty(1), 0)"), RUNS),
    "barrier on some": (body("if comm.rank: comm.barrier()\nreturn x"), RUNS),
    "send without receive": (body("comm.send(x, (comm.rank + 1) % comm.size)\nreturn right(comm, x)"), RUNS),
    "another tag": (body("comm.send(x, (comm.rank + 1) % comm.size, tag=1)\ncomm.recv(np.empty_like(x), (comm.rank - 1) % comm.size, tag=2)"), RUNS),
    "sends first": (body("comm.send(x, (comm.rank + 1) % comm.size)\ncomm.recv(np.empty_like(x), (comm.rank - 1) % comm.size)\nreturn right(comm, x)"),
                    frozenset({"runs", "values"})),
    "exit": (body("import sys\nsys.exit(0)"), NOTHING),
    "exit at the top": (top("import sys\nsys.exit(0)"), NOTHING),
    "_exit": (body("import os\nos._exit(0)"), NOTHING),
    "_exit at the top": (top("import os\nos._exit(0)"), NOTHING),
    "abort": (body("import os\nos.abort()"), NOTHING),
    "kills its parent": (body("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"), NOTHING),
    "kills its group": (body("import os, signal\nos.killpg(0, signal.SIGKILL)"), NOTHING),
    "segmentation fault": (body("import ctypes\nctypes.string_at(0)"), NOTHING),
    "fork": (body("import os\nos.fork()\nreturn right(comm, x)"), NOTHING),
    "fork bomb": (body("import os\nwhile True: os.fork()"), NOTHING),
    "subprocess": (body("import subprocess\nsubprocess.run(['sleep', '1000'])"), NOTHING),
    "posix_spawn": (body("import os\nos.posix_spawn('/bin/sleep', ['sleep', '1000'], {})"), NOTHING),
    "exec": (body("import os\nos.execv('/bin/sleep', ['sleep', '1000'])"), NOTHING),
    "system": (body("import os\nos.system('sleep 1000')"), NOTHING),
    "multiprocessing": (body("import multiprocessing\nmultiprocessing.Process(target=print).start()"),
                        NOTHING),
    "a thread that stays": (body("import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\nreturn right(comm, x)"), ALL),
    "many threads": (body("import threading, time\nfor _ in range(100000): threading.Thread(target=time.sleep, args=(1000,)).start()"), NOTHING),
    "huge array": (body("return np.ones(1 << 40)"), NOTHING),
    "memory bit by bit": (body("kept = []\nwhile True: kept.append(np.ones(1 << 22))"), NOTHING),
    "huge list": (body("return [0] * (1 << 40)"), NOTHING),
    "huge result": (body("return np.ones(1 << 26)"), NOTHING),
    "deep result": (body("a = []\nfor _ in range(100000): a = [a]\nreturn a"), NOTHING),
    "result that is itself": (body("a = []\na.append(a)\nreturn a"), NOTHING),
    "flood": (body("while True: print('x' * 1000)"), NOTHING),
    "flood of one line": (body("print('x' * (1 << 28))\nreturn right(comm, x)"), ALL),
    "flood of the descriptor": (body("import os\nfor _ in range(100000): os.write(1, b'x' * 100000)\nreturn right(comm, x)"), ALL),
    "fills the disk": (body("open('big', 'wb').write(b'x' * (1 << 30))"), NOTHING),
    "many files": (body("for n in range(1 << 30): open(f'f{n}', 'w').write('x')"), NOTHING),
    "deletes itself": (body("import os\nos.remove(__file__)\nreturn right(comm, x)"), NOTHING),
    "deletes its folder": (body("import os, shutil\nshutil.rmtree(os.path.dirname(__file__))"), NOTHING),
    "overwrites itself": (body("open(__file__, 'w').write('')\nreturn right(comm, x)"), NOTHING),
    "overwrites minipar": (body("import minipar\nopen(minipar.__file__, 'a').write('#')\nreturn right(comm, x)"), NOTHING),
    "reads the solution": (body("""
        import minipar
        from pathlib import Path
        text = next((Path(minipar.__file__).parent.parent / 'lessons' / 'exercises').glob('*/ring_reduce_scatter')) / 'solution.py'
        names = {}
        exec(text.read_text(), names)
        return names['reduce_scatter'](comm, x)"""), NOTHING),
    "imports the exercise": (body("from minipar.exercises.catalogue import find\nfind('ring_reduce_scatter')\nreturn right(comm, x)"), NOTHING),
    "looks for the reference": (body("""
        import gc
        for one in gc.get_objects():
            if getattr(one, '__name__', '') == 'reference':
                return one(comm.size, [(x,)] * comm.size)[comm.rank]
        return x"""), NOTHING),
    "forges a frame": (body("import os\nfor f in range(3, 64):\n    try: os.write(f, b'\\x00' * 64)\n    except OSError: pass\nreturn x"), NOTHING),
    "forges a result": (body("""
        import os, struct, json
        text = json.dumps({"d": [["rank", {"v": 0}], ["error", {"v": None}], ["passed", {"v": True}]]}).encode()
        for f in range(3, 64):
            try: os.write(f, struct.pack('<QQ', len(text), 0) + text)
            except OSError: pass
        return x"""), RUNS),
    "patches the counter": (top("""
        import minipar.comm.wrappers.counting as counting
        counting.Counting.isend = lambda self, *a, **k: self.inner.isend(*a, **k)
        counting.MessageTally.add = lambda self, other: None
        right = whole"""), VALUES),
    "patches the verdict": (top("""
        import minipar.exercises.lights as lights, minipar.exercises.diagnose as diagnose
        diagnose.equal = lambda *a: True
        lights.verdict = lambda *a: None
        right = lambda comm, x: np.zeros(len(np.array_split(x, comm.size)[comm.rank]))"""), RUNS),
    "patches numpy": (top("""
        np.array_equal = lambda *a, **k: True
        np.abs = lambda a: np.zeros_like(a)
        right = lambda comm, x: np.full(len(np.array_split(x, comm.size)[comm.rank]), np.nan)"""), RUNS),
    "patches the fence": (top("""
        import os, minipar.exercises.fence as fence
        fence.CHANGES = fence.STARTS = ()
        os.path.realpath = lambda path: '/nowhere'
        os.remove(__file__)"""), NOTHING),
    "patches comm": (body("comm.isend = comm.irecv = comm.wait = lambda *a, **k: x\ncomm.size = 1\nreturn right(comm, x)"), RUNS),
    "shares memory": (top("""
        mailbox = {}
        def right(comm, x):
            mailbox[comm.rank] = x
            return np.array_split(sum(mailbox.values()), comm.size)[comm.rank].copy()"""), RUNS),
    "talks through a socket": (body("import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0ring')\nreturn right(comm, x)"), NOTHING),
    "talks through files": (body("open(f'../x{comm.rank}', 'w').write('x')\nreturn right(comm, x)"), NOTHING),
    "an array that lies": (body("class A(np.ndarray): __array_ufunc__ = None\nreturn np.zeros(len(np.array_split(x, comm.size)[comm.rank])).view(A)"), RUNS),
    "swallows everything": (body("try: raise SystemExit\nexcept BaseException: pass\ntry: comm.recv(np.empty(1), comm.rank)\nexcept BaseException: pass\nreturn x"), RUNS),
    "raises in __del__": (body("class A:\n    def __del__(self): raise ValueError\nA()\nreturn right(comm, x)"), ALL),
    "stack overflow": (body("import sys\nsys.setrecursionlimit(1 << 30)\ndef f(): return f()\nf()"), NOTHING),
    "collectives by another name": (top("""
        import sys
        table = getattr(sys, 'mod' + 'ules')
        import minipar
        minipar.comm
        right = lambda comm, x: table['minipar.comm.' + 'collectives'].reduce_scatter(comm, x)"""), NOTHING),
    "collectives of the front door": (body("import minipar as m\nreturn m.all_reduce(comm, x)"), NOTHING),
}

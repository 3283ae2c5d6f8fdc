"""More hostile submissions for the exercise ring_reduce_scatter. They forge frames, reach for other processes,
pass numbers to other ranks without a message, or return odd results.

`hostile.py` explains the form. A source is bytes if the file is not a text in UTF-8.
"""

from __future__ import annotations

from tests.exercises.hostile import ALL, HEAD, NOTHING, RIGHT, RUNS, body, top

ZEROS = "np.zeros(len(np.array_split(x, comm.size)[comm.rank]))"
SOLUTION = """
        import glob, os
        import minipar
        root = os.path.dirname(os.path.dirname(minipar.__file__))
        path = glob.glob(root + '/lessons/exercises/*/ring_reduce_scatter/solution.py')[0]
        run = globals()['__built' + 'ins__']['ex' + 'ec']"""
FORGE = """
import os, struct, sys, json
def forge(text, data=b""):
    text = text.encode()
    for f in {int(word) for word in sys.orig_argv if word.isdigit()} | set(range(3, 16)):
        try: os.write(f, struct.pack('<QQ', len(text), len(data)) + text + data)
        except OSError: pass
"""


def forged(outputs: str, data: str = "b''") -> str:
    """A submission that writes its own frame with these outputs to the grader's pipe."""
    text = ('{"d": [["rank", {"v": 0}], ["error", {"v": null}], ["outputs", ' + outputs + "]]}")
    return FORGE + body(f"forge({text!r}, {data})\nreturn {ZEROS}")


def unseen(call: str) -> str:
    """Call a function that the fence may not see, and then answer rightly."""
    return body(f"import os, signal, resource, fcntl\n{call}\nreturn right(comm, x)")


MORE: dict[str, tuple[str | bytes, frozenset[str]]] = {
    # frames
    "frame with a deep plain value": (forged('{"v": ' + "[" * 900 + "]" * 900 + "}"), NOTHING),
    "frame with a huge integer": (forged('{"v": 1' + "0" * 4000 + "}"), NOTHING),
    "frame with an infinite shape": (forged('{"a": ["<f8", [Infinity], false]}'), NOTHING),
    "frame with an empty array of a huge shape": (forged('{"a": ["<f8", [0, 1' + "0" * 30 + '], false]}'), NOTHING),
    "frame with a million values": (FORGE + body(
        "forge('{\"d\": [[\"rank\", {\"v\": 0}], [\"outputs\", {\"l\": [' + ','.join(['{\"v\": 0}'] * 800000) + ']}]]}')\n"
        f"return {ZEROS}"), NOTHING),
    "frame of requests without an end": (FORGE + body(
        "while True: forge('{\"d\": [[\"call\", {\"v\": \"barrier\"}]]}')"), NOTHING),
    "header of a frame that never comes": (FORGE + body(
        "for f in range(3, 16):\n    try: os.write(f, struct.pack('<QQ', 1 << 22, 1 << 25))\n    except OSError: pass\n"
        "return right(comm, x)"), NOTHING),
    "closes all descriptors": (body("import os\nos.closerange(0, 100)\nreturn right(comm, x)"), NOTHING),
    "fills the pipe of the stacks": (FORGE + body(
        "os.set_blocking(int(sys.orig_argv[-1]), False)\n"
        "try:\n    while True: os.write(int(sys.orig_argv[-1]), b'x' * 65536)\nexcept OSError: pass\nwhile True: pass"), NOTHING),
    # signals, processes, limits
    "real-time signal": (body("import signal\nsignal.raise_signal(40)\nreturn right(comm, x)"), NOTHING),
    "stops itself": (body("import signal\nsignal.raise_signal(signal.SIGSTOP)\nreturn right(comm, x)"), NOTHING),
    "alarm": (body("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nwhile True: pass"), NOTHING),
    "ignores every signal": (body("import signal\nfor n in range(1, 64):\n    try: signal.signal(n, signal.SIG_IGN)\n"
                                  "    except (OSError, ValueError): pass\nwhile True: pass"), NOTHING),
    "kills its parent through a pidfd": (unseen(
        "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), signal.SIGKILL)"), NOTHING),
    "limits its parent": (unseen("resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))"), NOTHING),
    "lifts its limits": (unseen("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))"), NOTHING),
    "slows its parent": (unseen("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)"), NOTHING),
    "binds its parent to a core": (unseen("os.sched_setaffinity(os.getppid(), {0})"), NOTHING),
    "makes its pipe send signals": (unseen("fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())"), NOTHING),
    "thread that no list has": (body("import _thread, time\n_thread.start_new_thread(time.sleep, (1000,))\nreturn right(comm, x)"), NOTHING),
    "interrupts the main thread": (body("import _thread\n_thread.interrupt_main()\nreturn right(comm, x)"), NOTHING),
    "leaves at exit": (top("import atexit, time\natexit.register(time.sleep, 1000)"), ALL),
    "interpreter without the fence": (body("""
        import _xxsubinterpreters as other
        other.run_string(other.create(), "import os; os.system('sleep 1000')")
        return right(comm, x)"""), NOTHING),
    "process without the audit event": (body("""
        import _posixsubprocess
        import os
        ends = os.pipe()
        _posixsubprocess.fork_exec([b'/bin/sleep', b'1000'], [b'/bin/sleep'], True, (), None, None, *[-1] * 6,
                                   *ends, True, True, 0, None, None, None, -1, None, True)
        return right(comm, x)"""), NOTHING),
    "process of the module subprocess": (body("""
        import subprocess
        subprocess._fork_exec
        return right(comm, x)"""), NOTHING),
    "reads by readline": (body(SOLUTION + """
        import readline
        readline.read_history_file(path)
        names = {}
        run("\\n".join(readline.get_history_item(n + 1) for n in range(readline.get_current_history_length())), names)
        return names['reduce_scatter'](comm, x)"""), NOTHING),
    "writes by readline": (body("import readline\nreadline.write_history_file(__file__)\nreturn right(comm, x)"), NOTHING),
    "reads by MPI": (body(SOLUTION + """
        from mpi4py import MPI
        file = MPI.File.Open(MPI.COMM_SELF, path)
        text = bytearray(file.Get_size())
        file.Read(text)
        names = {}
        run(bytes(text), names)
        return names['reduce_scatter'](comm, x)"""), NOTHING),
    "library under another name": (body("""
        import zlib
        spec = type(zlib.__spec__)('x._posixshmem', None, origin=zlib.__spec__.origin.replace('zlib', '_posixshmem'))
        type(zlib.__loader__)('x._posixshmem', spec.origin).create_module(spec)
        return right(comm, x)"""), NOTHING),
    "shell of Tcl": (body("import tkinter\ntkinter.Tcl().eval('exec sleep 1000')\nreturn right(comm, x)"), NOTHING),
    # memory and files
    "files without memory limits": (unseen("kept = [os.memfd_create('x') for _ in range(99)]\n"
                                           "for f in kept: os.write(f, bytes(1 << 25))"), NOTHING),
    "many large files": (body("for n in range(99):\n    with open(f'f{n}', 'wb') as file: file.write(bytes(1 << 22))\n"
                              "return right(comm, x)"), NOTHING),
    "deep folders": (body("import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\nreturn right(comm, x)"), NOTHING),
    "folder without permission": (body("import os\nos.mkdir('d')\nopen('d/f', 'w').close()\nos.chmod('d', 0)\nreturn right(comm, x)"), ALL),
    "talks through scratch folders": (body("""
        import glob, os, time
        x.tofile(f'part{comm.size}.{comm.rank}')
        found = []
        while len(found) < comm.size:
            found = glob.glob(os.path.dirname(os.getcwd()) + f'/minipar-*/part{comm.size}.*')
        time.sleep(0.1)
        total = sum(np.fromfile(path) for path in found)
        return np.array_split(total, comm.size)[comm.rank].copy()"""), RUNS),
    "talks through labels": (body("""
        rows = [[] for _ in range(comm.size)]
        for number in x:
            try:
                comm.barrier(label=f'{comm.rank}:' + number.tobytes().hex())
                rows[0].append(number)
            except Exception as error:
                for word in str(error).split("'")[1::2]:
                    rank, text = word.split(':')
                    rows[int(rank)].append(np.frombuffer(bytes.fromhex(text))[0])
        return np.array_split(np.array(rows).sum(axis=0), comm.size)[comm.rank].copy()"""), RUNS),
    "talks through groups": (body("""
        bits = np.unpackbits(np.frombuffer(x.tobytes(), np.uint8))
        others = np.empty((comm.size, bits.size), np.uint8)
        for n, bit in enumerate(bits):
            members = comm.split(int(bit)).members
            others[:, n] = [bit if rank in members else 1 - bit for rank in range(comm.size)]
        total = sum(np.frombuffer(np.packbits(row).tobytes()) for row in others)
        return np.array_split(total, comm.size)[comm.rank].copy()"""), RUNS),
    "remembers results": (top("""
        known = {}
        ring = right
        def right(comm, x):
            key = comm.size, x.tobytes()
            if key not in known:
                comm.send(x[:1], (comm.rank + 1) % comm.size)
                comm.recv(np.empty_like(x[:1]), (comm.rank - 1) % comm.size)
                known[key] = ring(comm, x)
            return known[key]"""), frozenset({"runs", "values"})),
    "locks a file": (unseen("fcntl.flock(os.open(__file__, os.O_RDONLY), fcntl.LOCK_EX)"), NOTHING),
    "named pipe": (unseen("os.mkfifo(os.path.join(os.path.dirname(__file__), 'pipe'))"), NOTHING),
    "messages without receivers": (body("while True: comm.isend(np.zeros(1 << 20), comm.rank)"), NOTHING),
    "receives without senders": (body("while True: comm.irecv(np.empty(1 << 20), comm.rank)"), NOTHING),
    # results
    "result with a lazy dtype": (body("class A(np.ndarray):\n    @property\n    def dtype(self): raise ValueError('no')\n"
                                      f"return {ZEROS}.view(A)"), NOTHING),
    "result whose shape lies": (body(f"class A(np.ndarray):\n    shape = (10 ** 9,)\nreturn {ZEROS}.view(A)"), NOTHING),
    "endless list": (body("class A(list):\n    def __iter__(self):\n        while True: yield 1\nreturn A()"), NOTHING),
    "object array": (body("return np.array([object()] * 4)"), NOTHING),
    "complex result": (body("return right(comm, x) + 0j"), NOTHING),
    "masked result": (body(f"return np.ma.masked_all(len({ZEROS}))"), RUNS),
    "NaN everywhere": (body(f"return {ZEROS} * np.nan"), RUNS),
    "equal to everything": (body("class A:\n    def __eq__(self, other): return True\n    def __array__(self, *a, **k): "
                                 f"return {ZEROS}\nreturn A()"), NOTHING),
    "generator": (body("yield right(comm, x)"), NOTHING),
    "array function": (body("class A(np.ndarray):\n    def __array_function__(self, *a, **k): return True\n"
                            f"    def __reduce__(self): raise SystemExit\nreturn {ZEROS}.view(A)"), RUNS),
    "pickle bomb": (body("class A:\n    def __reduce__(self): return (exec, ('while True: pass',))\nreturn [A()]"), NOTHING),
    # texts
    "message with escape sequences": (body("raise ValueError('\\x1b[2J\\x1b]0;owned\\x07\\u202e')"), NOTHING),
    "message with half a surrogate": (body("raise ValueError('\\ud800')"), NOTHING),
    "message of many megabytes": (body("raise ValueError('x' * (1 << 23))"), NOTHING),
    "message that raises": (body("class E(Exception):\n    def __str__(self): raise E\nraise E"), NOTHING),
    "prints halves of surrogates": (body("print('\\ud800\\x1b[2J')\nreturn right(comm, x)"), ALL),
    "type with an odd name": (body("return type('\\x1b[31m\\ud800', (), {})()"), NOTHING),
    # sources
    "empty file": ("", NOTHING),
    "file of 2 MB": (b"#" * (2 << 20), NOTHING),                    # twice the limit
    "byte order mark": ("\ufeff" + HEAD + "    return right(comm, x)\n", ALL),
    "carriage returns": ((HEAD + "    return right(comm, x)\n").replace("\n", "\r\n"), ALL),
    "null byte": (HEAD + "    return right(comm, x)\n# \0\n", NOTHING),
    "latin-1": (b"# -*- coding: latin-1 -*-\n# \xe9\n" + HEAD.encode(), NOTHING),
    "UTF-16": ((HEAD + "    return right(comm, x)\n").encode("utf-16"), NOTHING),
    "half a surrogate in UTF-8": (b"# \xed\xa0\x80\n" + HEAD.encode(), NOTHING),
    "sum of 20,000 terms": (RIGHT + "y = " + "1+" * 20_000 + "1\n\ndef reduce_scatter(comm, x):\n    return right(comm, x)\n", NOTHING),
    "minus 100,000 times": (RIGHT + "y = " + "-" * 100_000 + "1\n\ndef reduce_scatter(comm, x):\n    return right(comm, x)\n", NOTHING),
    "long chain of names": (RIGHT + "def unused(a):\n    return a" + ".b" * 20_000 + "\n\ndef reduce_scatter(comm, x):\n    return right(comm, x)\n", NOTHING),
    # time, hooks
    "patches the clock": (top("import time\ntime.monotonic = time.perf_counter = lambda: 0.0"), ALL),
    "monitors": (body("import sys\nsys.settrace(lambda *a: None)\nreturn right(comm, x)"), NOTHING),
    "audit hook": (body("import sys\ndef hook(event, arguments): raise ValueError(event)\nsys.addaudithook(hook)\nreturn right(comm, x)"), ALL),
    "switches off gc": (top("import gc\ngc.disable()\ngc.set_threshold(0)"), ALL),
}

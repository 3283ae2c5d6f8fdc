"""The fence refuses each line of REFUSED, and allows each line of ALLOWED. One process tries all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from minipar.exercises.fence import MOST_NEW, SCRATCH

REFUSED = (
    "open(secret)", "os.open(secret, os.O_RDONLY)", "open(other)", "os.listdir('..')", "os.scandir(os.path.dirname(other))",
    "import readline", "import _posixsubprocess; _posixsubprocess.fork_exec", "import _xxsubinterpreters", "import _tkinter", "import spwd",
    "from mpi4py import MPI", "import _testcapi", "type(zlib.__loader__)('x._posixshmem', zlib.__file__).create_module("
    "type(zlib.__spec__)('x._posixshmem', None, origin=zlib.__file__))", "os.fork()", "os.system('true')",
    "os.posix_spawn('/bin/true', ['true'], {})", "subprocess.run(['true'])", "subprocess._fork_exec", "os.kill(os.getppid(), 0)",
    "signal.pidfd_send_signal(3, 9)", "os.pidfd_open(1)", "os.setpriority(os.PRIO_PROCESS, 0, 1)", "os.getpriority(0, 0)",
    "os.sched_setaffinity(0, {0})", "posix.sched_setaffinity(0, {0})", "os.mkfifo('pipe')", "os.mknod('file')",
    "os.memfd_create('x')", "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))", "resource.prlimit(0, resource.RLIMIT_CORE)",
    "fcntl.flock(0, fcntl.LOCK_SH)", "fcntl.fcntl(0, fcntl.F_SETOWN, 1)", "sys.settrace(None)", "gc.get_objects()",
    "tracemalloc.reset_peak()", "tracemalloc.clear_traces()", "os.remove(secret)", "os.symlink(secret, '../x')",
    "open('../x', 'w')", "os.mkdir('../x')", "import ctypes; ctypes.CDLL(None)", "socket.socket()",
    "[open(f'many{n}', 'w').close() for n in range(MOST_NEW + 1)]", "[os.mkdir(f'd{n}') for n in range(MOST_NEW + 1)]")
ALLOWED = ("open('mine', 'w').close()", "open('mine').close()", "os.listdir('.')", "import colorsys", "open(os.devnull, 'w').close()",
           "np.linalg.svd(np.eye(2))", "open(own).close()", "import decimal, fractions, statistics")
CHILD = """
import fcntl, gc, json, os, posix, resource, signal, socket, subprocess, sys, tracemalloc, zlib
import numpy as np
from minipar.exercises.fence import MOST_NEW, put_up
lines, secret, other, own = json.load(sys.stdin)
put_up(os.getcwd(), [os.path.dirname(secret)])
found = {}
for line in lines:
    try:
        exec(line, globals())
        found[line] = ""
    except BaseException as error:
        found[line] = type(error).__name__
print(json.dumps(found))
"""


def test_the_fence(tmp_path: Path) -> None:
    scratch, other, secret, own = (tmp_path / name for name in (f"{SCRATCH}a", f"{SCRATCH}b", "secret", "own"))
    for folder in (scratch, other, secret, own):
        folder.mkdir()
        (folder / "file").touch()
    words = [[*ALLOWED, *REFUSED], *(str(folder / "file") for folder in (secret, other, own))]
    said = subprocess.run([sys.executable, "-c", CHILD], input=json.dumps(words), capture_output=True, text=True, check=True,
                          cwd=scratch, timeout=60)
    found = json.loads(said.stdout)
    assert {line: found[line] for line in ALLOWED} == dict.fromkeys(ALLOWED, "")
    for line in REFUSED:
        assert found[line] in ("Refused", "AttributeError", "ModuleNotFoundError"), (line, found[line])
    assert sum(1 for _ in scratch.iterdir()) <= MOST_NEW + 1

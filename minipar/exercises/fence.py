"""Builds the fence, which limits what the student's process may do. It prevents accidents. It also prevents
cheating by Python code.

The operating system limits the memory, the CPU time and the size of files. An audit hook (PEP 578) forbids
new processes, sockets, writing or deleting outside the scratch folder, and reading the solutions. Python code
cannot remove the hook, but machine code in this process can. So another process computes the verdict. A
teacher should grade untrusted students in a container without a network.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from typing import Any

MEMORY, DISK, CORES = 6 << 30, 64 << 20, 0
STARTS = ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile",
          "subprocess.Popen", "pty.spawn")
SIGNALS = ("os.kill", "os.killpg")
TALKS = ("socket.__new__", "socket.bind", "socket.connect", "urllib.Request", "mmap.__new__",
         "sqlite3.connect", "ftplib.connect", "smtplib.connect", "http.client.connect", "ctypes.dlopen",
         "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.cdata", "ctypes.call_function", "ctypes.string_at",
         "ctypes.wstring_at", "sys.setprofile", "sys.settrace", "gc.get_objects", "gc.get_referrers",
         "gc.get_referents")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown",
           "os.link", "os.symlink", "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree",
           "shutil.move", "shutil.copyfile", "shutil.make_archive")
LIMITS = ("resource.setrlimit", "resource.prlimit", "fcntl.fcntl", "fcntl.ioctl", "fcntl.flock",
          "fcntl.lockf")
# what the ranks of a job under mpirun need: they check each other, and only one of them reports an error
JOBS = (*SIGNALS, "fcntl.lockf", "fcntl.ioctl")
LISTS = ("os.listdir", "os.scandir")
SCRATCH = "minipar-exercise-"  # the beginning of the name of each scratch folder
NEW_NAMES = ("os.mkdir", "os.link", "os.symlink")
MOST_NEW = 16  # files that the process may write, and folders and links that it may make
# Functions that reach other processes, make files, or change the measured memory, without an audit event.
UNREPORTED = ("fork_exec", "_fork_exec", "mkfifo", "mknod", "memfd_create", "pidfd_open", "setpriority",
              "sched_setaffinity", "sched_setscheduler", "sched_setparam", "chroot", "pidfd_send_signal",
              "getpriority", "reset_peak", "clear_traces")
# Last parts of the names of modules that read files or start processes without an audit event, or that run
# code without this hook.
MODULES = ("posix", "_signal", "_posixsubprocess", "_tracemalloc", "_posixshmem", "_multiprocessing",
           "ctypes", "_ctypes", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters",
           "readline", "_tkinter", "_gdbm", "_dbm", "nis", "spwd", "MPI")
SYSTEM = ("/proc", "/sys", "/dev/shm", "/dev/mqueue")
OPEN = ("/stat", "/status")  # ends of the paths in /proc that the search for deadlocks reads


class Refused(PermissionError):
    """Raised when a submission tries something that an exercise does not need."""


def limit(seconds: float, memory: int = MEMORY) -> None:
    """Set limits for this process and its children: CPU time in seconds, address space and file size in
    bytes. If the user is root, the process could raise its limits again, so the fence forbids this.
    """
    for what, most in (
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, DISK),
        (resource.RLIMIT_CORE, CORES),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def put_up(scratch: str, secret: Sequence[str], job: bool = False) -> None:
    """Install the fence. The process may write only in the folder `scratch`. It must not read the folders in
    `secret`.

    job: true if the process is a rank of a job under mpirun. Then it may do what JOBS lists. Without this,
    the rank could not end the job after an error, and the other ranks would wait until their time limit.
    """
    for module in ("os", "posix", "signal", "_signal", "subprocess", "_posixsubprocess",
                   "tracemalloc", "_tracemalloc"):
        for name in UNREPORTED if module in sys.modules else ():
            vars(sys.modules[module]).pop(name, None)
    sys.addaudithook(
        hook(os.path.realpath(scratch), [os.path.realpath(folder) for folder in secret], job)
    )


def hook(scratch: str, secret: Sequence[str], job: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """Return the audit hook. The hook uses only local names. So a submission that replaces os.path.realpath,
    for example, does not change the hook.
    """
    resolved, is_folder, decode = os.path.realpath, os.path.isdir, os.fsdecode
    refused, writing, text = (
        Refused,
        os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND,
        (str, bytes),
    )
    allowed = frozenset(JOBS if job else ())
    starts, talks, changes = (
        frozenset(STARTS + SIGNALS) - allowed,
        frozenset(TALKS),
        frozenset(CHANGES),
    )
    modules, system, harmless, beneath = frozenset(MODULES), SYSTEM, OPEN, _beneath
    limits, new_names, left = frozenset(LIMITS) - allowed, frozenset(NEW_NAMES), iter(range(MOST_NEW))
    lists, around = frozenset(LISTS), os.path.dirname(scratch)
    others = os.path.join(around, SCRATCH)  # the scratch folders of other ranks and submissions begin so

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in limits:
            raise refused(f"{event} is not allowed in an exercise: it must not change its limits")
        if event in starts:
            raise refused(f"{event} is not allowed in an exercise: only its ranks may run")
        if event in talks:
            raise refused(f"{event} is not allowed in an exercise: ranks send messages with comm")
        if event == "import" and arguments[0].rpartition(".")[2] in modules:
            raise refused(f"import {arguments[0]} is not allowed in an exercise")
        if event in changes:
            for path in arguments[:2]:
                if isinstance(path, text) and not beneath(resolved(decode(path)), scratch):
                    raise refused(
                        f"{event} of {decode(path)} is not allowed in an exercise: files stay as they are"
                    )
            if event in new_names and next(left, None) is None:
                raise refused("so many files are not allowed in an exercise")
        if event in lists and isinstance(arguments[0], text):
            target = resolved(decode(arguments[0]))
            if target == around or (target.startswith(others) and not beneath(target, scratch)):
                raise refused(f"listing {decode(arguments[0])} is not allowed in an exercise")
        if event == "open" and isinstance(arguments[0], text):
            path, _, flags = arguments
            target = resolved(decode(path))
            if beneath(target, scratch):
                if isinstance(flags, int) and flags & writing and next(left, None) is None:
                    raise refused("so many files are not allowed in an exercise")
                return
            if isinstance(flags, int) and flags & writing:
                if target != "/dev/null":
                    raise refused(f"writing to {decode(path)} is not allowed in an exercise")
            elif target.endswith(harmless):
                return
            elif (any(beneath(target, folder) for folder in (*secret, *system)) or is_folder(target)
                  or target.startswith(others)):
                raise refused(f"reading {decode(path)} is not allowed in an exercise")

    return watch


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")

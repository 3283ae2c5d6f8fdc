"""All or nothing, whatever goes wrong: order of the syncs, interrupts, full disks, folders that take no
files.
"""

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import load, save
from minipar.checkpoint.atomic import remove_leftovers, replacing
from minipar.errors import CheckpointError
from tests.refusals import refused

BIG = {"weight": np.zeros(1 << 20, np.float32)}                      # 4 MiB


def test_the_disk_has_the_file_before_its_name_and_the_name_before_we_return(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would show cannot be tested; the order of calls that prevents it can."""
    calls = []

    def noted(name: str, call: Callable) -> Callable:
        def wrapper(target: int | str, *more: object) -> object:
            calls.append((name, "folder" if stat.S_ISDIR(os.stat(target).st_mode)
                          else os.stat(target).st_size))
            return call(target, *more)
        return wrapper

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    with replacing(tmp_path / "a") as file:
        file.write(b"whole")
    assert calls == [("fsync", 5), ("replace", 5), ("fsync", "folder")]
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_an_interrupted_write_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(interruption), replacing(tmp_path / "a") as file:
        file.write(b"new" * 100_000)
        raise interruption
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_readers_see_the_old_file_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a").read_text() == "old" and len(os.listdir(tmp_path)) == 2
    assert (tmp_path / "a").read_text() == "new"


def test_leftovers_of_killed_writers_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.npz", "a.npz.1234abcd.tmp", "notes.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "notes.tmp"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A quota that needs no rights: the system refuses to let a file grow beyond the size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100, 5000, 1 << 20, (1 << 22) + 200])
def test_a_quota_leaves_the_old_checkpoint(tmp_path: Path, room: int) -> None:
    """No room from the first byte, in an array, in the headers after the last array."""
    path = tmp_path / "a.npz"
    save(path, {"weight": np.ones(3)}, {"step": 1})
    old = path.read_bytes()
    with largest_file(room), pytest.raises(CheckpointError,
                                           match="cannot write .*a.npz: File too large") as caught:
        save(path, BIG, {"step": 2})
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["a.npz"] and path.read_bytes() == old
    save(path, BIG, {"step": 2})
    assert load(path)[1] == {"step": 2}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with the given options; where that needs rights we lack, the quota above
    stands in.
    """
    mounted = []

    def mount_with(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting needs root; the quota test stands in")
        mounted.append(folder)
        return folder

    yield mount_with
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_checkpoint(mount: Callable[[str], Path]) -> None:
    disk = mount("size=1m")
    path = disk / "a.npz"
    save(path, {"weight": np.ones(3)}, {"step": 1})
    for arrays in (BIG, {f"weight.{n}": np.zeros(1000) for n in range(400)}):
        with refused(CheckpointError, item=str(path), errno=errno.ENOSPC):
            save(path, arrays, {"step": 2})
        assert os.listdir(disk) == ["a.npz"] and load(path)[1] == {"step": 1}
    save(path, {"weight": np.ones(3)}, {"step": 3})
    assert load(path)[1] == {"step": 3}


def test_a_read_only_disk(mount: Callable[[str], Path]) -> None:
    path = mount("ro") / "a.npz"
    with refused(CheckpointError, item=str(path), errno=errno.EROFS):
        save(path, {"weight": np.ones(3)}, {})


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_that_takes_no_files_even_from_root() -> None:
    with refused(CheckpointError, item="/proc/self/a.npz"):
        save("/proc/self/a.npz", {"weight": np.ones(3)}, {})


@pytest.mark.parametrize("name, number", [("file/a.npz", errno.ENOTDIR), ("none/a.npz", errno.ENOENT),
                                          ("folder", errno.EISDIR), ("x" * 300, errno.ENAMETOOLONG)])
def test_paths_that_cannot_be_written(tmp_path: Path, name: str, number: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with refused(CheckpointError, item=str(tmp_path / name), errno=number):
        save(tmp_path / name, {"weight": np.ones(3)}, {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_pipe_and_a_device_stay_what_they_are(tmp_path: Path) -> None:
    """Root may rename a file to the name of a device, which would then be gone for all programs. The test
    has a link to the device, so that a mistake of minipar replaces only the link.
    """
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (tmp_path / "pipe", tmp_path / "null"):
        with refused(CheckpointError, "cannot write", "not a regular file"):
            save(path, {"weight": np.ones(3)}, {})
        assert not path.is_file()
    assert sorted(os.listdir(tmp_path)) == ["null", "pipe"]

"""Text comes in whole and in order, and what is no text is named."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipar.data.text import load_text, python_documentation
from minipar.errors import DataError
from tests.refusals import refused
from tests.untrusted.test_untrusted import no_plain_files

HASH = "import hashlib; from minipar.data.text import load_text; print(hashlib.sha256(load_text().encode()).hexdigest())"


def test_default_is_the_same_in_every_process() -> None:
    here = hashlib.sha256(load_text().encode()).hexdigest()
    for hash_seed in ("0", "1"):                                     # would show an order taken from a set
        out = subprocess.run([sys.executable, "-c", HASH], env={**os.environ, "PYTHONHASHSEED": hash_seed},
                             text=True, capture_output=True, check=True)
        assert out.stdout.strip() == here


def test_default_is_enough_to_train_on() -> None:
    text = python_documentation()
    assert len(text.encode()) > 300_000 and text.count(" the ") > 2000


def test_file_comes_in_unchanged(tmp_path: Path) -> None:
    text = "first\r\nsecond\n\u00e9\u4e16\U0001f600 end"
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert load_text(tmp_path / "a.txt") == load_text(str(tmp_path / "a.txt")) == text


def test_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello", encoding="utf-8-sig")
    assert load_text(tmp_path / "a.txt") == "hello"


def test_folder_is_read_in_sorted_order_without_hidden_and_binary_files(tmp_path: Path) -> None:
    texts = {"b.txt": "2", "a/z.md": "4", "a.txt": "1", "c": "3", "a/b/c": "5", ".hidden": "x",
             ".git/config": "x"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert load_text(tmp_path) == "1\n2\n3\n4\n5"


@pytest.mark.parametrize("name, data, said", [
    ("latin.txt", b"caf\xe9 au lait", "byte 3 is 0xe9"),
    ("utf16.txt", "hi".encode("utf-16-le"), "byte 1 is NUL"),
    ("picture.png", b"\x89PNG\0", "byte 4 is NUL"),
    ("cut.txt", "\u00e9".encode()[:1], "byte 0 is 0xc3"),
    ("empty.txt", b"", "is empty"),
    ("blank.txt", b" \n\t\n", "is empty"),
    ("folder/latin.txt", b"\xe9", "latin.txt is not UTF-8: byte 0"),
    ("folder/picture.png", b"\0", "holds no text files"),
    ("folder/empty.txt", b"", "is empty"),
    ("folder/.hidden", b"text", "holds no text files"),
])
def test_bad_text_is_one_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    given = file if file.parent == tmp_path else file.parent
    with pytest.raises(DataError) as caught:
        load_text(given)
    assert said in str(caught.value) and str(given) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["no/such/file", os.devnull, "x" * 5000])
def test_bad_paths(path: str) -> None:
    with refused(DataError, item=path):
        load_text(path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: int) -> int:                          # permission bits do not stop root
        raise PermissionError(13, "Permission denied", str(path))
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setattr("minipar.untrusted.files.os.open", refuse)
    for given in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(DataError, match="cannot read .*a.txt: Permission denied"):
            load_text(given)


def test_unreadable_folder_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "secret").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry]:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with refused(DataError, kind="unreadable", item=str(tmp_path / "secret")):
        load_text(tmp_path)


def test_python_without_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="give a text file"):
        load_text()


def test_what_is_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in no_plain_files(Path(".")):
        with pytest.raises(DataError):
            load_text(path)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "sparse").unlink()
    assert load_text(tmp_path) == "x"                                # pipes and devices are no text files


def test_a_folder_is_measured_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    monkeypatch.setattr("minipar.data.text.opened", None)
    with refused(DataError, kind="too large", item=str(tmp_path)):
        load_text(tmp_path)
    (tmp_path / "huge").unlink()
    for number in range(20):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr("minipar.data.text.MOST_FILES", 19)
    with pytest.raises(DataError, match="holds more than 19 files"):
        load_text(tmp_path)


def test_the_whole_disk_is_refused() -> None:
    with pytest.raises(DataError):
        load_text("/")

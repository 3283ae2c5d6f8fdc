"""`minipar bench-serve`: its table and file, servers that it starts and ends, and wrong command lines."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minipar.cli import bench_serve
from minipar.cli.interruption import STOPPING
from minipar.serving import load
from tests.commands import call, refused
from tests.serving.running import running, tiny_engine
from tests.serving.test_stop import slowly

FEW = ["--requests", 8, "--rate", 200, "--tokens", 5]


def test_a_running_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as server:
        words = ["--url", f"http://127.0.0.1:{server.port}/", *FEW, "--json", tmp_path / "found.json"]
        assert call("bench-serve", *words) == 0
    out, err = capsys.readouterr()
    rows = {re.split(r"  +", line)[0]: line for line in out.splitlines()}
    found = json.loads((tmp_path / "found.json").read_text())
    assert err == "" and found["requests"] == 8 and found["refused"] == {} and "8 texts of tiny" in out
    for name in ("first_token", "between", "latency"):
        assert 0 < found[name]["median"] <= found[name]["p95"] <= found[name]["p99"] < 60
    for name in ("time to first token", "time between tokens", "request latency"):
        assert rows[name].count(" ms") == 3
    assert float(rows["tokens per second"].split()[-1]) == pytest.approx(found["tokens_per_second"], abs=0.1)
    assert 0 <= found["goodput"] <= found["requests_per_second"] and max(map(len, out.splitlines())) <= 80


def test_the_same_seed_sends_the_same_requests() -> None:
    prompts: list[Any] = []
    with running() as server:
        engine = server.engine
        add = engine.add
        engine.add = lambda request: (prompts.append(tuple(request.prompt)), add(request))[1]  # type: ignore[method-assign]
        for seed in (1, 1, 2):
            assert call("bench-serve", "--url", f"localhost:{server.port}", *FEW, "--seed", seed) == 0
    runs = [sorted(prompts[start : start + 9]) for start in (0, 9, 18)]
    assert len(prompts) == 27 and runs[0] == runs[1] != runs[2]


def test_refused_requests_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(slowly(tiny_engine(batch=1), 0.01), queue=2) as server:
        words = ["--url", f"localhost:{server.port}", "--requests", 10, "--rate", "inf", "--tokens", 20,
                 "--lengths", "fixed"]
        assert call("bench-serve", *words, "--json", tmp_path / "found.json") == 0
    out, found = capsys.readouterr().out, json.loads((tmp_path / "found.json").read_text())
    refusals = found["refused"]["queue_full"]
    assert found["requests"] + refusals == 10 and found["requests"] >= 2
    assert f"{found['requests']} texts" in out and f"{refusals}  queue_full {refusals}" in out


def test_limits_decide_the_goodput(tmp_path: Path) -> None:
    with running(slowly(tiny_engine(), 0.01)) as server:
        for limit, good in (("--first-limit", False), ("--between-limit", False), ("--timeout", True)):
            value = 30 if good else 1e-9
            words = ["--url", f"localhost:{server.port}", *FEW, "--lengths", "fixed", "--json",
                     tmp_path / "found.json"]
            assert call("bench-serve", *words, limit, value) == 0
            assert bool(json.loads((tmp_path / "found.json").read_text())["goodput"]) == good


def test_responses_that_break_off_have_another_exit_status(monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    drive = load.drive

    async def one_broken(*arguments: Any) -> Any:
        first, *rest = await drive(*arguments)
        return [load.ClientResult(None, "disconnected"), *rest]

    monkeypatch.setattr(bench_serve, "drive", one_broken)
    with running() as server:
        assert call("bench-serve", "--url", f"localhost:{server.port}", *FEW) == 1
        assert "disconnected 1" in capsys.readouterr().out
        assert "disconnected 1" in refused(
            capsys, "bench-serve", "--url", f"localhost:{server.port}", "--requests", 1
        )


def test_a_server_of_its_own(
    done: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = recorded(monkeypatch)
    assert call("bench-serve", "--run", done, *FEW, "--batch", 4) == 0
    assert f"8 texts of {done}" in capsys.readouterr().out
    (server,) = started
    assert server.returncode == 0 and server.args[-2:] == ["--batch", "4"]  # type: ignore[index]


def recorded(monkeypatch: pytest.MonkeyPatch, program: str = "") -> list[subprocess.Popen[str]]:
    """The processes that the command starts; program: of Python, instead of the server."""
    started: list[subprocess.Popen[str]] = []

    def start(words: list[str], **options: Any) -> subprocess.Popen[str]:
        started.append(popen([sys.executable, "-S", "-c", program] if program else words, **options))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    return started


FAKE = "import time; print('minipar serves x on http://127.0.0.1:1; Ctrl-C stops it', flush=True); time.sleep(99)"


@pytest.mark.parametrize("number", [*STOPPING, signal.SIGQUIT])
def test_a_signal_ends_the_server_too(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    async def driven(port: int, options: object) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(30)

    started = recorded(monkeypatch, FAKE)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(bench_serve, "_driven", driven)
    assert call("bench-serve", "--run", "x") == 128 + number
    assert started[0].returncode == -signal.SIGTERM and signal.getsignal(signal.SIGTERM) == before


def test_a_server_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = recorded(monkeypatch, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FAKE)
    monkeypatch.setattr(bench_serve, "STOP_SECONDS", 0.1)
    assert "port 1" in refused(capsys, "bench-serve", "--run", "x")
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("program, said", [("raise SystemExit('minipar serve: no such run')",
                                            "minipar bench-serve: no such run"),
                                           ("print('hello')", "does not start")])
def test_a_server_that_does_not_start(program: str, said: str, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    recorded(monkeypatch, program)
    assert said in refused(capsys, "bench-serve", "--run", "none")


@pytest.mark.parametrize("words, said", [
    ([], "required"), (["--url", "a", "--run", "b"], "not allowed"), (["--url", ""], "empty"),
    (["--url", "http://example.org:80"], "this machine"), (["--url", "http://127.0.0.1"], "127.0.0.1:8000"),
    (["--url", "localhost:0"], "localhost:0"), (["--url", "localhost:70000"], "70000"),
    (["--url", "https://localhost:8000"], "https"), (["--url", "localhost:1"], "port 1"),
    (["--url", "localhost:1", "--batch", "3"], "--batch"),
    (["--url", "localhost:1", "--rate", "1e-300"], "higher --rate"),
    (["--url", "localhost:1", "--requests", "9" * 400], "higher --rate"),
    (["--url", "localhost:1", "--json", "none/x.json"], "none"),
    (["--url", "localhost:1", "--first-limit", "0"], "--first-limit"),
    (["--url", "localhost:1", "--timeout", "nan"], "--timeout"),
    (["--url", "localhost:1", "--lengths", "normal"], "--lengths")])
def test_a_wrong_command_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, "bench-serve", *words)


def test_invalid_loads(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as server:
        for flag, value, said in (("--rate", "0", "rate"), ("--rate", "nan", "rate"),
                                  ("--requests", "0", "requests"),
                                  ("--requests", "9999999999", "requests"),
                                  ("--concurrency", "0", "concurrency"), ("--tokens", "0", "mean"),
                                  ("--tokens", "-3", "mean"), ("--tokens", "9" * 30, "tokens"),
                                  ("--prompt-tokens", "0", "mean"), ("--prompt-tokens", "25", "24")):
            assert said in refused(capsys, "bench-serve", "--url", f"localhost:{server.port}", flag, value)

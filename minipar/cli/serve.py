"""`minipar serve` runs an HTTP server on this machine that generates text with OpenAI's completions API.

    minipar serve --run runs/first --port 8000

SIGTERM or Ctrl-C stops the server. If all accepted requests finish within --drain seconds, the exit status is
0. Otherwise the remaining requests get an error, and the status is 128 plus the number of the signal. A
second signal stops the remaining requests at once.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal

from minipar.cli.interruption import STOPPING
from minipar.cli.ranks import seconds
from minipar.cli.text_model import add_model_options, require_model_options, text_model
from minipar.comm.solo import solo
from minipar.config import Layout
from minipar.console import tell
from minipar.errors import ConfigError
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.stages_runner import StagesRunner
from minipar.parallel.grid import Grid
from minipar.serving.limits import ServerLimits
from minipar.serving.server import HOST, REFUSED_AT_ONCE, HttpServer

ROWS = 256  # largest number of tokens in a forward pass
OWN_FILES = 64  # number of open files besides the connections


def add_options(parser: argparse.ArgumentParser) -> None:
    limits = ServerLimits()
    add_model_options(parser)
    parser.add_argument("--port", type=int, default=8000, help="port of the server (default 8000); 0: any "
                                                               "free port, which is shown")
    parser.add_argument("--batch", type=int, default=32, metavar="N",
                        help="number of texts that are computed together (default 32)")
    parser.add_argument("--queue", type=int, default=limits.queue, metavar="N",
                        help="largest number of requests that wait or run; others are refused (default "
                             f"{limits.queue})")
    parser.add_argument("--connections", type=int, default=limits.connections, metavar="N",
                        help="largest number of open connections; others are refused (default "
                             f"{limits.connections})")
    parser.add_argument("--max-tokens", type=int, default=limits.tokens, metavar="N",
                        help=f"largest number of tokens of all texts of a request (default {limits.tokens})")
    parser.add_argument("--drain", type=seconds, default=limits.drain_seconds, metavar="SECONDS",
                        help="seconds to finish accepted requests when the server stops (default 10)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    require_model_options(options)
    limits = ServerLimits(connections=options.connections, queue=options.queue, tokens=options.max_tokens,
                          drain_seconds=options.drain)
    sizes = EngineOptions(batch=options.batch, rows=max(ROWS, options.batch))
    _require_open_files(limits.connections)
    stages, tokenizer = text_model(Grid(solo(), Layout()), options)
    name = options.weights or options.folder
    server = HttpServer(Engine(StagesRunner(stages, sizes), tokenizer, sizes), name, limits)
    return asyncio.run(_serve(server, options.port, name))


def _require_open_files(connections: int) -> None:
    """Raises ConfigError if this process may open too few files. Each connection is an open file."""
    needed = connections + REFUSED_AT_ONCE + OWN_FILES
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    except (OSError, ValueError, OverflowError) as error:           # more files than the system allows
        raise ConfigError(f"{connections} connections need {needed} open files, and the system allows fewer; "
                          "choose fewer --connections", item="connections") from error


async def _serve(server: HttpServer, port: int, name: str) -> int:
    signals: list[int] = []

    def note(number: int) -> None:
        signals.append(number)
        server.stop()

    loop = asyncio.get_running_loop()
    for number in STOPPING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, note, number)
    unfinished = await server.run(port, lambda port: print(
        f"minipar serves {name} on http://{HOST}:{port}; Ctrl-C stops it", flush=True))
    if signals and unfinished:
        tell(f"minipar serve: stopped by {signal.Signals(signals[0]).name}; {unfinished} requests were not "
             "finished, and their clients received an error")
        return 128 + signals[0]
    return 0

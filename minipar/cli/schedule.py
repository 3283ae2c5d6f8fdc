"""`minipar schedule`: show, prove and simulate pipeline schedules.

    minipar schedule show zb-h1 --ranks 4 --micro-batches 8
    minipar schedule simulate 1f1b --ranks 1000 --micro-batches 10000
    minipar schedule run zb-v
    minipar schedule lint mine.py
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from minipar.cli.files import require_file, write_json
from minipar.cli.options import positive, word
from minipar.cli.screen import hanging
from minipar.cli.verify import lines
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.proof import prove, uneven_case
from minipar.records import Number
from minipar.schedules import files
from minipar.schedules.costs import Costs
from minipar.schedules.find import DEFAULT_MICRO_BATCHES, DEFAULT_RANKS, find_schedule
from minipar.schedules.footprint import peak_activations, traffic
from minipar.schedules.gantt import gantt
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.instruction import Schedule
from minipar.schedules.lint import lint
from minipar.schedules.simulate import simulate
from minipar.schedules.times import Times
from minipar.schedules.wavefront import simulate_wave

MOST = 1_000_000  # largest number of listed instructions
MOST_OF_WAVE, MOST_LEVELS = 10**9, 10**7  # limits of ranks * micro-batches, and of ranks + micro-batches
ROWS = 40                                                           # largest number of rows of a table
LinkTraffic = Mapping[tuple[int, int], int]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (files.__doc__ or "").replace("Reads", "minipar reads", 1)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, run_it, text in (
        ("show", _show, "draw a schedule as text or as a picture, or write it as JSON"),
        ("lint", _lint, "prove that a schedule is correct, and for which sends it is safe"),
        ("simulate", _simulate, "compute makespan, bubble, peak activations and messages"),
        ("run", _train, "train a small GPT on threads, and compare all gradients with one process"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("schedule", metavar="NAME|FILE",
                            help=f"{', '.join(SCHEDULES)}; or a file that ends in .json or .py (see minipar "
                                 "schedule --help)")
        action.add_argument("--ranks", type=positive, metavar="P",
                            help=f"number of ranks (default {DEFAULT_RANKS})")
        action.add_argument("--micro-batches", type=positive, metavar="M",
                            help=f"number of micro-batches (default {DEFAULT_MICRO_BATCHES})")
        action.add_argument("--virtual", type=positive, metavar="V",
                            help="stages per rank (default: the schedule's own)")
        action.set_defaults(run=run_it)
        if name == "run":
            continue
        action.add_argument("--json", type=word, metavar="FILE",
                            help=f"write the {'schedule' if name == 'show' else 'results'} to this file")
        if name == "lint":
            action.add_argument("--synchronous", action="store_true",
                                help="fail if the schedule is not safe with synchronous sends")
            continue
        action.add_argument("--costs", default="F=1,B=1,W=1", metavar="F=1,B=1,W=1",
                            help="times of forward (F), backward for inputs (B) and for weights (W): one for "
                                 "all stages, or one per "
                                 "stage (F=1:2:1/2); an unsplit backward takes B + W")
        action.add_argument("--comm", default="0", metavar="TIME", help="time of a message (default 0)")
        if name == "show":
            action.add_argument("--out", type=word, metavar="FILE", help="a picture to draw: .png or .svg")
            action.add_argument("--width", type=positive,
                                help="width of the text in characters (default: the terminal's)")


def _show(options: argparse.Namespace) -> int:
    _require_file_for_results(options)
    if options.out:
        require_file(options.out, (".png", ".svg"))
    schedule = _proven(options)
    timeline = simulate(schedule, _costs(options))
    if not timeline.makespan:
        raise ConfigError("nothing to draw: all of it takes no time; choose other --costs")
    if options.json:
        write_json(options.json, files.to_json(schedule))
    if options.out:
        # not imported at the top, since matplotlib takes a second to import
        from minipar.plots.save import save
        from minipar.plots.schedule import draw_schedule

        save(draw_schedule(timeline), options.out)
    print(_title(schedule))
    print(f"makespan {_text(timeline.makespan)}, bubble {_percent(timeline.bubble())} of all time")
    print(*gantt(timeline, options.width or shutil.get_terminal_size((128, 24)).columns), sep="\n")
    return 0


def _lint(options: argparse.Namespace) -> int:
    _require_file_for_results(options)
    schedule = _given(options)
    report = lint(schedule, synchronous=options.synchronous)
    if options.json:
        write_json(options.json, {**_sizes(schedule), "safe_async": report.safe_async,
                                  "safe_sync": report.safe_sync,
                                  "deadlock": report.deadlock, "peaks": list(report.peaks),
                                  "messages": _links(report.messages)})
    print(f"{_title(schedule)}: right")
    print("every value is computed once, on its stage's rank; it is used once, after that")
    print("every sent message is received, in the order of its channel")
    print("no rank waits for ever")
    if not schedule.forward_only:
        order, equal = (("in order", "in every bit, but for a tied table") if schedule.in_order
                        else ("out of order", "to rounding"))
        print(hanging("", f"micro-batches are {order} on every stage: gradients equal those of one process "
                          f"{equal}"))
    print("asynchronous sends  safe")
    print(hanging("synchronous sends   ", "safe" if report.safe_sync else f"deadlock: {report.deadlock}"))
    print()
    rows = zip(schedule.orders, report.peaks, strict=True)
    _table(("rank", "stages", "instructions", "peak activations"),
           ((rank, _stages(schedule, rank), len(order), peak) for rank, (order, peak) in enumerate(rows)))
    _print_links(report.messages)
    return 0


def _train(options: argparse.Namespace) -> int:
    """Return exit status 0 if the training equals the training of one process, 1 if not.

    One process runs the same micro-batches one after the other. The output layer has its own matrix
    (tied=False). So one process and the schedule add every sum in the same order, and all bits can be equal.
    """
    schedule = _proven(options)
    layout = Layout(pp=schedule.ranks, pipeline=options.schedule, virtual=options.virtual or 0)
    case = uneven_case(layout, layers=max(2, schedule.stages), micro_batches=schedule.micro_batches,
                       batch=max(7, schedule.micro_batches + 1), tied=False)
    report = run(schedule.ranks, prove, replace(case, serial=True))[0]
    print(*lines(report), sep="\n")
    return 0 if report.proven else 1


def _simulate(options: argparse.Namespace) -> int:
    _require_file_for_results(options)
    times, peaks, links, sizes = _simulated(options, _costs(options))
    bubbles = {(of, over): times.bubble(of, over) for of in ("total", "ideal")
               for over in ("makespan", "span")}
    idle = [times.makespan - busy for busy in times.busy]
    if options.json:
        named = {f"idle/{of} over the {over}": value for (of, over), value in bubbles.items()}
        write_json(options.json, {
            **sizes, "makespan": float(times.makespan), "span": float(times.span),
            "bubble": {name: float(value) for name, value in named.items()},
            "bubble_exact": {name: str(value) for name, value in named.items()
                             if not isinstance(value, float)},
            "busy": list(map(float, times.busy)), "peaks": list(peaks), "messages": _links(links)})
    print(f"{sizes['name']}: {sizes['ranks']} rank(s), {sizes['micro_batches']} micro-batch(es)\n")
    print(f"makespan  {_text(times.makespan):<12}from the first start to the last end")
    print(f"span      {_text(times.span):<12}the longest time from a rank's first start to its last end\n")
    print(f"{'bubble':24}{'over the makespan':28}over the span")
    for of, words in (("total", "idle/total: of all time"), ("ideal", "idle/ideal: of the work")):
        print(f"{words:24}" + "".join(f"{_bubble(bubbles[of, over]):28}"
                                      for over in ("makespan", "span")).rstrip())
    print()
    rows = zip(times.started, times.finished, times.busy, idle, peaks, strict=True)
    _table(("rank", "starts", "ends", "works", "idle", "peak activations"),
           ((rank, *map(_text, row)) for rank, row in enumerate(rows)))
    _print_links(links)
    return 0


def _simulated(options: argparse.Namespace, costs: Costs) -> tuple[Times, Sequence[Number], LinkTraffic,
                                                                   dict[str, Any]]:
    """Return times, peak activations, messages and sizes. A large GPipe or 1F1B with one stage per rank is
    computed without a list of its instructions.
    """
    name, ranks, micro_batches = (
        options.schedule,
        options.ranks or DEFAULT_RANKS,
        options.micro_batches or DEFAULT_MICRO_BATCHES,
    )
    if name in ("gpipe", "1f1b") and options.virtual in (None, 1) and 2 * ranks * micro_batches > MOST:
        if ranks * micro_batches > MOST_OF_WAVE or ranks + micro_batches > MOST_LEVELS:
            raise ConfigError(f"{ranks:,} ranks with {micro_batches:,} micro-batches would take hours; "
                              f"choose a product of at most {MOST_OF_WAVE:,}, and a sum of at most "
                              f"{MOST_LEVELS:,}")
        wave = simulate_wave(name, ranks, micro_batches, costs)
        links = {link: count * micro_batches
                 for link, count in traffic(make_schedule(name, ranks, 1)).items()}
        return wave, wave.peaks, links, {"name": name, "ranks": ranks, "stages": ranks,
                                         "micro_batches": micro_batches}
    schedule = _proven(options)
    return simulate(schedule, costs), peak_activations(schedule), traffic(schedule), _sizes(schedule)


def _require_file_for_results(options: argparse.Namespace) -> None:
    """Test the path of --json before the work begins."""
    if options.json:
        require_file(options.json)


def _proven(options: argparse.Namespace) -> Schedule:
    """Return the schedule. A schedule from a file is checked by `lint`."""
    schedule = _given(options)
    if options.schedule not in SCHEDULES:
        lint(schedule)
    return schedule


def _given(options: argparse.Namespace) -> Schedule:
    """Return the schedule. Raises ConfigError if it is too large. Also raises the errors of `find_schedule`.
    """
    ranks, micro_batches = options.ranks or DEFAULT_RANKS, options.micro_batches or DEFAULT_MICRO_BATCHES
    if (size := 3 * ranks * micro_batches * (options.virtual or 1)) > MOST:
        raise ConfigError(f"up to {size:,} instructions are too many to list; choose fewer ranks or "
                          "micro-batches (simulate takes "
                          f"gpipe and 1f1b at any size)")
    return find_schedule(options.schedule, options.ranks, options.micro_batches, options.virtual)


def _costs(options: argparse.Namespace) -> Costs:
    times: dict[str, Any] = {}
    for part in options.costs.split(","):
        kind, _, values = part.strip().partition("=")
        if kind not in ("F", "B", "W"):
            raise ConfigError(f"--costs {options.costs}: {part!r} is not a time; write for example "
                              "F=1,B=1,W=1/2")
        numbers = [_number("--costs", value) for value in values.split(":")]
        times[kind] = numbers if len(numbers) > 1 else numbers[0]
    return Costs(**times, message=_number("--comm", options.comm))


def _number(flag: str, text: str) -> Fraction:
    """Parse a time: a decimal number, which may have an exponent, or a fraction of two such numbers."""
    number = r"(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE][+-]?\d{1,2})?"
    parts = re.fullmatch(rf"({number})(?:/({number}))?", text, re.ASCII)
    if parts is None or (under := Fraction(parts[2] or 1)) == 0:
        raise ConfigError(f"{flag}: {text!r} is not a time; write for example 2, 0.5, 6e-1, 1/3 or 18.5/3")
    return Fraction(parts[1]) / under


def _sizes(schedule: Schedule) -> dict[str, Any]:
    return {"name": schedule.name, "ranks": schedule.ranks, "stages": schedule.stages,
            "micro_batches": schedule.micro_batches}


def _title(schedule: Schedule) -> str:
    return (f"{schedule.name}: {schedule.ranks} rank(s), {schedule.stages} stage(s), "
            f"{schedule.micro_batches} micro-batch(es)")


def _stages(schedule: Schedule, rank: int) -> str:
    return ", ".join(map(str, schedule.stages_of(rank))) or "none"


def _text(value: Number) -> str:
    return str(value) if isinstance(value, int | Fraction) and len(str(value)) < 12 else f"{float(value):.6g}"


def _percent(share: Number) -> str:
    return f"{100 * float(share):.1f} %"


def _bubble(share: Number) -> str:
    exact = isinstance(share, int | Fraction) and len(str(share)) < 18
    return f"{share} = {_percent(share)}" if exact else _percent(share)


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns. If there are many rows, only the first and the last ones are printed."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) + 2 for column in zip(titles, *lines, strict=True)]
    said = ["".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (titles, *lines)]
    print(*_shortened(said), sep="\n")


def _shortened(lines: list[str]) -> Iterator[str]:
    yield from lines if len(lines) <= ROWS else (*lines[:ROWS // 2], f"... {len(lines) - ROWS} more",
                                                 *lines[-ROWS // 2:])


def _links(links: LinkTraffic) -> list[dict[str, int]]:
    return [{"from": sender, "to": receiver, "messages": count} for (sender, receiver),
            count in links.items()]


def _print_links(links: LinkTraffic) -> None:
    if links:
        lines = [f"rank {sender} to rank {receiver}: {count:,}" for (sender, receiver),
                 count in links.items()]
        print(f"\n{sum(links.values()):,} messages", *_shortened(lines), sep="\n")

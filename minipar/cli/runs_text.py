"""The texts of `minipar runs`, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minipar.errors import brief
from minipar.tracking.compare import LossDifference, RunComparison

WIDTH = 80
# the width of each column in characters; the columns and the spaces between them fill WIDTH
COLUMNS = {"state": 8, "layout": 13, "model": 9, "steps": 10, "loss": 6, "best": 6, "valid": 6, "seconds": 7,
           "tokens": 6}
CELL = 23                                                           # largest width of a field's value


def run_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of the runs. Each run has two lines: its folder, and its figures in columns. The last
    lines explain the columns.
    """
    rows = [tuple(COLUMNS), *(_cells(run) for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [" " + " ".join(cell.ljust(width) if number < 3 else cell.rjust(width)
                            for number, (cell, width) in enumerate(zip(row, widths, strict=True)))
             for row in rows]
    lines = [table[0]]
    for run, line in zip(runs, table[1:], strict=True):
        lines += [_short(run["folder"], WIDTH), line]
    return [*lines, " (model: layers x width. In nats per token: loss of the last step, best loss",
            " of any step, and valid, the loss of the last validation.)"]


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    layout = "-".join(f"{axis}{run['layout'][axis]}" for axis in ("dp", "tp", "pp")
                      if run["layout"][axis] > 1)
    model, planned = run["model"], run["train"]["steps"]
    cells = (run["state"], layout or "1 rank", f"{model['layers']}x{model['width']}",
             "/".join(str(steps) if steps < 10_000 else _large(steps) for steps in (run["steps"], planned)),
             *(_number(run[name]) for name in ("loss", "best_loss", "validation")),
             _large(run["seconds"]), _large(run["tokens"]))
    return tuple(_short(cell, most) for cell, most in zip(cells, COLUMNS.values(), strict=True))


def _number(value: float | None, digits: int = 4) -> str:
    """Format the number in at most six characters.

    >>> _number(2.34567), _number(0.000123), _number(-1234567.0), _number(None)
    ('2.346', '1e-04', '-1e+06', '-')
    """
    if value is None:
        return "-"
    texts = [f"{value:.{digits}g}", f"{value:.3g}", f"{value:.0e}"]
    return next(text for text in texts if len(text) <= 6 or text is texts[-1])


def _large(value: float | None) -> str:
    """Format the number with three digits and a unit, such as 950, 12.3k or 4.56M.

    >>> _large(12_345), _large(0.5), _large(None)
    ('12.3k', '0.5', '-')
    """
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value is not None and factor <= value < 999.5 * factor:
            return f"{value / factor:.3g}{unit}"
    return _number(value, 3)


def _short(text: str, most: int) -> str:
    """Return the text in printable characters. A text of more than `most` characters loses its middle.

    >>> _short("abcdefghij", 7)
    'ab...ij'
    """
    text = brief(text, None).replace("\n", "\\n")
    kept = (most - 3) // 2
    return text if len(text) <= most else f"{text[:kept]}...{text[-kept:]}"


def comparison_lines(folders: Sequence[str], found: RunComparison) -> Iterator[str]:
    """Return lines that compare the runs A and B in these folders."""
    for name, folder in zip("AB", folders, strict=True):
        yield f"{name}: {_short(folder, WIDTH - 3)}"
    yield ""
    yield _row("configuration", "A", "B") if found.config else "configuration: no field differs"
    for field, (a, b) in found.config.items():
        yield _row(f"  {field}", *(_short(str(value), CELL) for value in (a, b)))
    yield ""
    yield from _losses(found)
    yield ""
    yield _row("figures", "A", "B")
    for name, (one, other) in found.figures.items():
        yield _row(f"  {name}", *("-" if value is None else f"{value:.10g}" for value in (one, other)))


def _row(name: str, a: str, b: str) -> str:
    return f"{name:30} {a:>{CELL}}  {b:>{CELL}}"


def _losses(found: RunComparison) -> Iterator[str]:
    if not found.common_steps:
        yield "losses: the logs have no step in common"
        return
    if found.first is None or found.largest is None:
        yield f"losses: the same in every bit, in {found.common_steps:,} common steps"
        return
    yield f"losses of {found.common_steps:,} common steps (of A and of B, relative difference)"
    yield _difference("first different bit", found.first)
    for tolerance, step in found.beyond.items():
        yield f"  differ by more than {tolerance:g}".ljust(30) + (" never" if step is None else
                                                                  f" from step {step}")
    yield _difference("largest difference", found.largest)


def _difference(name: str, found: LossDifference) -> str:
    return (f"  {name}".ljust(30)
            + f" step {found.step}: {found.a:.9g} and {found.b:.9g}, {found.relative:.1e}")

"""Writes a run as one self-contained HTML page: the proof of its layout, pictures, costs, and a sample."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minipar.errors import ConfigError
from minipar.untrusted.files import MIB, read_bytes

PICTURES = {"loss.png": "The loss, step by step",
            "trace/timeline.png": "One step: the computations of every rank over time",
            "trace/memory.png": "The memory of each rank during that step"}
STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
body { font: 17px/1.5 system-ui, sans-serif }
h1 { font-size: 1.7rem }
h2 { font-size: 1.25rem; color: #00517d; margin-top: 2.2rem }
pre { font: 14px/1.4 ui-monospace, Menlo, Consolas, monospace; background: #f3f3f0 }
pre { padding: .8rem; overflow-x: auto }
table { border-collapse: collapse }
td, th { padding: .15rem .9rem; text-align: left; border-bottom: 1px solid #ddd }
img { max-width: 100% }
.proven { font-weight: bold; color: #00517d }
@media (prefers-color-scheme: dark) {
  body { color: #e8e8e8; background: #16181c } pre { background: #23262c } h2, .proven { color: #7cc4f0 }
  td, th { border-color: #444 }
}
"""
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>{style}</style></head>
<body>
"""
NEXT = """minipar generate --run RUN --prompt "The " --tokens 300
minipar train --resume RUN --steps 2400
minipar schedule show zb-h1 --ranks 4 --micro-batches 8
minipar lesson teach 0
minipar exercise list"""


def page(run: Path, proof: Mapping[str, Any] | None = None) -> str:
    """Returns the page of a finished run. `proof` holds the values of `minipar verify --json`; None shows no
    proof.

    Raises ConfigError if the folder holds no finished run.
    """
    try:
        summary = read_bytes(run / "summary.txt", MIB, ConfigError).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"{run} holds no finished run ({error.strerror}: summary.txt); train one first, "
                          "with minipar train --out") from error
    costs, _, sample = summary.partition("a sample:")
    parts = [f"<h1>{html.escape(str(run))}</h1>", *(_proof(proof) if proof is not None else ()),
             *_pictures(run), "<h2>What it cost each rank</h2>", _text(costs),
             "<h2>What the model writes</h2>", _text(sample.strip().strip("-").strip()),
             "<h2>What to try next</h2>", _text(NEXT.replace("RUN", str(run)))]
    return HEAD.format(title=html.escape(str(run)), style=STYLE) + "\n".join(parts) + "\n</body></html>\n"


def _text(text: str) -> str:
    return f"<pre>{html.escape(text.strip())}</pre>"


def _proof(proof: Mapping[str, Any]) -> Iterator[str]:
    """Yields the findings of `minipar verify` as HTML. Raises ConfigError if the values are not the values of
    a proof.
    """
    try:
        verdict = "PROVEN" if proof["proven"] else "NOT PROVEN"
        layout = " ".join(f"{axis}={proof['case']['layout'][axis]}" for axis in ("dp", "pp", "tp"))
        rows = [(str(one["item"]), f"{float(one['relative']):.1e}", "equal" if one["bits"] else "differ")
                for one in proof["findings"]]
        traffic = [(str(one["axis"]), f"{int(one['bytes']):,}", f"{int(one['predicted_bytes']):,}")
                   for one in proof["traffic"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError("the proof is not a file of minipar verify --json: "
                          f"{type(error).__name__}: {error}") from error
    yield (f'<h2>The proof</h2><p><span class="proven">{verdict}</span>: {html.escape(layout)} trains like '
           "one process. Every number of both trainings was compared.</p>")
    yield _table(("what was compared", "largest relative difference", "bits"), rows)
    yield _table(("traffic along", "bytes counted", "bytes predicted"), traffic)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in heading),
             *("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _pictures(run: Path) -> Iterator[str]:
    """Yields the existing pictures of the run as HTML."""
    for name, title in PICTURES.items():
        if (run / name).is_file():
            data = base64.b64encode(read_bytes(run / name, 16 * MIB, ConfigError)).decode()
            yield f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}">'

"""The timeline player's run: one training step of a small GPT on dp 2 x tp 2 x pp 2, executed with a virtual clock."""

from __future__ import annotations

import functools
import html
from collections import Counter
from fractions import Fraction
from typing import Any

import minipar as mp
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event
from minipar.data.text import load_text
from minipar.trace.step import StepTrace, trace_step

TITLE = "One training step on 8 ranks"
DOES = (
    "A small GPT on dp 2, tp 2, pp 2, executed with a virtual clock: 20 microseconds per message, 10 nanoseconds "
    "per byte, 1 nanosecond per floating-point operation. Step, or point at a bar. Predict: which axis sends most "
    "messages, and when does dp send?"
)

LAYOUT = mp.Layout(dp=2, tp=2, pp=2)
NETWORK = Network(Fraction(20, 10**6), Fraction(10, 10**9))
RATE = 1e9                                                          # FLOPs per second


@functools.cache
def trace() -> StepTrace:
    text = load_text(None)
    tokenizer = mp.make_tokenizer("char", text)
    model = mp.ModelConfig(vocabulary=tokenizer.vocab_size, layers=2, heads=2, width=32, context=16)
    train = mp.TrainConfig(batch=8, micro_batches=2)
    tokens = tokenizer.encode(text[:4000])
    traces = mp.run(
        LAYOUT.ranks, lambda comm: trace_step(comm, LAYOUT, model, train, tokenizer, tokens, NETWORK, RATE)
    )
    found: StepTrace = traces[0]
    return found


def nanoseconds(time: Fraction | float) -> int:
    return round(Fraction(time) * 10**9)


def axis(event: Event) -> str:
    """The group that a message belongs to: "tp", "dp", "pp", or "tied" for the ends of the pipeline."""
    return event.flow.split(":")[0]


@functools.cache
def recorded() -> Any:
    """computing, waiting: [rank, begin, end, label]. messages: [from, to, begin, end, label, axis, bytes], from when
    the message leaves its sender until it has arrived. Times in nanoseconds.
    """
    events = trace().events
    sent = {event.flow: event for event in events if event.kind == "send"}
    arrived = {event.flow: event for event in events if event.kind == "recv"}
    return {
        "layout": {"dp": LAYOUT.dp, "tp": LAYOUT.tp, "pp": LAYOUT.pp},
        "computing": _intervals(events, "compute"),
        "messages": sorted(([event.rank, event.peer, nanoseconds(event.begin), nanoseconds(arrived[flow].end), event.label,
                             axis(event), event.bytes] for flow, event in sent.items()), key=lambda one: (one[2], one[0])),
    }


def _intervals(events: list[Event], kind: str) -> list[list[Any]]:
    return sorted([event.rank, nanoseconds(event.begin), nanoseconds(event.end), event.label]
                  for event in events if event.kind == kind)


def plain() -> str:
    """What each rank sends along each axis."""
    data = recorded()
    messages, sent = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for source, _, _, _, _, name, nbytes in data["messages"]:
        messages[source, name] += 1
        sent[source, name] += nbytes
    axes = sorted({name for _, name in messages})
    rows = "".join(f"<tr><td>rank {rank}</td>" + "".join(
        f"<td>{messages[rank, name]} messages, {sent[rank, name]:,} bytes</td>" for name in axes) + "</tr>"
        for rank in range(LAYOUT.ranks))
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in ("sent", *axes))
    end = max(one[3] for one in data["messages"])
    return (f"<p>The step takes {end / 1000:,.0f} microseconds.</p>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")

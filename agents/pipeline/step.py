"""The compiled step: settle what was ordered, mark, attribute, decide. Live calls it with one bar, replay with many.

Bars are taken in blocks. What all books see of a block is made first (`reading`); then one book after the other goes
through it by itself, while its rows are in the cache (`books`). First those that need no other book: the shadows, and
`hold`. Then the live book; the controls of other weights and the books beside the desk, which halt with it, the control
by inverse volatility, which looks at the shadows; and `hold_at_volatility`, which is as bold as the live book was.

So the first of them can be a block ahead, on a thread of their own. Nothing hangs on who is done first, nor on how long
a block is.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

from agents.core.books import FIRST_BENCHMARK, FIRST_SHADOW, HOLD, HOLD_AT_VOLATILITY
from agents.pipeline.books import trade_book
from agents.pipeline.desk import StepDesk, desk_of
from agents.pipeline.parameters import Parameters
from agents.pipeline.reading import read_rows
from agents.pipeline.rows import Span, copy_row
from agents.pipeline.state import Inputs, Outputs, State
from agents.pipeline.twins import find_twins
from agents.quant.compiled import compiled_inline, compiled_short_loops

AHEAD, BEHIND = 1, 2
"""Books that need no other one, and those that do; bits."""
WORTH_A_THREAD = 3
"""Blocks from which on a second thread takes less time than it needs to begin."""


def run_bars(state: State, inputs: Inputs, parameters: Parameters, out: Outputs) -> None:
    """Take `state` through the n bars of `inputs`, writing `out`; nothing at bar t looks beyond bar t."""
    bars = len(inputs.open)
    run_rows_on_threads(desk_of(state, parameters, bars), inputs, out, 0, bars)


def run_rows_on_threads(desk: StepDesk, inputs: Inputs, out: Outputs, first: int, stop: int) -> None:
    """As `run_rows`, on two threads where that is faster; the same bits."""
    at_once = len(desk.rows.share)
    if stop - first < WORTH_A_THREAD * at_once:
        run_rows(desk, inputs, out, first, stop)
        return
    spans = [Span(begin, min(stop, begin + at_once)) for begin in range(first, stop, at_once)]
    other = desk_of(desk.state, desk.parameters, at_once)
    ahead = desk, desk._replace(rows=other.rows)
    behind = other._replace(rows=desk.rows), other
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(run_part, ahead[0], inputs, out, spans[0], AHEAD)
        for k, span in enumerate(spans):
            done.result()
            if k + 1 < len(spans):
                done = thread.submit(run_part, ahead[(k + 1) % 2], inputs, out, spans[k + 1], AHEAD)
            run_part(behind[k % 2], inputs, out, span, BEHIND)


def run_rows(desk: StepDesk, inputs: Inputs, out: Outputs, first: int, stop: int) -> None:
    """As `run_bars`, through the bars `first` to `stop` (exclusive) only, for a replay that stops often."""
    run_part(desk, inputs, out, Span(first, stop), AHEAD | BEHIND)


@compiled_short_loops
def run_part(desk: StepDesk, inputs: Inputs, out: Outputs, span: Span, part: int) -> None:
    """Books that are `AHEAD`, that are `BEHIND`, or all, through some bars; only all can go on to another block."""
    first_weights, at_once, agents = desk.state.first_weights, len(desk.rows.share), len(inputs.weights)
    live_turn, turns = agents + 1, len(desk.state.cash)
    if (part & BEHIND) != 0 and not math.isfinite(first_weights[0]):
        copy_row(inputs.weights, first_weights)
    for begin in range(span.first, span.stop, at_once):
        block = Span(begin, min(span.stop, begin + at_once))
        if (part & AHEAD) != 0:
            read_rows(desk.state, desk.parameters, inputs, desk.rows, block)
        for turn in range(0 if (part & AHEAD) != 0 else live_turn, turns if (part & BEHIND) != 0 else live_turn):
            if turn == live_turn:
                find_twins(desk, inputs)
            trade_book(desk, inputs, out, block, _book_at(turn, agents, turns))


@compiled_inline
def _book_at(turn: int, agents: int, turns: int) -> int:
    """Shadows, `hold`; the live book, controls of other weights, books beside the desk, `hold_at_volatility`."""
    if turn < agents:
        return FIRST_SHADOW + turn
    if turn == agents:
        return HOLD
    if turn == turns - 1:
        return HOLD_AT_VOLATILITY
    follower = turn - agents - 1
    return follower if follower < FIRST_BENCHMARK else FIRST_SHADOW + agents + follower - FIRST_BENCHMARK

"""What a desk does when a person halts or resumes it between two decisions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from agents.core.books import LIVE
from agents.core.errors import ServiceError
from agents.core.log import log_event
from agents.core.ports import Broker, Journal
from agents.core.types import FLATTENING, Order, RiskState
from agents.pipeline.commands import obey
from agents.pipeline.state import State, copy_state

logger = logging.getLogger(__name__)


class InDoubtError(ServiceError):
    """Whether the record took what a desk was to become is not known: it has to be taken up again from there."""


@contextmanager
def becoming() -> Iterator[None]:
    """Around a commit of what the desk is to become: InDoubtError where its answer is lost."""
    try:
        yield
    except ServiceError as error:
        raise InDoubtError(str(error)) from error


class Pause(NamedTuple):
    """A moment `at` after the decision at `after` and before the next one."""

    after: datetime
    at: datetime


def obey_waiting(journal: Journal, broker: Broker, state: State, symbols: Sequence[str], pause: Pause) -> State:
    """The state under what a person ordered since the last decision, once that is on record; `state` itself where
    nothing waits. Who halts takes back first what works at the broker; where that fails, all is done again the next
    time. InDoubtError where the answer of the record is lost."""
    commands = journal.pending_commands()
    if not commands:
        return state
    changed = copy_state(state)
    for command in commands:
        obey(changed, command.state, flatten=command.flatten)
    if changed.risk_state[LIVE] == RiskState.HALTED:
        working = [order for order, _ in journal.open_orders() if order.kind != "exit"]  # which does what is asked
        cancelled = list(broker.cancel([order.client_order_id for order in working]))
        journal.record_outcomes(pause.at, cancelled)
        drop_pending(changed, [answer.client_order_id for answer in cancelled], symbols, working)
    with becoming():
        journal.obey(commands, after=pause.after)
    words = ",".join(FLATTENING if command.flatten else str(command.state) for command in commands)
    log_event(logger, "a person's command is obeyed", level=logging.WARNING, state=words, after=pause.after)
    return changed


def obey_again(journal: Journal, state: State, symbols: Sequence[str], after: datetime) -> None:
    """Change the state that was kept with the decision at `after` by what was obeyed since."""
    commands = journal.obeyed_since(after)
    for command in commands:
        obey(state, command.state, flatten=command.flatten)
    if any(command.state is RiskState.HALTED for command in commands):
        working = {order.symbol for order, _ in journal.open_orders()}
        state.pending[LIVE, [symbol not in working for symbol in symbols]] = 0.0


def drop_pending(state: State, ids: Sequence[str], symbols: Sequence[str], orders: Sequence[Order]) -> None:
    """Of `orders` those with these ids will not be filled."""
    for order in orders:
        if order.client_order_id in ids:
            state.pending[LIVE, symbols.index(order.symbol)] = 0.0

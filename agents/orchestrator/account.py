"""The desk's account between two decisions: the step's state beside the ledger, and cash that comes or goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from agents.core.books import LIVE
from agents.core.cash_flows import CashFlow, TakenFlow
from agents.core.errors import JournalError
from agents.core.log import log_event
from agents.core.ports import Journal
from agents.core.types import to_float
from agents.orchestrator.commands import Pause, becoming
from agents.pipeline.cash_flows import take_flow, why_refused
from agents.pipeline.ledger import Ledger, fold_fills
from agents.pipeline.state import State, copy_state

logger = logging.getLogger(__name__)


class Account(NamedTuple):
    """What a desk has, as the step and as the ledger know it; `earned` since the last decision, by no agent (interest
    and the like)."""

    state: State
    ledger: Ledger
    earned: float


def take_waiting(journal: Journal, account: Account, pause: Pause) -> Account:
    """The account with the cash that has come or gone since the last decision, once that is on record; itself where
    nothing has. It counts from the next bar on, before that one's fills. InDoubtError as for a command."""
    waiting = journal.waiting_flows(pause.after)
    if not waiting:
        return account
    changed, taken = _with_flows(account, waiting, why_refused)
    with becoming():
        journal.take_flows(taken, after=pause.after, at=pause.at)
    for flow, _, refused in taken:
        level, what = (logging.ERROR, "a cash flow is refused") if refused else (logging.INFO, "cash flow")
        facts = {"kind": flow.kind, "amount": f"{flow.amount:f}", "source": flow.source}
        log_event(logger, what, level=level, **facts, **({"why": refused} if refused else {}))
    return changed


def flows_taken(journal: Journal, account: Account, after: datetime) -> Account:
    """The account that was kept with the decision at `after`, with the flows that were taken since."""
    return _with_flows(account, journal.flows_since(after), lambda _state, _flow: "")[0]


def _with_flows(
    account: Account, flows: Iterable[CashFlow], refusal: Callable[[State, CashFlow], str]
) -> tuple[Account, list[TakenFlow]]:
    state, ledger, earned = copy_state(account.state), account.ledger, account.earned
    taken = []
    for flow in flows:
        refused = refusal(state, flow)
        if refused:
            taken.append(TakenFlow(flow, 1.0, refused))
            continue
        taken.append(TakenFlow(flow, take_flow(state, flow)))
        ledger = fold_fills(ledger, [flow])[0]
        earned += 0.0 if flow.is_capital else to_float(flow.amount)
    return Account(state, ledger, earned), taken


def require_agreement(ledger: Ledger, state: State, symbols: Sequence[str]) -> None:
    """JournalError where ledger and state contradict each other."""
    for s, symbol in enumerate(symbols):
        held = ledger.positions.get(symbol)
        quantity = to_float(held.quantity) if held else 0.0
        if abs(quantity - state.position[LIVE, s]) > 1e-6 * max(1.0, abs(quantity)):
            raise JournalError(
                f"{symbol}: the ledger holds {quantity}, the step's state {state.position[LIVE, s]};"
                " the journal was changed by hand or damaged, so this desk does not trade"
            )

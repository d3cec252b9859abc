"""The trading plane's one impure function, `Orchestrator.run_cycle`: read, decide, record, act.

    bars -> poll (the broker's answers about the last orders) -> agents -> weights -> step -> journal -> broker

Nothing is sent before its decision is committed. After a crash, orders whose sending is not proven are looked up at
the broker by their id; those it does not know are NOT_PLACED and the next cycle decides anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from agents.core.books import LIVE
from agents.core.errors import JournalError
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.orders import KEPT_BACK, TOO_LATE
from agents.core.ports import Broker, Command, Journal
from agents.core.types import (
    Bars,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    RiskState,
    WarmUp,
    WeightSet,
    as_datetime,
    to_decimal,
)
from agents.core.weight_sets import vector_of
from agents.orchestrator.account import Account, flows_taken, require_agreement, take_waiting
from agents.orchestrator.commands import Pause, drop_pending, obey_again, obey_waiting
from agents.orchestrator.cycle_parts import Decision, View
from agents.orchestrator.kill_switch import KillWatch
from agents.orchestrator.risk_changes import note_risk
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.commands import obey
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import bar_volatility, newest_regime, panel_of, tradable, volume_note
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.record import Opinions, Traded, broker_fills_of, build_cycle, orders_of
from agents.pipeline.saved_state import unpack_state
from agents.pipeline.state import State, copy_state, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.pipeline.stop_orders import closed_by, parted, stop_orders
from agents.quant.indicators import LONGEST_GAP_BARS
from agents.quant.regimes import REGIME_BARS
from agents.trading.guard import AgentPanel, raw_forecasts

logger = logging.getLogger(__name__)
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
COMMANDS_WHILE_DECIDING = 10
"""So often a decision is made anew because a person said something."""


class Orchestrator:
    """One live or paper desk. `recover` once, then `run_cycle` for each new bar, oldest first."""

    def __init__(self, plan: DeskPlan, agents: AgentPanel, weights: DeskWeights, journal: Journal) -> None:
        self.plan = plan
        self._agents = agents
        self._weights = weights
        self._journal = journal
        self._state = new_state(len(agents.names), len(plan.symbols), plan.parameters.initial_cash)
        self._ledger = Ledger(cash=to_decimal(plan.parameters.initial_cash))
        self._history: Floats = np.empty((0, len(agents.names), len(plan.symbols)))
        self._volatility_bars = plan.volatility_window_bars + LONGEST_GAP_BARS + 1
        self._at = self.decided_at = BEFORE_ALL  # the second: the bar of the last decision
        self._pinned: WeightSet | None = None
        self.data_version: int | None = None
        """What the last decision knew of bars, splits and dividends; None before the first."""
        self._unsent: CycleRecord | None = None
        self._earned = 0.0

    @property
    def bars_needed(self) -> int:
        """Length of the window that `run_cycle` wants."""
        return max(self._agents.bars_needed, self._volatility_bars, REGIME_BARS)

    @property
    def warm_up_bars(self) -> int:
        """Bars that a new desk is shown before its first decision: its agents' memory, behind that of their scale. What
        an agent in shadow needs changes nothing here."""
        needed = self._agents.bars_needed_without(self.plan.shadow)
        return max(needed, self._volatility_bars) + self.plan.scale_window_bars

    def account(self) -> State:
        """The step's state after the last decision."""
        return self._state

    def ledger(self) -> Ledger:
        """Cash and positions after the last decision."""
        return self._ledger

    def recover(self, broker: Broker, window: Bars, at: datetime) -> datetime | None:
        """Take up the desk where the journal ends; returns the time of its last decision, None for a new desk.

        `window` holds the bars up to the first cycle (exclusive), for the agents' scale on a new desk. JournalError
        where ledger and state contradict each other: then nothing may be traded.
        """
        last = self._journal.last()
        names, count = self._agents.names, self.plan.scale_window_bars
        if last is not None:
            self._state, cash = unpack_state(last.state, self.plan, names)
            self._ledger = Ledger(cash=Decimal(cash), positions=dict(last.positions))
            require_agreement(self._ledger, self._state, self.plan.symbols)
            self._history = self._journal.forecasts(names, self.plan.symbols, until=last.time, count=count)
            self.decided_at, self.data_version = last.time, last.data_version
            obey_again(self._journal, self._state, self.plan.symbols, self.decided_at)
            self._between(lambda account: flows_taken(self._journal, account, self.decided_at))
            self._resolve_orders(broker, at)
            return last.time
        self._between(lambda account: flows_taken(self._journal, account, BEFORE_ALL))
        if len(window.time):
            signals, _ = self._agents.ask(panel_of(window), at, action="replay")
            self._history = raw_forecasts(signals)[-count:]
        return None

    def run_cycle(
        self, window: Bars, broker: Broker, at: datetime, *, stale: bool, went_stale: Callable[[], bool] = lambda: False
    ) -> CycleRecord:
        """Decide on the last bar of `window`, record the decision, then send its orders; `at` is now.

        `went_stale` is asked right before sending: a process that stood still after `at` sends nothing of an old bar.
        A cycle that failed can be tried again: where its decision is on record already, only the sending goes on, by
        asking the broker what it has.
        """
        self._at = at
        bar = tradable(window, self.plan.publication_delay_s).rows(len(window.time) - 1, len(window.time))
        if self._unsent is not None and self._unsent.time[0] == bar.time[0]:
            self._resolve_orders(broker, at)
            sent, self._unsent = self._unsent, None
            return sent
        pinned = self._pinned = self._weights.current(at)
        outcomes = list(broker.poll(self.decided_at))
        view = self._view(window, pinned, at)
        commands: Sequence[Command] = ()
        for _ in range(COMMANDS_WHILE_DECIDING):
            decision = self._decide(bar, view, outcomes, commands, stale=stale)
            if self._record(decision, view, commands):  # the record itself looks for commands: no question before it
                break
            log_event(logger, "a person's command waits; deciding with it")
            commands = self._journal.pending_commands()
        else:
            raise JournalError("a person's commands come faster than the desk can obey them; give the last one again")
        self._unsent = decision.cycle
        self._send(decision.orders, broker, at, went_stale)
        self._unsent = None
        return decision.cycle

    def obey_commands(self, broker: Broker, at: datetime) -> None:
        """Between two decisions: be what a person ordered (a desk without one obeys with its first), and take the cash
        that came or went."""
        pause = Pause(after=self.decided_at, at=at)
        if self.decided_at != BEFORE_ALL:
            self._state = obey_waiting(self._journal, broker, self._state, self.plan.symbols, pause)
        self._between(lambda account: take_waiting(self._journal, account, pause))

    def _between(self, change: Callable[[Account], Account]) -> None:
        self._state, self._ledger, self._earned = change(Account(self._state, self._ledger, self._earned))

    def settle_kill(self, kill: KillWatch, at: datetime) -> None:
        """Halt on record where the kill switch is or was pulled; `obey_commands` obeys it."""
        kill.settle(self._journal, RiskState(self._state.risk_state[LIVE]), at)

    def _view(self, window: Bars, weights: WeightSet, at: datetime) -> View:
        """What the agents say of the last bar of `window`, in the common unit, and how much the symbols move."""
        plan, last = self.plan, as_datetime(window.time[-1])
        panel = panel_of(window)
        signals, asked = self._agents.ask(panel, at, action="signals")
        work_log = [replace(entry, time=last) for entry in asked]
        raw = np.concatenate([self._history, raw_forecasts(signals)])[-plan.scale_window_bars :]
        cap = plan.parameters.sizing.forecast_cap
        forecast, correlation = scale_forecasts(raw, plan.scale_window_bars, cap, len(raw) - 1)
        recent = panel.rows(max(0, len(panel.time) - self._volatility_bars), len(panel.time))
        opinions = Opinions(
            agents=self._agents.names,
            signals=signals,
            reasons=self._agents.reasons(0, 1, len(plan.symbols)),
            forecast=forecast,
            regime=newest_regime(panel),
            weights=[weights],
            work_log=work_log,
        )
        volatility = bar_volatility(recent, plan.volatility_window_bars)[-1:]
        note = volume_note(window) if self.decided_at == BEFORE_ALL else ""
        return View(opinions, raw, correlation, volatility, note)

    def _decide(
        self, bar: Bars, view: View, outcomes: list[OrderOutcome], commands: Sequence[Command], *, stale: bool
    ) -> Decision:
        """Settle, attribute and decide on a copy of the state; nothing is changed yet."""
        plan, names = self.plan, self._agents.names
        vector = vector_of(self._weights_of_cycle(), names)
        state = copy_state(self._state)
        for command in commands:
            obey(state, command.state, flatten=command.flatten)
        obeyed = RiskState(state.risk_state[LIVE])
        ordered, stopped = parted(outcomes, plan.desk, bar)
        inputs = matched_inputs(bar, view.volatility, view.opinions.forecast, view.correlation, vector)._replace(
            counted=plan.counted(names),
            stale=np.full(bar.open.shape, stale),
            leaving=np.isin(plan.symbols, plan.leaving)[None, :],
            external=True,
            broker_fills=broker_fills_of(ordered, plan.symbols),
            broker_stops=broker_fills_of(stopped, plan.symbols),
        )
        out = new_outputs(1, len(names), len(plan.symbols))
        run_bars(state, inputs, plan.parameters, out)
        out.contribution[0, -1] += self._earned or -0.0  # which changes no bit
        orders, stops = orders_of(out, bar, plan.desk, plan.parameters.orders), stop_orders(out, bar, plan.desk)
        known = [*ordered, *closed_by(stopped, stops[0])]
        traded = Traded(out=out, state=state, orders=orders, stops=stops, outcomes=[known], note=view.note)
        cycle, ledger = build_cycle(plan, bar, view.opinions, traded, self._ledger)
        if self.decided_at == BEFORE_ALL:
            cycle = replace(cycle, warm_up=WarmUp(names, plan.symbols, self._history))
        return Decision(cycle, state, ledger, obeyed, orders[0])

    def _record(self, decision: Decision, view: View, commands: Sequence[Command]) -> bool:
        """Commit the decision, and that it obeyed the commands; from then on it is this desk's state. False, and
        nothing has happened, where there is a newer command."""
        killpoint("decision.before_commit")
        if not self._journal.record(decision.cycle, commands):
            return False
        note_risk(self._journal, decision, self._state, self.plan.parameters.limits)
        self._state, self._ledger, self._history = decision.state, decision.ledger, view.history
        self._earned = 0.0
        self.decided_at, self.data_version = as_datetime(decision.cycle.time[-1]), decision.cycle.data_version
        return True

    def _weights_of_cycle(self) -> Mapping[str, Decimal]:
        """What every symbol reads: the step has one set of weights for all of them."""
        found = [self._get_agent_weights(symbol) for symbol in self.plan.symbols]
        assert all(weights == found[0] for weights in found)
        return found[0]

    def _get_agent_weights(self, symbol: str) -> Mapping[str, Decimal]:
        """Weights in force for `symbol`: those of the version that its newest cycle pinned, whatever was published
        since; before the first cycle from Redis, else database, else static, else equal. KeyError for a symbol that
        this desk does not trade."""
        if symbol not in self.plan.symbols:
            raise KeyError(symbol)
        return (self._pinned or self._weights.current(self._at)).weights

    def _send(self, orders: Sequence[Order], broker: Broker, at: datetime, went_stale: Callable[[], bool]) -> None:
        if not orders:
            return
        killpoint("order.before_send")
        halted = any(command.state is RiskState.HALTED for command in self._journal.pending_commands())
        if halted or went_stale():
            self._keep_back(orders, at, KEPT_BACK if halted else TOO_LATE)
            return
        try:
            answers = list(broker.place(orders))
        except Exception as error:
            # Whatever went wrong, the orders may exist at the broker: unknown, never failed.
            log_event(logger, "outcome of orders unknown", level=logging.ERROR, orders=len(orders), error=error)
            answers = [
                OrderOutcome(client_order_id=order.client_order_id, state="unknown", reason=str(error))
                for order in orders
            ]
        killpoint("order.before_ack_commit")
        self._journal.record_outcomes(at, answers)
        rejected = [a.client_order_id for a in answers if a.state in ("rejected", "not_placed")]
        drop_pending(self._state, rejected, self.plan.symbols, orders)
        for order, answer in zip(orders, answers, strict=True):
            if answer.state == "unknown":
                self._resolve(order, broker, at)

    def _resolve_orders(self, broker: Broker, at: datetime) -> None:
        for order, state in self._journal.open_orders():
            if state in ("intent", "sending", "unknown"):
                self._resolve(order, broker, at)

    def _resolve(self, order: Order, broker: Broker, at: datetime) -> None:
        """Ask the broker about an order whose sending is not proven; never send it again."""
        outcome = broker.lookup(order.client_order_id)
        if outcome is None:
            reason = "the broker does not know it"
            outcome = OrderOutcome(client_order_id=order.client_order_id, state="not_placed", reason=reason)
            drop_pending(self._state, [order.client_order_id], self.plan.symbols, [order])
        log_event(logger, "order resolved", order=order.client_order_id, state=outcome.state)
        self._journal.record_outcomes(at, [outcome])

    def _keep_back(self, orders: Sequence[Order], at: datetime, reason: str) -> None:
        """Something happened between the decision and the sending: nothing leaves."""
        ids = [order.client_order_id for order in orders]
        log_event(logger, "nothing is sent", level=logging.WARNING, orders=len(ids), reason=reason)
        self._journal.record_outcomes(
            at, [OrderOutcome(client_order_id=key, state="not_placed", reason=reason) for key in ids]
        )
        drop_pending(self._state, ids, self.plan.symbols, orders)

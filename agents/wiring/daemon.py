"""The composition root of the trading daemon: settings -> feed, bars, agents, weights, journal, broker -> daemon."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from agents.adapters.brokers.paper_venue import PostgresPaperVenue
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.stored_data import StoredData
from agents.adapters.services.notify import notify
from agents.core.books import LIVE
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.log import log_event
from agents.core.settings import Settings
from agents.core.types import RiskState
from agents.orchestrator.clock_drift import ClockDrift
from agents.orchestrator.daemon import Desk, Surroundings, TradingDaemon
from agents.orchestrator.kill_switch import GuardedBroker, KillWatch
from agents.orchestrator.limit_edges import LimitEdges
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.order_rate import OrderRate
from agents.orchestrator.paper_broker import PaperBroker
from agents.orchestrator.pulse import DaemonPulse
from agents.wiring.calendar import calendar_of
from agents.wiring.connections import Connections
from agents.wiring.desk import agents_of, plan_of
from agents.wiring.desk_record import kill_file_of
from agents.wiring.exchanges import Told, feed_of
from agents.wiring.tending import endurance_of, tending
from agents.wiring.venue import Guards, desk_at_venue, exits_of, require_one_currency, require_tradable
from agents.wiring.weights import desk_weights

logger = logging.getLogger(__name__)


def trading_daemon(
    settings: Settings, connections: Connections, journal: PostgresJournal, clock: Clock, thinking: Clock | None = None
) -> TradingDaemon:
    """The daemon of the settings' desk; `journal` holds it. The feed's folder is made where it is missing. By the clock
    `thinking` (by default `clock`) agents are given their time, which no faster clock makes shorter."""
    settings.data.feed_folder.mkdir(parents=True, exist_ok=True)
    chosen = settings.data.symbols
    require_direction(settings, journal)
    require_tradable(settings)
    leaving = leavers_of(chosen, journal)
    store = BarsStore(connections.trader, (*chosen, *leaving))
    agents = agents_of(settings, thinking or clock)
    weights = desk_weights(settings, connections, agents)

    drift = ClockDrift(settings.risk.limits.clock_drift)
    exits = exits_of(settings, connections, journal, clock) if settings.desk.venue else None
    switch, rate = kill_file_of(settings), OrderRate(settings.risk.limits.orders_per_minute, clock)

    def orchestrator_of(symbols: tuple[str, ...]) -> Orchestrator:
        return Orchestrator(plan_of(settings, symbols, leaving), agents, weights, journal)

    def open_desk(symbols: tuple[str, ...]) -> Desk:
        require_one_currency(symbols)
        orchestrator = orchestrator_of(symbols)
        if exits is not None:
            guards = Guards(lambda broker: GuardedBroker(broker, switch, rate), exits)
            desk, distance = desk_at_venue(settings, orchestrator, journal, guards, clock)
            return replace(desk, settle_limits=settling((distance, drift.edges), orchestrator, journal))
        broker = paper_broker(orchestrator, journal)
        settle = settling((drift.edges,), orchestrator, journal)
        return Desk(orchestrator, GuardedBroker(broker, switch, rate), broker.match, settle_limits=settle)

    warm_up_bars = orchestrator_of(chosen).warm_up_bars if settings.data.exchange else 0
    _tell_what_trades(settings, connections, agents.names)
    wake = threading.Event()
    around = Surroundings(
        feed=feed_of(settings, store, warm_up_bars, clock, Told(drift.note, wake.set)),
        bars=store,
        calendar=calendar_of(settings.data),
        open_desk=open_desk,
        is_new=lambda: journal.last() is None,
        notify=notify,
        pulse=DaemonPulse(HeartbeatTable(connections.trader), "trading", clock),
        tend=tending(settings, clock),
        endurance=endurance_of("trading", clock, connections.trader),
        kill=KillWatch(switch),
        exits=exits,
        only_shrink=drift.only_shrink,
        wake=wake,
    )
    return TradingDaemon(around, settings.data, clock)


def _tell_what_trades(settings: Settings, connections: Connections, agents: Sequence[str]) -> None:
    names = ",".join(agents)
    lonely = StoredData(connections.trader).series_without_bars()
    if lonely:
        remedy = "no agent sees them; name them in data.aliases and import them again"
        log_event(logger, "series without bars", level=logging.WARNING, symbols=",".join(lonely), remedy=remedy)
    if settings.from_profile:
        told = {key: str(value) for key, value in settings.from_profile.items()}
        log_event(logger, "set by the profile", profile=settings.desk.profile, keys=told)
    source = settings.data.exchange or settings.data.feed_folder
    log_event(logger, "trading", desk=settings.desk.name, feed=source, agents=names)


def settling(
    limits: Sequence[LimitEdges], orchestrator: Orchestrator, journal: PostgresJournal
) -> Callable[[datetime], None]:
    """Puts the edges of these limits on the desk's record."""

    def settle(at: datetime) -> None:
        state = RiskState(orchestrator.account().risk_state[LIVE])
        for limit in limits:
            limit.settle(journal, state, at)

    return settle


def require_direction(settings: Settings, journal: PostgresJournal) -> None:
    """SettingsError where the desk holds short positions and only its profile, not the user, says that it is long-only:
    a desk that is older than profiles must not close them unasked."""
    last = journal.last() if settings.from_profile.get("risk.allow_short") is False else None
    short = {} if last is None else {s: p.quantity for s, p in last.positions.items() if p.quantity < 0}
    if short:
        held = ", ".join(f"{symbol} {quantity:f}" for symbol, quantity in sorted(short.items()))
        raise SettingsError(
            f"the desk holds short positions ({held}), and the profile '{settings.desk.profile}' is long-only: write"
            " risk.allow_short = true to go on with them, or false to have them closed at the next bar"
        )


def leavers_of(chosen: tuple[str, ...], journal: PostgresJournal) -> tuple[str, ...]:
    """Symbols that were taken out of the settings' `chosen` ones (none: all there are) while the desk held or ordered
    them: it goes on reading their bars, and closes them at the next open. Without bars they stay, marked as they were.
    """
    last = journal.last() if chosen else None
    if last is None:
        return ()
    held = {*last.positions, *(order.symbol for order, _ in journal.open_orders())}
    leaving = tuple(sorted(held - set(chosen)))
    if leaving:
        what = "not among data.symbols any more: closed at the next open, held and marked while no bar comes"
        log_event(logger, what, level=logging.WARNING, symbols=",".join(leaving))
    return leaving


def paper_broker(orchestrator: Orchestrator, journal: PostgresJournal) -> PaperBroker:
    """The paper venue on the desk's own account, with the orders that it accepted before and that are not final."""
    venue = PostgresPaperVenue(journal.writer)
    working = [order for order, _ in journal.open_orders() if venue.has(order.client_order_id)]
    return PaperBroker(orchestrator.plan, venue, orchestrator.account, working)

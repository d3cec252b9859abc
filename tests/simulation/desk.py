"""A desk of real parts in a simulated world: the daemon's turn, the orchestrator, the step, the broker of an account,
the comparison of books. Only what is outside is made: market, account, journal, clock, a person."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from unittest.mock import patch

import numpy as np

from agents.adapters.brokers import account_broker, chasing
from agents.adapters.calendars.unknown_hours import UnknownHours
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.asking import Answer, Question
from agents.core.endurance import Endurance, is_outside
from agents.core.settings import Settings
from agents.core.types import Panel, Signals
from agents.orchestrator import orchestrator as orchestrator_module
from agents.orchestrator.daemon import Desk, Surroundings, TradingDaemon
from agents.orchestrator.kill_switch import GuardedBroker, KillWatch
from agents.orchestrator.offline_exits import ExitFiles, OfflineExits
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.order_rate import OrderRate
from agents.orchestrator.pulse import DaemonPulse
from agents.orchestrator.weights_in_force import DeskWeights
from agents.trading.guard import AgentPanel
from agents.wiring import venue
from agents.wiring.daemon import settling
from agents.wiring.desk import plan_of, stand_in_of
from tests.simulation.account import CASH, SimulatedAccount
from tests.simulation.chance import Scene
from tests.simulation.journal import SimulatedJournal
from tests.simulation.market import MarketData
from tests.simulation.world import HOUR, World
from tests.twins import MemoryWeightStore

STALE_AFTER_BARS = 2.0
WHERE_KILLPOINTS_ARE = (orchestrator_module, account_broker, chasing)


class Simulated:
    """Everything of one seed. What a process knows is in `daemon`, which a crash ends; the rest outlives it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = _settings_of(world.plan.scene)
        self.data = MarketData(world)
        self.account = SimulatedAccount(world)
        self.journal = SimulatedJournal(world)
        self.switch = Switch(world)
        self.weights, self.cache = MemoryWeightStore(), MemoryWeightCache()
        self.endurance = Watched(world)
        self.starts = 0
        self.daemon = self._started()

    def _started(self) -> TradingDaemon:
        """A process that has just begun."""
        self.starts += 1
        settings, clock = self.settings, self.world.clock
        agents = AgentPanel(_seats(), clock, timeout_s=10.0, breaker_failures=10, breaker_retry_s=3600.0)
        weights = DeskWeights(agents.names, self.weights, self.cache, stand_in_of(settings), 3600.0)
        around = Surroundings(
            feed=self.data,
            bars=self.data,
            calendar=UnknownHours(HOUR, STALE_AFTER_BARS),
            open_desk=lambda symbols: self._opened(symbols, agents, weights),
            is_new=lambda: not self.journal.cycles,
            notify=lambda _words: None,
            pulse=DaemonPulse(NoHeartbeats(), "trading", clock),
            tend=lambda: None,
            endurance=self.endurance,
            kill=KillWatch(self.switch),
            wake=threading.Event(),
        )
        return TradingDaemon(around, settings.data, clock)

    def _opened(self, symbols: tuple[str, ...], agents: AgentPanel, weights: DeskWeights) -> Desk:
        """As `wiring.daemon` composes it."""
        orchestrator = Orchestrator(plan_of(self.settings, symbols), agents, weights, self.journal)
        rate = OrderRate(self.settings.risk.limits.orders_per_minute, self.world.clock)
        exits = OfflineExits("sim", ExitFiles(None, NoSpool()), None, self.switch, self.world.clock)
        guards = venue.Guards(lambda b: GuardedBroker(b, self.switch, rate), exits)
        desk, distance = venue.desk_at_venue(self.settings, orchestrator, self.journal, guards, self.world.clock)
        return Desk(
            desk.orchestrator,
            desk.broker,
            desk.on_bar,
            desk.reconcile,
            settling((distance,), orchestrator, self.journal),
        )

    def restart(self) -> None:
        """The process is gone; another one begins."""
        self.daemon = self._started()

    @contextmanager
    def wired(self) -> Iterator[None]:
        """The places where real parts would reach out of this process are led here."""
        with ExitStack() as stack:
            for module in WHERE_KILLPOINTS_ARE:
                stack.enter_context(patch.object(module, "killpoint", self.world.killpoint))
            stack.enter_context(patch.object(venue, "account_of", lambda _settings, _clock: self.account))
            stack.enter_context(patch.object(venue, "PostgresBrokerRecord", lambda journal, _engine: journal))
            stack.enter_context(patch.object(venue, "PostgresStopRecord", lambda _writer, _clock: NoStops()))
            stack.enter_context(patch.object(venue, "kill_file_of", lambda _settings: self.switch))
            yield


class Watched(Endurance):
    """The real one, which remembers what no outside can explain."""

    def __init__(self, world: World) -> None:
        super().__init__("trading", world.clock, lambda _words: None)
        self.world = world
        self.defects: list[Exception] = []

    def failed(self, error: Exception, *, pause_s: float) -> float:
        self.world.tell(f"   a turn fails: {type(error).__name__}: {error}")
        if not is_outside(error):
            self.defects.append(error)
        return super().failed(error, pause_s=pause_s)


class Switch:
    """The kill file."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reason: str | None = None
        self.pulled_at = 0

    def pulled(self) -> str | None:
        self.world.call("kill file")
        return self.reason

    def pull(self) -> None:
        """Somebody makes the file."""
        self.reason, self.pulled_at = "somebody is afraid", self.world.number

    def let_go(self) -> None:
        """Somebody removes it."""
        self.reason = None


class NoStops:
    """No stop rests at this exchange."""

    def known(self, client_order_ids: object) -> frozenset[str]:
        return frozenset()

    def standing(self) -> tuple[()]:
        return ()


class NoSpool:
    """Nothing has left while the database was away: nobody writes a letter here."""

    there = False


class NoHeartbeats:
    """Nobody looks."""

    def beat(self, heartbeat: object) -> None:
        """It is heard by nobody."""

    def all(self) -> list:
        return []


# ---------------------------------------------------------------- agents, each a line of arithmetic


class Trivial:
    """An agent of one line, on the caller's own thread."""

    bars_needed = 8

    def __init__(self, name: str) -> None:
        self.name = name
        self._answer = Answer(None, problem="was not asked")

    def ask(self, question: Question) -> None:
        rows = question.panel.rows(question.first_row(self.bars_needed), len(question.panel.time))
        said = signals_of(self.name, rows)
        kept = slice(None) if question.whole else slice(-1, None)
        shown = Signals(strength=said.strength[kept], confidence=said.confidence[kept], abstained=said.abstained[kept])
        words = () if question.whole else (tuple("so" for _ in question.panel.symbols),)
        self._answer = Answer(shown, reasons=words[0] if words else ())

    def answer(self, timeout_s: float) -> Answer:
        return self._answer

    def reasons(self, first: int, stop: int, timeout_s: float) -> list[tuple[str, ...]]:
        assert self._answer.signals is not None
        return [tuple("so" for _ in range(self._answer.signals.strength.shape[1])) for _ in range(first, stop)]

    def close(self) -> None:
        """Nothing is held."""


def signals_of(name: str, panel: Panel) -> Signals:
    """ "follow": where the last four bars went; "wander": a wave of its own for each symbol; "doubt": against the last
    bar, silent every seventh."""
    close, hours = panel.close, panel.time.astype("datetime64[h]").astype(np.int64)[:, None]
    column = np.arange(close.shape[1])[None, :]
    before = np.full(close.shape, np.nan)
    if name == "wander":
        raw = np.sin(hours * (0.7 + 0.13 * column) + column) + 0.5
        before = close
    else:
        lag = 4 if name == "follow" else 1
        before[lag:] = close[:-lag]
        raw = np.nan_to_num((close / before - 1.0) * (40.0 if name == "follow" else -30.0))
    silent = ~np.isfinite(close) | ~np.isfinite(before) | ((name == "doubt") & (hours % 7 == 0))
    strength = np.where(silent, 0.0, np.clip(raw, -1.0, 1.0))
    return Signals(strength=strength, confidence=np.where(silent, 0.0, 0.8), abstained=silent)


def _seats() -> tuple[Trivial, ...]:
    return Trivial("follow"), Trivial("wander"), Trivial("doubt")


def _settings_of(scene: Scene) -> Settings:
    return Settings(
        desk={"name": "sim", "broker": "ccxt:binance", "initial_cash": float(CASH)},
        data={
            "symbols": scene.symbols,
            "interval": "1h",
            "complete_within_s": 60.0,
            "stale_after_intervals": STALE_AFTER_BARS,
            "session_open": "00:00",
            "session_close": "24:00",
        },
        combine={"volatility_window_bars": 6, "scale_window_bars": 20, "volatility_target": 0.5},
        execution={
            "lot_size": 0.0001,
            "buffer": 0.0,
            "buffer_by_cost": False,
            "order_type": scene.order_type,
            "commission_bps": 10.0,
            "minimum_commission": 0.0,
        },
        risk={
            "allow_short": False,
            "reduce_drawdown": 0.8,
            "halt_drawdown": 0.9,
            "symbol_cap": 0.25,
            "gross_cap": 0.45,
        },
    )


def passive_of(settings: Settings) -> timedelta:
    """How long an order that chases rests."""
    return settings.execution.passive_share * HOUR

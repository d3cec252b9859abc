#!/usr/bin/env python3
"""The same work through this project and through other backtesters.

    scripts/bench_peers.py [--venvs DIR] [--only NAME ...] [--shape 20x2520] [--json]

The work: 20 symbols x 10 years of daily bars (or another --shape, symbols x bars), SMA(20/50) with RSI(14). The rule,
for all: hold 100 shares of a symbol while its 20-day mean is above its 50-day mean and RSI(14) is below 70, else none;
decided at the close, traded at the next open, 1 basis point of fee, no slippage.

Each program runs in a process of its own, by the interpreter DIR/NAME/bin/python where there is one (make it with
`python3 -m venv DIR/vectorbt && DIR/vectorbt/bin/pip install vectorbt psutil`), else by this one; what is not
installed is left out. Figures: bars a second of the run alone (indicators and trading, best of 3, after a warm-up
where the program compiles), seconds to import, peak memory, orders, and final equity, which must be the floor's to
what the fill models differ.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYMBOLS, DAYS, CASH, FEE, SHARES = 20, 2520, 1e9, 1e-4, 100.0
FAST, SLOW, RSI, CEILING = 20, 50, 14, 70.0
LIMIT_S = 900.0


def make_market(path: Path) -> None:
    """Random walks with overnight gaps, from a seed."""
    import numpy as np

    rng = np.random.default_rng(7)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0002, 0.015, (DAYS, SYMBOLS)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0.0, 0.004, close.shape))
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.997
    np.savez(
        path,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=rng.integers(1_000_000, 9_000_000, close.shape).astype(float),
    )


def dates():
    import pandas as pd

    return pd.bdate_range("2010-01-04", periods=DAYS)


def holding(close):
    """Where the rule holds, [T, S] bool, for programs that take signals; Wilder's RSI, from the first close."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(close)
    move = frame.diff()
    gain = move.clip(lower=0.0).ewm(alpha=1.0 / RSI, adjust=False).mean()
    loss = (-move.clip(upper=0.0)).ewm(alpha=1.0 / RSI, adjust=False).mean()
    strength = 100.0 - 100.0 / (1.0 + gain / loss)
    hold = (frame.rolling(FAST).mean() > frame.rolling(SLOW).mean()) & (strength < CEILING)
    return np.asarray(hold)


def best_of(work: Callable[[], tuple[float, int]], repeats: int = 3) -> dict[str, float]:
    """The fastest of some runs, by processor time."""
    seconds, found = float("inf"), (0.0, 0)
    for _ in range(repeats):
        start = time.process_time()
        found = work()
        seconds = min(seconds, time.process_time() - start)
    return {"seconds": seconds, "bars_per_s": SYMBOLS * DAYS / seconds, "equity": found[0], "orders": found[1]}


# ---------------------------------------------------------------- floors


def floor_numba(m):
    """The whole rule as one compiled loop."""
    import numba
    import numpy as np

    @numba.njit(error_model="numpy")
    def loop(open_, close):
        days, symbols = close.shape
        cash, orders, value = CASH, 0, 0.0
        for s in range(symbols):
            fast, slow, gain, loss, held, want = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for t in range(days):
                if want != held:
                    x = want - held
                    cash -= x * open_[t, s] + abs(x) * open_[t, s] * FEE
                    held = want
                    orders += 1
                c = close[t, s]
                fast += c - (close[t - FAST, s] if t >= FAST else 0.0)
                slow += c - (close[t - SLOW, s] if t >= SLOW else 0.0)
                if t > 0:
                    move = c - close[t - 1, s]
                    up, down = max(move, 0.0), max(-move, 0.0)
                    if t == 1:
                        gain, loss = up, down
                    else:
                        gain += (up - gain) / RSI
                        loss += (down - loss) / RSI
                rsi = 100.0 - 100.0 / (1.0 + gain / loss)
                want = SHARES if t >= SLOW - 1 and fast / FAST > slow / SLOW and rsi < CEILING else 0.0
            value += held * close[days - 1, s]
        return cash + value, orders

    loop(m["open"][:60], m["close"][:60])
    return best_of(lambda: loop(m["open"], m["close"]), 9) | {
        "equity": float(loop(m["open"], m["close"])[0]),
        "numpy": np.__version__,
    }


def floor_python(m):
    """The same loop in plain Python over ready arrays."""
    hold, open_, close = holding(m["close"]).tolist(), m["open"].tolist(), m["close"].tolist()

    def loop() -> tuple[float, int]:
        cash, orders, held = CASH, 0, [0.0] * SYMBOLS
        for t in range(DAYS):
            before = hold[t - 1] if t else [False] * SYMBOLS
            for s in range(SYMBOLS):
                want = SHARES if before[s] else 0.0
                if want != held[s]:
                    x = want - held[s]
                    cash -= x * open_[t][s] + abs(x) * open_[t][s] * FEE
                    held[s] = want
                    orders += 1
        return cash + sum(h * c for h, c in zip(held, close[-1], strict=True)), orders

    return best_of(loop)


# ---------------------------------------------------------------- this project


def _ours():
    sys.path.insert(0, str(ROOT))
    from agents.core.settings import Settings
    from agents.wiring.desk import parameters_of

    costs = {
        "commission_bps": 1.0,
        "minimum_commission": 0.0,
        "half_spread_bps": 0.0,
        "impact": 0.0,
        "participation": 1.0,
        "buffer": 0.0,
        "minimum_trade_fraction": 0.0,
        "lot_size": SHARES,
    }
    settings = Settings(
        desk={"initial_cash": CASH}, execution=costs, risk={"symbol_cap": 10.0, "gross_cap": 10.0, "halt_drawdown": 1.0}
    )
    return settings, parameters_of(settings, tuple(f"S{k}" for k in range(SYMBOLS)))


def _bars(m):
    import numpy as np

    from agents.core.types import Bars

    one = np.ones(m["close"].shape)
    stamps = dates().to_numpy().astype("datetime64[us]") + np.timedelta64(21, "h")
    return Bars(
        time=stamps,
        opened=stamps - np.timedelta64(390, "m"),
        symbols=tuple(f"S{k:02d}" for k in range(SYMBOLS)),
        adjustment=one,
        split=one,
        dividend=0.0 * one,
        **{n: np.ascontiguousarray(m[n]) for n in ("open", "high", "low", "close", "volume")},
    )


def _sized(close, p):
    """Volatilities at which the step asks for just under 200 shares at a forecast of 2: one lot at any above 1."""
    share = min(p.sizing.instrument_multiplier_cap, SYMBOLS**0.5) / SYMBOLS
    return p.sizing.target_volatility * share * CASH / (0.995 * SHARES * close)


def _step_run(m, raw_of):
    import numpy as np

    from agents.pipeline.combine import scale_forecasts
    from agents.pipeline.state import matched_inputs, new_outputs, new_state
    from agents.pipeline.step import run_bars

    settings, p = _ours()
    bars = _bars(m)

    def work() -> tuple[float, int]:
        raw = raw_of(bars)
        forecast, correlation = scale_forecasts(raw, settings.combine.scale_window_bars, 2.0)
        agents = raw.shape[1]
        weights = np.full(agents, 1.0 / agents)
        inputs = matched_inputs(bars, _sized(bars.close, p), forecast, correlation, weights)
        out = new_outputs(DAYS, agents, SYMBOLS)
        run_bars(new_state(agents, SYMBOLS, CASH), inputs, p, out)
        return float(out.equity[-1, 0]), int(np.count_nonzero(out.fill_quantity))

    work()
    return best_of(work, 9)


def quorum_1(m):
    """One agent, with its shadow book, three control books, attribution, limits and records."""
    sys.path.insert(0, str(ROOT))
    import numpy as np

    from agents.quant.indicators import ewma, rolling_mean_std

    def raw(bars):
        fast, slow = (rolling_mean_std(bars.close, n, n)[0] for n in (FAST, SLOW))
        move = np.diff(bars.close, axis=0, prepend=np.nan)
        gain, loss = (ewma(np.maximum(side, 0.0), 2.0 * RSI - 1.0) for side in (move, -move))
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((fast > slow) & (100.0 - 100.0 / (1.0 + gain / loss) < CEILING)).astype(np.float64)[:, None, :]

    return _step_run(m, raw)


def quorum_6(m):
    """All six agents that come with Quorum, as they are, with six shadow books."""
    sys.path.insert(0, str(ROOT))
    from agents.pipeline.market import panel_of
    from agents.trading.guard import raw_forecasts
    from agents.trading.registry import make_agents

    agents = make_agents([])
    return _step_run(m, lambda bars: raw_forecasts([a.signals(panel_of(bars)) for a in agents])) | {"equity": None}


def quorum_replay(m, *, tuned: bool = False):
    """`quorum replay` itself, six agents."""
    _ours()
    from agents.core.settings import Settings
    from agents.wiring.history import ReplayRequest, history_of
    from agents.wiring.replay import replay_history

    history = history_of(_bars(m))
    plan = ReplayRequest(settings=Settings(), tuning=tuned, report_every=None)

    def work() -> tuple[float, int]:
        run = replay_history(history, plan).run
        return float(run.equity[-1, 0]), run.fill_count

    work()
    return best_of(work, 2 if tuned else 5) | {"equity": None}


def quorum_replay_jobs(m):
    """The same with all jobs due every simulated 2, 6 and 24 hours."""
    return quorum_replay(m, tuned=True)


# ---------------------------------------------------------------- peers


def vectorbt(m):
    import numpy as np
    import pandas as pd
    import vectorbt as vbt

    close, open_ = pd.DataFrame(m["close"], index=dates()), pd.DataFrame(m["open"], index=dates())

    def work() -> tuple[float, int]:
        fast, slow = vbt.MA.run(close, FAST).ma.to_numpy(), vbt.MA.run(close, SLOW).ma.to_numpy()
        strength = vbt.RSI.run(close, 2 * RSI - 1, ewm=True).rsi.to_numpy()
        hold = (fast > slow) & (strength < CEILING)
        before = np.vstack([np.zeros((1, SYMBOLS), dtype=bool), hold[:-1]])
        book = vbt.Portfolio.from_orders(
            close,
            np.where(before, SHARES, 0.0),
            size_type="targetamount",
            price=open_,
            fees=FEE,
            init_cash=CASH / SYMBOLS,
        )
        return float(book.final_value().sum()), int(book.orders.count().sum())

    work()
    return best_of(work, 5)


def bt(m):
    import bt as peer
    import numpy as np
    import pandas as pd

    # bt trades at the prices it is given: opens, with what the day before decided; its last mark is an open too.
    open_ = pd.DataFrame(m["open"], index=dates(), columns=[f"S{k}" for k in range(SYMBOLS)])
    close = pd.DataFrame(m["close"], index=dates(), columns=open_.columns)

    class Shares(peer.Algo):
        def __init__(self, wanted):
            super().__init__()
            self.wanted = wanted

        def __call__(self, target):
            row = self.wanted.loc[target.now]
            for name, quantity in row[row != 0.0].items():
                target.children[name].transact(quantity)
            return True

    def work() -> tuple[float, int]:
        gain = close.diff().clip(lower=0.0).ewm(alpha=1.0 / RSI, adjust=False).mean()
        loss = (-close.diff().clip(upper=0.0)).ewm(alpha=1.0 / RSI, adjust=False).mean()
        hold = (close.rolling(FAST).mean() > close.rolling(SLOW).mean()) & (
            100.0 - 100.0 / (1.0 + gain / loss) < CEILING
        )
        wanted = (hold.astype(float) * SHARES).shift(1).fillna(0.0)
        change = wanted.diff().fillna(0.0)
        book = peer.Strategy("s", [Shares(change)], [peer.Security(name) for name in open_.columns])
        test = peer.Backtest(
            book,
            open_,
            initial_capital=CASH,
            commissions=lambda q, p: abs(q) * p * FEE,
            integer_positions=False,
            progress_bar=False,
        )
        test.run()
        marked = float((wanted.iloc[-1] * (close.iloc[-1] - open_.iloc[-1])).sum())
        return float(test.strategy.value) + marked, int(np.count_nonzero(change.to_numpy()))

    return best_of(work, 2)


def backtesting(m):
    import pandas as pd
    from backtesting import Backtest, Strategy

    def mean(values, n):
        return pd.Series(values).rolling(n).mean()

    def strength(values):
        move = pd.Series(values).diff()
        gain = move.clip(lower=0.0).ewm(alpha=1.0 / RSI, adjust=False).mean()
        loss = (-move.clip(upper=0.0)).ewm(alpha=1.0 / RSI, adjust=False).mean()
        return 100.0 - 100.0 / (1.0 + gain / loss)

    class Rule(Strategy):
        def init(self):
            close = self.data.Close
            self.fast, self.slow, self.rsi = (
                self.I(mean, close, FAST),
                self.I(mean, close, SLOW),
                self.I(strength, close),
            )

        def next(self):
            hold = self.fast[-1] > self.slow[-1] and self.rsi[-1] < CEILING
            if hold and not self.position:
                self.buy(size=int(SHARES))
            elif not hold and self.position:
                self.position.close()

    def work() -> tuple[float, int]:
        equity, orders = 0.0, 0
        for s in range(SYMBOLS):
            frame = pd.DataFrame(
                {n.capitalize(): m[n][:, s] for n in ("open", "high", "low", "close", "volume")}, index=dates()
            )
            found = Backtest(frame, Rule, cash=CASH / SYMBOLS, commission=FEE).run()
            equity += float(found["Equity Final [$]"])
            orders += 2 * int(found["# Trades"])
        return equity, orders

    return best_of(work, 1)


def backtrader(m):
    import backtrader as peer
    import pandas as pd

    class Rule(peer.Strategy):
        def __init__(self):
            self.parts = [
                (
                    d,
                    peer.ind.SMA(d.close, period=FAST),
                    peer.ind.SMA(d.close, period=SLOW),
                    peer.ind.RSI(d.close, period=RSI, safediv=True),
                )
                for d in self.datas
            ]
            self.orders = 0

        def next(self):
            for d, fast, slow, strength in self.parts:
                hold, held = fast[0] > slow[0] and strength[0] < CEILING, self.getposition(d).size
                if hold and not held:
                    self.buy(data=d, size=SHARES)
                    self.orders += 1
                elif not hold and held:
                    self.sell(data=d, size=SHARES)
                    self.orders += 1

    def work() -> tuple[float, int]:
        brain = peer.Cerebro(stdstats=False)
        brain.broker.setcash(CASH)
        brain.broker.setcommission(commission=FEE)
        for s in range(SYMBOLS):
            frame = pd.DataFrame({n: m[n][:, s] for n in ("open", "high", "low", "close", "volume")}, index=dates())
            brain.adddata(peer.feeds.PandasData(dataname=frame, name=f"S{s}"))
        brain.addstrategy(Rule)
        rule = brain.run()[0]
        return float(brain.broker.getvalue()), rule.orders

    return best_of(work, 1)


def zipline(m):
    import logging

    import numpy as np
    import pandas as pd

    np.NINF = -np.inf  # a library of zipline's still uses this name, which numpy 2 dropped
    from exchange_calendars import get_calendar
    from zipline import run_algorithm
    from zipline.api import order, set_commission, set_slippage
    from zipline.data import bundles
    from zipline.finance import commission, slippage

    logging.disable(logging.WARNING)
    sessions = get_calendar("XNYS").sessions_in_range("2010-01-04", "2022-01-01")[:DAYS]

    def ingest(*writers):
        _, asset_db_writer, _, daily_bar_writer, adjustment_writer, *_ = writers
        frames = [
            (s, pd.DataFrame({n: m[n][:, s] for n in ("open", "high", "low", "close", "volume")}, index=sessions))
            for s in range(SYMBOLS)
        ]
        meta = pd.DataFrame(
            {
                "symbol": [f"S{s}" for s in range(SYMBOLS)],
                "start_date": sessions[0],
                "end_date": sessions[-1],
                "exchange": "NYSE",
                "auto_close_date": sessions[-1] + pd.Timedelta(days=1),
            }
        )
        asset_db_writer.write(
            equities=meta,
            exchanges=pd.DataFrame({"exchange": ["NYSE"], "canonical_name": ["NYSE"], "country_code": ["US"]}),
        )
        daily_bar_writer.write(iter(frames), show_progress=False)
        adjustment_writer.write()

    bundles.register("bench", ingest, calendar_name="XNYS", start_session=sessions[0], end_session=sessions[-1])
    import os

    os.environ["ZIPLINE_ROOT"] = tempfile.mkdtemp(prefix="zipline-")
    bundles.ingest("bench", show_progress=False)
    count = {"orders": 0}

    def initialize(context):
        context.days = 0
        set_commission(commission.PerDollar(cost=FEE))
        set_slippage(slippage.NoSlippage())
        context.first, context.gain, context.loss, context.last = True, np.zeros(SYMBOLS), np.zeros(SYMBOLS), None
        from zipline.api import symbol

        context.assets = [symbol(f"S{s}") for s in range(SYMBOLS)]

    def handle(context, data):
        context.days += 1
        closes = data.history(context.assets, "close", min(SLOW, context.days), "1d").to_numpy()
        if context.last is not None:
            move = closes[-1] - context.last
            up, down = np.maximum(move, 0.0), np.maximum(-move, 0.0)
            context.gain, context.loss = (
                (up, down)
                if context.first
                else (context.gain + (up - context.gain) / RSI, context.loss + (down - context.loss) / RSI)
            )
            context.first = False
        context.last = closes[-1]
        with np.errstate(all="ignore"):
            hold = (closes[-FAST:].mean(axis=0) > closes.mean(axis=0)) & (
                100.0 - 100.0 / (1.0 + context.gain / context.loss) < CEILING
            )
        if context.days < SLOW:
            return
        for asset, wanted in zip(context.assets, hold, strict=True):
            held = context.portfolio.positions[asset].amount
            if wanted != (held > 0):
                order(asset, SHARES if wanted else -SHARES)
                count["orders"] += 1

    def work() -> tuple[float, int]:
        count["orders"] = 0
        found = run_algorithm(
            start=sessions[0],
            end=sessions[-1],
            initialize=initialize,
            handle_data=handle,
            capital_base=CASH,
            bundle="bench",
            benchmark_returns=pd.Series(0.0, index=sessions),
            data_frequency="daily",
        )
        return float(found["portfolio_value"].iloc[-1]), count["orders"]

    return best_of(work, 1) | {"remark": "fills at the next close"}


def nautilus(m):
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    venue = Venue("SIM")
    stamps = [int(d.value) for d in dates()]

    class Rule(Strategy):
        def __init__(self, instruments):
            super().__init__()
            self.parts = {
                i.id: {"closes": [], "gain": 0.0, "loss": 0.0, "held": False, "instrument": i} for i in instruments
            }
            self.orders = 0

        def on_start(self):
            for name in self.parts:
                self.subscribe_bars(BarType.from_str(f"{name}-1-DAY-LAST-EXTERNAL"))

        def on_bar(self, bar):
            part, close = self.parts[bar.bar_type.instrument_id], bar.close.as_double()
            closes = part["closes"]
            if closes:
                up, down = max(close - closes[-1], 0.0), max(closes[-1] - close, 0.0)
                first = len(closes) == 1
                part["gain"] = up if first else part["gain"] + (up - part["gain"]) / RSI
                part["loss"] = down if first else part["loss"] + (down - part["loss"]) / RSI
            closes.append(close)
            if len(closes) < SLOW:
                return
            del closes[:-SLOW]
            strength = 100.0 - 100.0 / (1.0 + part["gain"] / part["loss"]) if part["loss"] else 100.0
            hold = sum(closes[-FAST:]) / FAST > sum(closes) / SLOW and strength < CEILING
            if hold != part["held"]:
                part["held"] = hold
                side = OrderSide.BUY if hold else OrderSide.SELL
                self.submit_order(
                    self.order_factory.market(part["instrument"].id, side, Quantity.from_int(int(SHARES)))
                )
                self.orders += 1

    def work() -> tuple[float, int]:
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
        engine.add_venue(venue, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, USD)], base_currency=USD)
        instruments = []
        for s in range(SYMBOLS):
            name = InstrumentId(Symbol(f"S{s:02d}"), venue)
            made = Equity(
                name,
                name.symbol,
                USD,
                4,
                Price.from_str("0.0001"),
                Quantity.from_int(1),
                0,
                0,
                maker_fee=Decimal("0.0001"),
                taker_fee=Decimal("0.0001"),
            )
            engine.add_instrument(made)
            instruments.append(made)
            kind = BarType.from_str(f"{name}-1-DAY-LAST-EXTERNAL")
            rows = zip(m["open"][:, s], m["high"][:, s], m["low"][:, s], m["close"][:, s], stamps, strict=True)
            engine.add_data(
                [
                    Bar(
                        kind,
                        Price(o, 4),
                        Price(max(h, o, c), 4),
                        Price(min(low, o, c), 4),
                        Price(c, 4),
                        Quantity.from_int(1_000_000),
                        t,
                        t,
                    )
                    for o, h, low, c, t in rows
                ]
            )
        rule = Rule(instruments)
        engine.add_strategy(rule)
        begun = time.process_time()
        engine.run()
        engine_s.append(time.process_time() - begun)
        cash = engine.portfolio.account(venue).balance_total(USD).as_double()
        open_ = sum(
            float(p.quantity) * (m["close"][-1, int(str(p.instrument_id.symbol)[1:])] - p.avg_px_open)
            for p in engine.cache.positions_open()
        )
        engine.dispose()
        return cash + open_, rule.orders

    engine_s: list[float] = []
    found = best_of(work, 1)
    return found | {
        "seconds": min(engine_s),
        "bars_per_s": SYMBOLS * DAYS / min(engine_s),
        "remark": "fills at the close decided on",
    }


FREQTRADE_RULE = """
from freqtrade.strategy import IStrategy


class Rule(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1d"
    minimal_roi = {"0": 1e9}
    stoploss = -0.99
    startup_candle_count = 0

    def populate_indicators(self, df, metadata):
        move = df["close"].diff()
        gain = move.clip(lower=0.0).ewm(alpha=1.0 / 14, adjust=False).mean()
        loss = (-move.clip(upper=0.0)).ewm(alpha=1.0 / 14, adjust=False).mean()
        strength = 100.0 - 100.0 / (1.0 + gain / loss)
        df["hold"] = (df["close"].rolling(20).mean() > df["close"].rolling(50).mean()) & (strength < 70.0)
        return df

    def populate_entry_trend(self, df, metadata):
        df.loc[df["hold"], "enter_long"] = 1
        return df

    def populate_exit_trend(self, df, metadata):
        df.loc[~df["hold"], "exit_long"] = 1
        return df

    def custom_stake_amount(
        self, pair, current_time, current_rate, proposed_stake, min_stake, max_stake, leverage, entry_tag, side, **rest
    ):
        return 100.0 * current_rate
"""


def freqtrade(m):
    """Its exchange is made without asking the network for markets."""
    import logging

    import pandas as pd
    from freqtrade.configuration import TimeRange
    from freqtrade.enums import CandleType, MarginMode, RunMode, TradingMode
    from freqtrade.exchange.binance import Binance
    from freqtrade.optimize.backtesting import Backtesting

    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="freqtrade-"))
    (folder / "Rule.py").write_text(FREQTRADE_RULE)
    pairs = [f"S{s:02d}/USDT" for s in range(SYMBOLS)]
    pricing = {"price_side": "other", "use_order_book": False}
    config = {
        "runmode": RunMode.BACKTEST,
        "strategy": "Rule",
        "strategy_path": str(folder),
        "timeframe": "1d",
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run_wallet": CASH,
        "max_open_trades": 2 * SYMBOLS,
        "fee": FEE,
        "user_data_dir": folder,
        "datadir": folder,
        "exportfilename": folder / "x",
        "export": "none",
        "pairlists": [{"method": "StaticPairList"}],
        "trading_mode": TradingMode.SPOT,
        "margin_mode": MarginMode.NONE,
        "candle_type_def": CandleType.SPOT,
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "exchange": {"name": "binance", "pair_whitelist": pairs, "pair_blacklist": [], "key": "", "secret": ""},
        "dry_run": True,
        "dataformat_ohlcv": "feather",
        "enable_protections": False,
        "position_stacking": False,
        "strategy_list": None,
        "backtest_cache": "none",
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
        "order_types": {"entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False},
    }
    none = {"min": None, "max": None}
    limits = {"amount": {"min": 1e-8, "max": None}, "cost": {"min": 0, "max": None}, "price": none, "leverage": none}
    kind = {
        "active": True,
        "spot": True,
        "swap": False,
        "future": False,
        "linear": None,
        "type": "spot",
        "contractSize": None,
        "quote": "USDT",
    }
    exchange = Binance(config, validate=False, load_leverage_tiers=False)
    exchange._markets = exchange._api.markets = {
        pair: {
            "symbol": pair,
            "id": pair,
            "base": pair.split("/")[0],
            "precision": {"amount": 8, "price": 8},
            "limits": limits,
            "info": {},
            "taker": FEE,
            "maker": FEE,
            **kind,
        }
        for pair in pairs
    }
    exchange._api.precisionMode = 2
    names = ("open", "high", "low", "close", "volume")
    frames = {
        p: pd.DataFrame({"date": dates().tz_localize("UTC"), **{n: m[n][:, s] for n in names}})
        for s, p in enumerate(pairs)
    }
    first, last = (frames[pairs[0]]["date"].iloc[k] for k in (0, -1))
    program = Backtesting(config, exchange)
    program._set_strategy(program.strategylist[0])
    program.timerange = TimeRange("date", "date", int(first.timestamp()), int(last.timestamp()))

    def work() -> tuple[float, int]:
        processed = program.strategy.advise_all_indicators({pair: frame.copy() for pair, frame in frames.items()})
        found = program.backtest(processed=processed, start_date=first.to_pydatetime(), end_date=last.to_pydatetime())
        return float(found["final_balance"]), 2 * len(found["results"])

    return best_of(work, 1) | {"remark": "closes everything at the last open"}


PROGRAMS: dict[str, Callable] = {
    "floor_numba": floor_numba,
    "floor_python": floor_python,
    "quorum_1": quorum_1,
    "quorum_6": quorum_6,
    "quorum_replay": quorum_replay,
    "quorum_replay_jobs": quorum_replay_jobs,
    "vectorbt": vectorbt,
    "bt": bt,
    "backtesting": backtesting,
    "backtrader": backtrader,
    "zipline": zipline,
    "nautilus": nautilus,
    "freqtrade": freqtrade,
}
OURS = ("quorum_1", "quorum_6", "quorum_replay", "quorum_replay_jobs")


def take_shape(shape: str) -> None:
    """Symbols and bars of the work, such as "20x2520"."""
    global SYMBOLS, DAYS
    SYMBOLS, DAYS = map(int, shape.split("x"))


def run_one(name: str, data: Path) -> None:
    """In a process of its own: import, run, and say what it cost."""
    started = time.perf_counter()
    import numpy as np

    market = dict(np.load(data))
    wall = time.perf_counter()
    found = PROGRAMS[name](market)
    found |= {"total_s": time.perf_counter() - started, "after_numpy_s": time.perf_counter() - wall}
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print("RESULT " + json.dumps(found))


IMPORTS = {
    **{name: name for name in PROGRAMS},
    **dict.fromkeys(OURS, "agents.wiring.replay"),
    "floor_numba": "numba",
    "floor_python": "pandas",
    "nautilus": "nautilus_trader.backtest.engine",
    "freqtrade": "freqtrade.optimize.backtesting",
}


def import_s(python: str, name: str) -> float | None:
    """Median seconds to start the interpreter and import the program; None where it is not installed."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        if subprocess.run(
            [python, "-c", f"import {IMPORTS[name]}"], cwd=ROOT, capture_output=True, check=False
        ).returncode:
            return None
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, metavar="DIR", help="a folder of environments named as the programs")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, metavar="NAME", help=f"some of {', '.join(PROGRAMS)}")
    parser.add_argument("--shape", default=f"{SYMBOLS}x{DAYS}", help="symbols x bars (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    take_shape(options.shape)
    if options.run:
        run_one(options.run, options.data)
        return
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "market.npz"
        make_market(data)
        for name in options.only or PROGRAMS:
            own = options.venvs / name / "bin" / "python" if options.venvs else None
            python = str(own) if own is not None and own.exists() else sys.executable
            start_s = import_s(python, name)
            if start_s is None:
                print(f"· {name}: not installed, left out", file=sys.stderr)
                continue
            print(f"· {name}", file=sys.stderr)
            command = [python, __file__, "--run", name, "--data", str(data), "--shape", options.shape]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
            line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
            if line is None:
                print(f"· {name} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            results[name] = json.loads(line.removeprefix("RESULT ")) | {"import_s": start_s}
    print(json.dumps(results, indent=1) if options.json else table(results))


def table(results: dict[str, dict]) -> str:
    floor = results.get("floor_numba", {})
    lines = [
        f"{'program':<20}{'bars/s':>14}{'x quorum_1':>12}{'import s':>10}{'peak MB':>9}"
        f"{'orders':>8}{'equity - floor':>16}"
    ]
    for name, r in sorted(results.items(), key=lambda item: -item[1]["bars_per_s"]):
        ratio = results["quorum_1"]["bars_per_s"] / r["bars_per_s"] if "quorum_1" in results else float("nan")
        gap = f"{r['equity'] - floor['equity']:,.2f}" if r.get("equity") is not None and floor else ""
        lines.append(
            f"{name:<20}{r['bars_per_s']:>14,.0f}{ratio:>12,.2f}{r['import_s']:>10.2f}{r['peak_mb']:>9,.0f}{r['orders']:>8,}{gap:>16}"
            + (f"  {r['remark']}" if "remark" in r else "")
        )
    if "quorum_replay_jobs" in results:
        lines.append(f"{SYMBOLS} symbols x {DAYS} bars with all jobs: {results['quorum_replay_jobs']['seconds']:.2f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Programs that go bar by bar: backtrader and zipline."""

from __future__ import annotations

import tempfile

from peers.work import CASH, CEILING, FAST, FEE, RSI, SHARES, SLOW, best_of, dates


def backtrader(m):
    days, symbols = m["close"].shape
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
        for s in range(symbols):
            frame = pd.DataFrame({n: m[n][:, s] for n in ("open", "high", "low", "close", "volume")}, index=dates(days))
            brain.adddata(peer.feeds.PandasData(dataname=frame, name=f"S{s}"))
        brain.addstrategy(Rule)
        rule = brain.run()[0]
        return float(brain.broker.getvalue()), rule.orders

    return best_of(m, work, 1)


def zipline(m):
    days, symbols = m["close"].shape
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
    sessions = get_calendar("XNYS").sessions_in_range("2010-01-04", "2022-01-01")[:days]

    def ingest(*writers):
        _, asset_db_writer, _, daily_bar_writer, adjustment_writer, *_ = writers
        frames = [
            (s, pd.DataFrame({n: m[n][:, s] for n in ("open", "high", "low", "close", "volume")}, index=sessions))
            for s in range(symbols)
        ]
        meta = pd.DataFrame(
            {
                "symbol": [f"S{s}" for s in range(symbols)],
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
        context.first, context.gain, context.loss, context.last = (
            True,
            np.zeros(symbols),
            np.zeros(symbols),
            None,
        )
        from zipline.api import symbol

        context.assets = [symbol(f"S{s}") for s in range(symbols)]

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

    return best_of(m, work, 1) | {"remark": "fills at the next close"}

"""nautilus_trader: one event after the other, as a venue sends them."""

from __future__ import annotations

import time
from decimal import Decimal

from peers.work import CASH, CEILING, FAST, RSI, SHARES, SLOW, best_of, dates


def nautilus(m):
    days, symbols = m["close"].shape
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
    stamps = [int(d.value) for d in dates(days)]

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
        for s in range(symbols):
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
    found = best_of(m, work, 1)
    return found | {
        "seconds": min(engine_s),
        "bars_per_s": m["close"].size / min(engine_s),
        "processor_bars_per_s": m["close"].size / min(engine_s),
        "remark": "fills at the close decided on",
    }

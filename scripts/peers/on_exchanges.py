"""freqtrade: the rule as one of its strategies."""

from __future__ import annotations

import tempfile
from pathlib import Path

from peers.work import CASH, FEE, best_of, dates

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
    days, symbols = m["close"].shape
    import logging

    import pandas as pd
    from freqtrade.configuration import TimeRange
    from freqtrade.enums import CandleType, MarginMode, RunMode, TradingMode
    from freqtrade.exchange.binance import Binance
    from freqtrade.optimize.backtesting import Backtesting

    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="freqtrade-"))
    (folder / "Rule.py").write_text(FREQTRADE_RULE)
    pairs = [f"S{s:02d}/USDT" for s in range(symbols)]
    pricing = {"price_side": "other", "use_order_book": False}
    config = {
        "runmode": RunMode.BACKTEST,
        "strategy": "Rule",
        "strategy_path": str(folder),
        "timeframe": "1d",
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run_wallet": CASH,
        "max_open_trades": 2 * symbols,
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
        p: pd.DataFrame({"date": dates(days).tz_localize("UTC"), **{n: m[n][:, s] for n in names}})
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

    return best_of(m, work, 1) | {"remark": "closes everything at the last open"}

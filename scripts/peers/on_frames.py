"""Programs that take whole frames: vectorbt, bt, backtesting.py."""

from __future__ import annotations

from peers.work import CASH, CEILING, FAST, FEE, RSI, SHARES, SLOW, best_of, dates


def vectorbt(m):
    days, symbols = m["close"].shape
    import numpy as np
    import pandas as pd
    import vectorbt as vbt

    close, open_ = (
        pd.DataFrame(m["close"], index=dates(days)),
        pd.DataFrame(m["open"], index=dates(days)),
    )

    def work() -> tuple[float, int]:
        fast, slow = vbt.MA.run(close, FAST).ma.to_numpy(), vbt.MA.run(close, SLOW).ma.to_numpy()
        strength = vbt.RSI.run(close, 2 * RSI - 1, ewm=True).rsi.to_numpy()
        hold = (fast > slow) & (strength < CEILING)
        before = np.vstack([np.zeros((1, symbols), dtype=bool), hold[:-1]])
        book = vbt.Portfolio.from_orders(
            close,
            np.where(before, SHARES, 0.0),
            size_type="targetamount",
            price=open_,
            fees=FEE,
            init_cash=CASH / symbols,
        )
        return float(book.final_value().sum()), int(book.orders.count().sum())

    work()
    return best_of(m, work, 5)


def bt(m):
    days, symbols = m["close"].shape
    import bt as peer
    import numpy as np
    import pandas as pd

    # bt trades at the prices it is given: opens, with what the day before decided; its last mark is an open too.
    open_ = pd.DataFrame(m["open"], index=dates(days), columns=[f"S{k}" for k in range(symbols)])
    close = pd.DataFrame(m["close"], index=dates(days), columns=open_.columns)

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

    return best_of(m, work, 2)


def backtesting(m):
    days, symbols = m["close"].shape
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
        for s in range(symbols):
            frame = pd.DataFrame(
                {n.capitalize(): m[n][:, s] for n in ("open", "high", "low", "close", "volume")},
                index=dates(days),
            )
            found = Backtest(frame, Rule, cash=CASH / symbols, commission=FEE).run()
            equity += float(found["Equity Final [$]"])
            orders += 2 * int(found["# Trades"])
        return equity, orders

    return best_of(m, work, 1)

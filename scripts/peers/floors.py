"""What no program can beat: the rule alone, as one compiled loop and as one of plain Python."""

from __future__ import annotations

from peers.work import CASH, CEILING, FAST, FEE, RSI, SHARES, SLOW, best_of, holding


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
    return best_of(m, lambda: loop(m["open"], m["close"]), 9) | {
        "equity": float(loop(m["open"], m["close"])[0]),
        "numpy": np.__version__,
    }


def floor_python(m):
    """The same loop in plain Python over ready arrays."""
    days, symbols = m["close"].shape
    hold, open_, close = holding(m["close"]).tolist(), m["open"].tolist(), m["close"].tolist()

    def loop() -> tuple[float, int]:
        cash, orders, held = CASH, 0, [0.0] * symbols
        for t in range(days):
            before = hold[t - 1] if t else [False] * symbols
            for s in range(symbols):
                want = SHARES if before[s] else 0.0
                if want != held[s]:
                    x = want - held[s]
                    cash -= x * open_[t][s] + abs(x) * open_[t][s] * FEE
                    held[s] = want
                    orders += 1
        return cash + sum(h * c for h, c in zip(held, close[-1], strict=True)), orders

    return best_of(m, loop)

"""What a kind of market sets, as a table: `desk.profile` names a row of it, and every key that the user sets wins over
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

OURS = (
    "TechnicalAnalyst",
    "SentimentAnalyst",
    "TrendFollower",
    "MeanReversion",
    "Breakout",
    "OnChainAnalyst",
    "Momentum",
    "Pullback",
    "LowVolatility",
    "MarketHold",
)
"""The agents that come with Quorum, in the order of `trading/registry.py`."""
MARKET_KEYS = ("calendar", "timezone", "session_open", "session_close")
"""Keys of `data` that belong together: where the user sets one of them, a profile sets none."""


class Profile(NamedTuple):
    """Settings by `section.key`; the market's calendar; and the agents that trade (none: all that there are)."""

    settings: Mapping[str, Any]
    market: Mapping[str, str]
    agents: tuple[str, ...] = ()


PROFILES: dict[str, Profile] = {
    # Commission: $0.005 a share and at least $1 an order (Interactive Brokers, US stocks, "fixed", price list of 2025):
    # a basis point at $50 a share, 2.5 at $20. Half spread: assumed; a cent, the least that Regulation NMS rule 612
    # (2005) allows, is 2 basis points at $50, half of it 1; double that for worse hours and stocks. Impact: see
    # pipeline/fills.py. Short sales need a margin account and a loan, whose fee the cost model does not know.
    "stocks": Profile(
        {
            "risk.allow_short": False,
            "execution.commission_bps": 1.0,
            "execution.minimum_commission": 1.0,
            "execution.half_spread_bps": 2.0,
            "execution.impact": 0.1,
            "execution.buffer": 0.10,
        },
        {"calendar": "XNYS"},
    ),
    # Commission: 10 basis points, what Binance asks of takers without a rebate (price list, 2019 to 2025). Others ask a
    # small account for more: Kraken Pro 40, Coinbase Advanced 60 to 120 (2024 and 2025, assumed): set yours. Half
    # spread: assumed; below 1 for BTC and ETH against USDT on the largest venues, 2 to 10 and more for others. Spot has
    # nothing to sell short.
    "crypto-spot": Profile(
        {
            "risk.allow_short": False,
            "execution.commission_bps": 10.0,
            "execution.minimum_commission": 0.0,
            "execution.half_spread_bps": 2.0,
            "execution.impact": 0.1,
            "execution.buffer": 0.10,
            "execution.lot_size": 0.0001,
        },
        {"calendar": "24/7", "timezone": "UTC", "session_open": "00:00", "session_close": "24:00"},
    ),
    # Commission: 5 basis points, what Binance asks of takers of USD-M futures without a rebate (price list, 2019 to
    # 2025). Half spread: assumed; below 0.5 for BTC and ETH, 2 and more for others. Gross exposure is what
    # `risk.gross_cap` and `execution.leverage` both allow. Funding comes with the data (docs/futures.md).
    "crypto-perp": Profile(
        {
            "risk.allow_short": True,
            "execution.commission_bps": 5.0,
            "execution.minimum_commission": 0.0,
            "execution.half_spread_bps": 1.0,
            "execution.impact": 0.1,
            "execution.buffer": 0.10,
            "execution.lot_size": 0.001,
        },
        {"calendar": "24/7", "timezone": "UTC", "session_open": "00:00", "session_close": "24:00"},
    ),
    # Commission: for an E-mini S&P 500 $0.85 to the broker, $1.38 to the CME and $0.02 to the NFA (Interactive Brokers,
    # price lists of 2025), $2.25 of $300,000 (the index at 6,000), 0.08 basis points; for the micro $0.25, $0.35 and
    # $0.02 of $30,000, 0.21. Half spread: half a tick, of the E-mini $6.25, 0.21 basis points; up to 1 for the less
    # liquid (assumed; R. Carver, Advanced Futures Trading Strategies, 2023, has a list). No agent of stocks or coins.
    "futures": Profile(
        {
            "risk.allow_short": True,
            "execution.commission_bps": 0.2,
            "execution.minimum_commission": 0.0,
            "execution.half_spread_bps": 0.5,
            "execution.impact": 0.1,
            "execution.buffer": 0.10,
        },
        {"calendar": "CMES"},
        tuple(name for name in OURS if name not in ("OnChainAnalyst", "SentimentAnalyst")),
    ),
}
DEFAULT_PROFILE = "stocks"


def changes_of_profile(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile sets, by `section.key`, beside the user's `values`; nothing for a profile that nobody knows.

    A profile that the user has not named leaves the calendar alone: a desk that is older than profiles may hold bars of
    any market, whose times must not move.
    """

    def section(name: str) -> Mapping[str, Any]:
        found = values.get(name)
        return found if isinstance(found, Mapping) else {}

    named = section("desk").get("profile")
    profile = PROFILES.get(named if isinstance(named, str) else DEFAULT_PROFILE)
    if profile is None:
        return {}
    changes = dict(profile.settings)
    if named is not None and not any(key in section("data") for key in MARKET_KEYS):
        changes |= {f"data.{key}": value for key, value in profile.market.items()}
    return {key: value for key, value in changes.items() if key.split(".")[1] not in section(key.split(".")[0])}


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as tables of sections."""
    tables: dict[str, Any] = {}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    return tables

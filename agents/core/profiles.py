"""What a kind of market sets, as a table: `desk.profile` names a row of it, and every key that the user sets wins over
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MARKET_KEYS = ("calendar", "timezone", "session_open", "session_close")
"""Keys of `data` that belong together: where the user sets one of them, a profile sets none."""


class Profile(NamedTuple):
    """Settings by `section.key`; the market's calendar; and the agents that trade (none: all that there are)."""

    settings: Mapping[str, Any]
    market: Mapping[str, str]
    agents: tuple[str, ...] = ()


PROFILES: dict[str, Profile] = {
    # Commission and its least: IBKR Pro, US stocks, fixed, $0.005 a share and $1 an order, a basis point at $50. Spread
    # and impact: large US stocks, whose effective half spread is 1 to 3 basis points (Frazzini, Israel, Moskowitz,
    # "Trading costs", 2018); short sales need a margin account and a loan, whose fee the cost model does not know.
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
    # Commission: 10 basis points, what Binance asks of small takers of spot; others ask up to 40. Half spread: below 1
    # for the largest pairs, 2 to 10 for others. Spot has nothing to sell short.
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
    # Commission with exchange fees: about $2.25 for an E-mini of $250,000, 0.1 basis points; twice that for smaller
    # contracts. Half spread: half a tick of the liquid ones, 0.2 to 1 basis points (R. Carver, Advanced Futures Trading
    # Strategies, 2023, lists them). No agent of single stocks or coins.
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
        (
            "TechnicalAnalyst",
            "TrendFollower",
            "MeanReversion",
            "Breakout",
            "Momentum",
            "Pullback",
            "LowVolatility",
            "MarketHold",
        ),
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

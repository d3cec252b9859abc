"""OnChainAnalyst: is a coin's market value high or low against what its holders paid and against its use?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Floats, Panel, Signals
from agents.quant.ranks import percentile_rank
from agents.quant.windows import rolling_mean_std
from agents.trading.base import TradingAgent, direction, pack_signals

MARKET_CAP, REALIZED_CAP, TRANSFER_VALUE = "market_cap", "realized_cap", "transfer_value"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChainParameters:
    """Windows in bars of the desk (days, on a daily desk)."""

    deviation_window: int = 730
    rank_window: int = 365
    minimum: int = 180
    transfer_window: int = 90


class OnChainAnalyst(TradingAgent):
    """Contrarian on two valuations, each ranked within its own last `rank_window` bars:

    * MVRV-Z = (market cap - realised cap) / deviation of the market cap (over a rolling window instead of all
      history, so that the start of the data does not matter). Source: D. Puell and M. Mahmudov, 2018.
    * NVT signal = market cap / mean transfer value over 90 bars. Source: W. Woo 2017, D. Kalichkin 2018.

    Reads the exogenous series `market_cap`, `realized_cap` and `transfer_value`. A figure of day D is complete only
    when D is over: the loader stamps it available one day later, and this agent sees what was available at each
    bar's close. Abstains for symbols without the series. Windows are bars: days, as the sources mean, on a daily desk.

    What is known: little, and mostly in sample: three or four cycles of one asset, whose extremes became smaller; no
    accepted result after costs. It trades slowly and costs little.
    """

    name = "OnChainAnalyst"

    def __init__(self, parameters: OnChainParameters | None = None) -> None:
        self.parameters = parameters or OnChainParameters()
        p = self.parameters
        self.bars_needed = max(p.deviation_window, p.transfer_window) + p.rank_window + 1

    def signals(self, panel: Panel) -> Signals:
        missing = np.full(panel.close.shape, np.nan)
        market = panel.exogenous.get(MARKET_CAP, missing)
        realised = panel.exogenous.get(REALIZED_CAP, missing)
        transfers = panel.exogenous.get(TRANSFER_VALUE, missing)
        if not (np.isfinite(market).any() and np.isfinite(panel.close).any()):
            return pack_signals(panel, missing, missing, {})
        p = self.parameters
        _, deviation = rolling_mean_std(market, p.deviation_window, p.minimum)
        usual_transfers, _ = rolling_mean_std(transfers, p.transfer_window, p.transfer_window // 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            mvrv = (market - realised) / np.where(deviation > 0, deviation, np.nan)
            nvt = market / np.where(usual_transfers > 0, usual_transfers, np.nan)
        ranks = [percentile_rank(v, p.rank_window, p.minimum) for v in (mvrv, nvt)]
        strength = _mean_present([1.0 - 2.0 * rank for rank in ranks])
        present = sum(np.isfinite(rank).astype(np.float64) for rank in ranks)
        return pack_signals(
            panel, strength, np.abs(strength) * present / 2.0, {"mvrv_z": mvrv, "nvt": nvt, "rank": ranks[0]}
        )

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return f"{direction(strength)}: MVRV-Z {evidence['mvrv_z']:+.2f}, NVT {evidence['nvt']:.0f}"

    def why_abstained(self) -> str:
        return "no on-chain series for this symbol, or not enough of it yet"


def _mean_present(arrays: list[Floats]) -> Floats:
    stacked = np.stack(arrays)
    count = np.isfinite(stacked).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

"""facts -> what a report says of trading: key figures, what happened, positions, trades, risk states. Pure."""

from __future__ import annotations

from agents.core.facts import DeskFacts, HeldPosition, RecordedRiskEvent
from agents.core.meta_types import ReportSummary
from agents.core.types import OrderState, Trade
from agents.core.value_added import ProfitPart, SlippageOfKind
from agents.reports.content import KeyFigure, PositionLine, ProfitLine, TradeLine
from agents.reports.formatting import MISSING, interval, money, number, percent, quantity, signed_money

CAME_TO_NOTHING: tuple[OrderState, ...] = ("rejected", "cancelled", "expired", "unknown", "not_placed")


def key_figures(summary: ReportSummary) -> list[KeyFigure]:
    """The figures at the top of the page."""
    added = next((row for row in summary.tuning_value_added if row.control == "equal"), None)
    held = next((row for row in summary.tuning_value_added if row.control == "hold at volatility"), None)
    known = interval(added.low, added.high) if added else ""
    return [
        KeyFigure("Equity", money(summary.equity), f"cash {money(summary.cash)}"),
        KeyFigure(
            "Last day",
            signed_money(summary.pnl_day),
            f"week {signed_money(summary.pnl_week)}, month {signed_money(summary.pnl_month)}",
        ),
        KeyFigure("Drawdown", percent(summary.drawdown), f"deepest {percent(summary.max_drawdown)}"),
        KeyFigure(
            "Tuning added",
            number(added.difference, sign=True) if added else MISSING,
            "Sharpe against equal weights" + (f" {known}" if known else f": {added.verdict}" if added else ""),
        ),
        KeyFigure(
            "Over holding",
            number(held.difference, sign=True) if held else MISSING,
            "Sharpe against holding as boldly"
            + (
                f" {interval(held.low, held.high)}"
                if held and held.low is not None
                else f": {held.verdict}"
                if held
                else ""
            ),
        ),
    ]


def what_happened(facts: DeskFacts, summary: ReportSummary) -> list[str]:
    """Trades or why there were none, costs, orders that came to nothing, exposure: a sentence each."""
    lines = [_trades_sentence(facts)]
    fills, costs = facts.fills, facts.trading.costs
    if fills.fills:
        lines.append(
            f"{fills.fills:,} fills over {money(fills.notional)}: fees {money(costs.fees)},"
            f" spread {money(costs.spread)}, impact {money(costs.impact)},"
            f" delay from decision to open {signed_money(fills.delay)}."
        )
    broken = [
        f"{count:,} {state.replace('_', ' ')}" for state, count in facts.orders.items() if state in CAME_TO_NOTHING
    ]
    if broken:
        lines.append(f"Orders that came to nothing: {', '.join(broken)}.")
    holding = holding_sentence(summary)
    if holding:
        lines.append(holding)
    lines.append(
        f"Exposure: gross {percent(summary.gross_exposure, 0)}, net {percent(summary.net_exposure, 0)} of equity."
    )
    return lines


def holding_sentence(summary: ReportSummary) -> str:
    """What the desk earned over one that only holds, and how far it moves with it; "" where that is not known yet."""
    rows = {row.control: row for row in summary.tuning_value_added if row.excess_return is not None}
    parts = [
        f"{percent(row.excess_return, sign=True)} a year over {name}"
        f" [{percent(row.excess_low, sign=True)}, {percent(row.excess_high, sign=True)}] (beta {number(row.beta)},"
        f" information ratio {number(row.information_ratio, sign=True)}; {row.verdict})"
        for name, row in ((name, rows[name]) for name in ("hold", "hold at volatility") if name in rows)
    ]
    return f"The desk earned {', and '.join(parts)}." if parts else ""


def _trades_sentence(facts: DeskFacts) -> str:
    trading, closed = facts.trading, facts.closed
    if trading.trades:
        return (
            f"{trading.trades:,} trades closed for {signed_money(trading.pnl)},"
            f" {percent(closed.won / trading.trades, 0)} of them won"
            f" (best {signed_money(closed.best)}, worst {signed_money(closed.worst)})."
        )
    if not trading.decisions:
        return "No trade was closed: no decision fell into this period."
    sentence = f"No trade was closed: {trading.decisions:,} decisions, {trading.orders:,} orders."
    reasons = ", ".join(f"{reason} ({times:,})" for reason, times in trading.no_trade.items())
    return f"{sentence} Symbols were left alone: {reasons}." if reasons else sentence


def profit_line(part: ProfitPart) -> ProfitLine:
    """The profit by an agent, of a symbol or a side."""
    return ProfitLine(
        part.name, f"{part.trades:,}", signed_money(part.gross), money(part.costs), signed_money(part.net)
    )


def costs_sentence(facts: DeskFacts) -> str:
    """What trading has cost since the first day, as a share of equity a year, and each kind of order."""
    row = next((row for row in facts.yearly_costs if row.period == "all"), None)
    if row is None or row.percent_of_equity_a_year is None:
        return ""
    held = f" Funding of what was held came to {signed_money(row.funding)}." if row.funding else ""
    kinds = held + "".join(f" {_slippage_sentence(kind)}" for kind in facts.slippage)
    return (
        f"Costs took {percent(row.percent_of_equity_a_year / 100.0, 2)} of equity a year: fees {money(row.fees)},"
        f" spread {money(row.spread)}, impact {money(row.impact)}; the book turned over"
        f" {number(row.turnover_a_year, 1)} times a year.{kinds}"
    )


def _slippage_sentence(kind: SlippageOfKind) -> str:
    doubted = f" {kind.doubted:,} more met a price that was not believed." if kind.doubted else ""
    if not kind.orders:
        return f"Of {kind.kind} orders{doubted.replace(' more', '')}"
    missed = "" if kind.missed_bps is None else f", the rest ran away by {number(kind.missed_bps, 1, sign=True)}"
    return (
        f"{kind.orders:,} {kind.kind} orders: {percent(kind.filled)} filled,"
        f" {number(kind.slippage_bps, 1, sign=True)} basis points from the close decided on,"
        f" fees {number(kind.fees_bps, 1)}{missed}; in all {number(kind.shortfall_bps, 1, sign=True)},"
        f" the median order {number(kind.median_bps, 1, sign=True)}.{doubted}"
    )


def position_line(position: HeldPosition, equity: float | None) -> PositionLine:
    """A position and its share of equity."""
    share = position.value / equity if position.value is not None and equity else None
    return PositionLine(
        symbol=position.symbol,
        quantity=quantity(position.quantity),
        entry=number(position.average_entry_price),
        mark=number(position.mark),
        share=percent(share),
        pnl=signed_money(position.unrealised_pnl),
    )


def trade_line(trade: Trade) -> TradeLine:
    """A closed trade."""
    return TradeLine(
        closed=f"{trade.closed_at:%m-%d %H:%M}",
        symbol=trade.symbol,
        side=trade.side,
        quantity=quantity(trade.quantity),
        entry=number(trade.entry_price),
        exit=number(trade.exit_price),
        pnl=signed_money(trade.pnl),
    )


def risk_event_line(event: RecordedRiskEvent) -> str:
    """When the risk state changed, by whom and why."""
    return f"{event.time:%Y-%m-%d %H:%M} {event.from_state} → {event.to_state} ({event.actor}): {event.reason}"

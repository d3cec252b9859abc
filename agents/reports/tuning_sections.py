"""facts -> what a report says of weights and agents: weights and why, changes, what tuning added, scorecards. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from agents.core.believed import AgentView, Believed, believed, newest_belief
from agents.core.facts import DeskFacts, RecordedDecision
from agents.core.meta_types import DecisionStatus, Scorecard, ValueAdded
from agents.core.types import REMAINDER
from agents.core.value_added import AgentValueAdded, OlderRules
from agents.reports.belief_words import believed_of, mark, whole_sentence
from agents.reports.content import AddedLine, AgentLine, ChangeLine, DecisionLine, QualityLine, WeightLine
from agents.reports.formatting import MISSING, interval, number, percent, signed_money

MONTH_DAYS = 30
CAUSE_LEAST, MOVE_LEAST = 0.005, 0.0005
"""Smaller parts of a change, and smaller changes, are not named."""
MOVES_NAMED = 3

_DONE: dict[DecisionStatus, str] = {
    "apply": "moved",
    "hold": "held",
    "fallback": "kept (no answer)",
    "revert": "reverted",
    "initial": "set",
}


def weight_lines(facts: DeskFacts) -> list[WeightLine]:
    """Weights in force, what they moved by since the period began, what is believed of each agent, or, by a method
    without beliefs, the causes of the newest decision."""
    before, belief, mute = _weights_before(facts), _belief(facts), mute_agents(facts)
    causes = facts.weight_history[0].decision.causes if facts.weight_history else {}
    paused = any(opened.alarm.kind == "tuning_paused" for opened in facts.alarms)
    lines = []
    for name, exact in facts.weights.items():
        weight = float(exact)
        change = weight - before[name] if name in before else None
        parts = [(cause, part) for cause, part in causes.get(name, {}).items() if abs(part) >= CAUSE_LEAST]
        parts.sort(key=lambda named: -abs(named[1]))
        lines.append(
            WeightLine(
                agent=name,
                weight=percent(weight),
                bar=round(100 * weight),
                change=percent(change, sign=True) if change else "",
                why=_mute(weight)
                if name in mute
                else "; ".join(
                    filter(None, (_in_effect(facts, name), _believed(belief, name, paused=paused) or _parts(parts)))
                ),
            )
        )
    return lines


def _in_effect(facts: DeskFacts, name: str) -> str:
    """What the desk listened to at its newest decision, where that is not what was earned, and why."""
    own = next((one for one in facts.effective if one.agent_name == name), None)
    return f"in effect {percent(own.effective)}: {own.why}" if own is not None and own.why else ""


def _mute(weight: float) -> str:
    """Of an agent that never spoke."""
    then = "where it is silent the others share its weight" if weight > 0.0 else "it has no weight until it speaks"
    return f"has had no opinion on any symbol of this desk yet: nothing is known of it, and {then}"


def mute_agents(facts: DeskFacts) -> set[str]:
    """Agents with a scorecard that never had an opinion on this universe."""
    cards = (card for card in facts.scorecards if card.window_days == 0)
    return {card.agent_name for card in cards if not card.figures["total_signals"]}


def _belief(facts: DeskFacts) -> Believed | None:
    return newest_belief(recorded.decision for recorded in facts.weight_history)


def _believed(belief: Believed | None, name: str, *, paused: bool) -> str:
    view = belief.agents.get(name) if belief else None
    if belief is None or view is None:
        return ""
    return believed_of(view) + mark(belief) + (", not followed while tuning is paused" if paused else "")


def _parts(parts: list[tuple[str, float]]) -> str:
    words = ", ".join(f"{cause} {percent(part, sign=True)}" for cause, part in parts)
    return f"last change: {words}" if words else ""


def _weights_before(facts: DeskFacts) -> Mapping[str, float]:
    older = [applied for applied in facts.applied if applied.at <= facts.period.start]
    return older[-1].weights if older else {}


def newest_decision(facts: DeskFacts) -> DecisionLine | None:
    """What was last decided about the weights, and why."""
    if not facts.weight_history:
        return None
    recorded = facts.weight_history[0]
    decision = recorded.decision
    return DecisionLine(
        what=_DONE[decision.status],
        when=f"{decision.at:%Y-%m-%d %H:%M}",
        version=recorded.version,
        method=decision.method,
        reason=_with_worth(decision.reason[:1].upper() + decision.reason[1:], believed(decision.evidence)),
    )


def _with_worth(reason: str, belief: Believed | None) -> str:
    """The reason, and what the weights are worth by the belief; without the last full stop, as the template sets it."""
    return f"{reason}. {whole_sentence(belief)}".removesuffix(".") if belief else reason


def change_lines(facts: DeskFacts) -> list[ChangeLine]:
    """Changes of weights, newest first: the largest moves, what was expected and what came."""
    return [
        change_line(recorded) for recorded in facts.weight_history if recorded.decision.status in ("apply", "revert")
    ]


def change_line(recorded: RecordedDecision) -> ChangeLine:
    """A change of weights: the largest moves, what was expected and what came."""
    decision = recorded.decision
    before = decision.previous or {}
    moves = [(name, float(weight) - float(before.get(name, 0))) for name, weight in decision.weights.items()]
    moves.sort(key=lambda move: -abs(move[1]))
    named = [
        f"{name} {percent(change, sign=True)}" for name, change in moves[:MOVES_NAMED] if abs(change) >= MOVE_LEAST
    ]
    return ChangeLine(
        when=f"{decision.at:%Y-%m-%d}",
        moves=", ".join(named),
        expected=number(decision.sharpe_improvement, sign=True),
        realised=number(recorded.realised_improvement, sign=True) if recorded.realised_at else "not yet",
    )


def tuner_sentence(facts: DeskFacts) -> str:
    """How many decisions were made, and whether scored changes gained."""
    totals, scored = facts.tuner, facts.scored
    if not totals.decisions:
        return "The tuner has not decided anything yet."
    sentence = (
        f"{totals.decisions:,} decisions so far: {totals.changes:,} changes, {totals.holds:,} holds,"
        f" {totals.fallbacks:,} without an answer, {totals.reverts:,} reverted."
    )
    if scored.count:
        expected, realised = (number(value, 3, sign=True) for value in (scored.expected, scored.realised))
        sentence += (
            f" The effect of {scored.count:,} changes has been measured: {scored.gained:,} gained."
            f" On average a Sharpe ratio of {expected} was expected of a change, and {realised} came."
        )
    return sentence


def added_line(row: ValueAdded) -> AddedLine:
    """The live book against one control."""
    return AddedLine(
        control=row.control,
        money=signed_money(row.money),
        difference=number(row.difference, sign=True),
        interval=interval(row.low, row.high),
        verdict=row.verdict,
    )


def quality_lines(facts: DeskFacts) -> list[QualityLine]:
    """How good each agent's signals are, those with the best correlation first."""
    cards = [card for card in facts.scorecards if card.window_days == 0]
    cards.sort(key=lambda card: -(card.figures.get("information_coefficient") or -1.0))
    return [_quality(card) for card in cards]


def _quality(card: Scorecard) -> QualityLine:
    known = card.figures.get
    return QualityLine(
        agent=card.agent_name,
        signals=f"{known('total_signals') or 0:,}",
        ic=number(known("information_coefficient"), 3, sign=True),
        brier=number(known("brier_score"), 3),
        trades=f"{known('total_trades') or 0:,}",
        won=percent(known("trade_win_rate"), 0),
        factor=number(known("trade_profit_factor")),
        runs=f"{known('longest_winning_trades') or 0}, {known('longest_losing_trades') or 0}",
    )


def agent_lines(facts: DeskFacts) -> list[AgentLine]:
    """Every agent's scorecard, best first, and the part of the P&L that no agent asked for."""
    month = {card.agent_name: card for card in facts.scorecards if card.window_days == MONTH_DAYS}
    cards = [card for card in facts.scorecards if card.window_days == 0]
    belief = _belief(facts)
    views = belief.agents if belief else {}
    added = {row.agent_name: row for row in facts.value_added if row.window_days == 0}
    lines = [
        _agent(
            card, month.get(card.agent_name), views.get(card.agent_name), facts.contributions.get(card.agent_name)
        )._replace(**_adds(added.get(card.agent_name)))
        for card in cards
    ]
    rest = facts.contributions.get(REMAINDER)
    if rest is not None and lines:
        lines.append(AgentLine(agent="remainder", contribution=signed_money(rest)))
    return lines


def measured_sentence(facts: DeskFacts) -> str:
    """What the scorecards measured, and what "adds" compares."""
    measured = next((card.measured for card in facts.scorecards if card.measured), "")
    books = f"Sharpe ratios are those of shadow books ({measured}), at the desk's costs." if measured else ""
    compared = (
        "Adds: the desk's return a year less that of the same desk without the agent; one of weight 0 is tried at the"
        " floor."
        if facts.value_added
        else ""
    )
    return " ".join(filter(None, (books, compared, older_rules(facts.older_rules))))


def older_rules(older: OlderRules) -> str:
    """How much of the evidence was measured by other rules than today's; "" where none was."""
    if not older.days:
        return ""
    return (
        f"{older.days:,} days up to {older.until} were measured by the rules of an older version, whose books could do"
        " what the desk may not."
    )


def _adds(row: AgentValueAdded | None) -> dict[str, str]:
    """What an agent adds to the desk; words where there is no interval yet."""
    if row is None:
        return {"adds": MISSING, "adds_interval": "", "adds_verdict": ""}
    if row.return_low is None:
        return {"adds": "", "adds_interval": row.verdict, "adds_verdict": row.verdict}
    ends = f"[{number(100.0 * row.return_low, 1, sign=True)}, {percent(row.return_high, sign=True)}]"
    return {"adds": percent(row.return_a_year, sign=True), "adds_interval": ends, "adds_verdict": row.verdict}


def _with_interval(figures: Mapping[str, float | int | None]) -> str:
    """A month's ratio never without its interval: alone it says more than it knows."""
    return f"{number(figures['sharpe_ratio'])} {interval(figures['sharpe_low'], figures['sharpe_high'])}".strip()


def _agent(card: Scorecard, month: Scorecard | None, view: AgentView | None, contribution: float | None) -> AgentLine:
    figures = card.figures
    return AgentLine(
        agent=card.agent_name,
        sharpe=number(figures["sharpe_ratio"]),
        interval=interval(figures["sharpe_low"], figures["sharpe_high"]),
        month=_with_interval(month.figures) if month else MISSING,
        hits=percent(figures["win_rate"]),
        factor=number(figures["profit_factor"]),
        better=percent(view.better, 0) if view else MISSING,
        contribution=signed_money(contribution),
    )

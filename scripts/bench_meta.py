"""The meta plane's parts of scripts/bench.py: proposals, scorecards, reports, each beside a peer or a floor."""

from __future__ import annotations

import gc
import io
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import numpy as np

from agents.adapters.database.engine import open_engine
from agents.adapters.database.reader import DeskReader
from agents.adapters.services.embedded import EmbeddedServices
from agents.core.clock import SimulatedClock
from agents.core.facts import Period
from agents.core.meta_types import AgentDays
from agents.core.settings import Settings
from agents.quant.allocation import propose
from agents.quant.portfolios import max_sharpe, risk_parity
from agents.quant.returns import sharpe_ratio
from agents.quant.scores import calmar_ratio, shape_of, sortino_ratio, wins_and_losses
from agents.tuning.scorecards import Thresholds, analyze
from agents.wiring import meta as meta_app
from agents.wiring.connections import Connections
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from agents.wiring.replay_jobs import ArrayJobs
from tests.market import make_bars

AGENTS, DAYS, YEAR = 10, 252, 252
JOBS = {"performance_analyzer": "_analyze", "weight_optimizer": "_optimize", "project_manager": "_report"}
"""The jobs of a replay, and which method of `ArrayJobs` runs each."""


def median_ms(work: Callable[[], object], times: int = 30) -> float:
    """Median of `times` runs after one to warm up."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3


def least_and_median_ms(work: Callable[[], object], times: int = 50) -> dict[str, float]:
    """Of `times` runs after one to warm up: processor time, least and median, and the median of what a clock shows.
    Others who use the machine lengthen the latter, and all but the least of the former."""
    work()
    processor, clock = [], []
    for _ in range(times):
        start, started = time.perf_counter_ns(), time.process_time_ns()
        work()
        processor.append(time.process_time_ns() - started)
        clock.append(time.perf_counter_ns() - start)
    return {
        "least": min(processor) / 1e6,
        "median": statistics.median(processor) / 1e6,
        "clock_median": statistics.median(clock) / 1e6,
    }


def made_returns(skills: np.ndarray, days: int = DAYS, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.01 * (skills / math.sqrt(YEAR) + rng.standard_normal((days, len(skills))))


def bench_propose() -> dict[str, object]:
    """`propose` with its guard for 10 agents and 252 days, and the solve alone, beside PyPortfolioOpt on the same
    moments."""
    even, equal = made_returns(np.full(AGENTS, 0.5)), np.full(AGENTS, 1.0 / AGENTS)
    star = made_returns(np.array([9.0, -6.0, *np.zeros(AGENTS - 2)]))
    assert propose(star, equal).status == "apply"
    mean, covariance = star.mean(axis=0), np.cov(star.T)
    low, high = np.full(AGENTS, 0.05), np.full(AGENTS, 0.40)
    figures: dict[str, object] = {
        "held_ms": median_ms(lambda: propose(even, equal)),
        "applied_ms": median_ms(lambda: propose(star, equal)),
        "solve_max_sharpe_ms": median_ms(lambda: max_sharpe(mean, covariance, low, high)),
        "solve_direct_ms": median_ms(lambda: max_sharpe(mean, covariance, low, high, "direct"), 300),
        "solve_risk_parity_ms": median_ms(lambda: risk_parity(covariance)),
    }
    figures["proposals_per_s"] = 1e3 / float(str(figures["applied_ms"]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pypfopt import EfficientFrontier

            def peer() -> None:
                frontier = EfficientFrontier(mean, covariance, weight_bounds=(0.05, 0.40))
                frontier.max_sharpe(risk_free_rate=0.0)

            figures["pypfopt_max_sharpe_ms"] = median_ms(peer, 15)
        figures["solve_times_faster"] = float(str(figures["pypfopt_max_sharpe_ms"])) / float(
            str(figures["solve_max_sharpe_ms"])
        )
    except ImportError:
        figures["pypfopt"] = "not installed"
    return figures


def bench_beliefs() -> dict[str, object]:
    """The default method for 10 agents: on 1,000 days from scratch, and on one day more; aims 4 and 0.3 ms."""
    returns, equal = made_returns(np.linspace(-1.0, 2.0, AGENTS), 1000), np.full(AGENTS, 1.0 / AGENTS)
    known = propose(returns[:-1], equal).state
    assert known is not None
    whole, more = propose(returns, equal), propose(returns[-1:], equal, state=known)
    assert np.array_equal(whole.weights, more.weights), "a day more is the same as all of them"
    return {
        "from_scratch_ms": least_and_median_ms(lambda: propose(returns, equal)),
        "one_more_day_ms": least_and_median_ms(lambda: propose(returns[-1:], equal, state=known), 300),
    }


def bench_jobs() -> dict[str, object]:
    """The jobs of a replay of ten years of 20 symbols, at every 2 (report), 6 (scorecards) and 24 (weights) simulated
    hours: processor seconds of the replay with them less that without, aim 3 s; and of each job in the best run, the
    rest being the clock's way from due time to due time."""
    bars = make_bars(10 * YEAR, 20, 11)
    settings = Settings(desk={"name": "bench"}, data={"clock": "bars"})

    def seconds(tuning: bool) -> tuple[float, dict[str, float]]:
        request = ReplayRequest(settings=settings, tuning=tuning, report_every=timedelta(hours=2))
        with each_timed(ArrayJobs, JOBS) as by_job:
            start = time.process_time()
            replay_history(history_of(bars), request)
            return time.process_time() - start, by_job

    seconds(True)
    gc.freeze()  # as the program does with what it has imported
    taken = [(seconds(True), seconds(False)[0]) for _ in range(3)]
    jobs = [whole - bare for (whole, _), bare in taken]
    best = min(range(3), key=jobs.__getitem__)
    by_job = taken[best][0][1]
    return {
        "jobs_s": jobs[best],
        "jobs_median_s": statistics.median(jobs),
        "without_s": min(bare for _, bare in taken),
        **{f"{name}_s": spent for name, spent in by_job.items()},
        "clock_and_rest_s": jobs[best] - sum(by_job.values()),
    }


@contextmanager
def each_timed(owner: type, methods: Mapping[str, str]) -> Iterator[dict[str, float]]:
    """Processor seconds that calls of some methods of a class take meanwhile, by their names here."""
    spent, kept = dict.fromkeys(methods, 0.0), {method: getattr(owner, method) for method in methods.values()}

    def timed(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            start = time.process_time()
            try:
                return work(*arguments)
            finally:
                spent[name] += time.process_time() - start

        return run

    for name, method in methods.items():
        setattr(owner, method, timed(name, kept[method]))
    try:
        yield spent
    finally:
        for method, work in kept.items():
            setattr(owner, method, work)


def made_days(returns: np.ndarray) -> AgentDays:
    """Days of agents with these shadow returns [D, A], and the same counts for each."""
    shape = returns.shape
    ones = np.ones(shape, dtype=np.int64)
    return AgentDays(
        date=np.datetime64("2024-01-01") + np.arange(len(returns)),
        agents=tuple(f"A{k}" for k in range(shape[1])),
        returns=returns,
        signals=5 * ones,
        hits=2 * ones,
        calls=4 * ones,
        trades=ones,
        pnl=returns,
        turnover=np.abs(returns),
        correlation_sums=np.ones((6, *shape)),
        brier_sums=np.ones((2, *shape)),
        trade_shares=np.empty((3, 0)),
    )


def bench_analyzer() -> dict[str, object]:
    """All scorecards of 20 agents and a year of days, with intervals, beside quantstats on the figures that both
    have."""
    agents = 20
    days = made_days(made_returns(np.linspace(-1.0, 2.0, agents), seed=3))
    ours = median_ms(lambda: analyze(days, Thresholds(), trials=agents), 10)
    figures: dict[str, object] = {
        "all_windows_ms": ours,
        "scorecards": 4 * agents,
        "per_scorecard_ms": ours / (4 * agents),
    }
    try:
        theirs = quantstats_ms(days)
    except ImportError:
        return figures | {"quantstats": "not installed"}
    one = days.returns[:, 0].copy()

    def shared() -> None:
        (
            sharpe_ratio(one, 252.0),
            sortino_ratio(one, 252.0),
            calmar_ratio(one, 252.0),
            wins_and_losses(one),
            shape_of(one),
        )

    shared_ms = median_ms(shared, 30)
    return figures | {
        "quantstats_per_series_ms": theirs,
        "same_figures_ms": shared_ms,
        "times_faster": theirs / shared_ms,
    }


def quantstats_ms(days: AgentDays) -> float:
    """What quantstats takes for one agent; ImportError where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from quantstats import stats

        series = pd.Series(days.returns[:, 0], index=pd.DatetimeIndex(days.date))
        both = (
            stats.sharpe,
            stats.sortino,
            stats.calmar,
            stats.max_drawdown,
            stats.win_rate,
            stats.profit_factor,
            stats.payoff_ratio,
            stats.avg_win,
            stats.avg_loss,
            stats.consecutive_wins,
            stats.consecutive_losses,
            stats.skew,
            stats.kurtosis,
        )

        def peer() -> None:
            for figure in both:
                figure(series)

        return median_ms(peer, 10)


def bench_report(embedded: EmbeddedServices, database: str) -> dict[str, object]:
    """Gather, word and draw a report on a desk's database; the floor is matplotlib saving four empty charts."""
    owner = open_engine(embedded.database_url(database, "quorum_owner"))
    at = DeskReader(owner).rows("SELECT max(time) AS t FROM decisions")[0]["t"]
    connections = Connections(owner, owner, owner, embedded.redis_url, (), {})
    plane = meta_app.MetaPlane(Settings(), connections, SimulatedClock(at))
    for name in ("performance_analyzer", "weight_optimizer"):
        plane.run_job(name, at, at)
    start = at - timedelta(days=30)
    whole = median_ms(lambda: plane.report(at, start, keep=False), 8)
    facts = median_ms(lambda: plane.reports.facts(Period(start, at)), 8)
    floor = median_ms(_four_empty_charts, 8)
    analyzer = median_ms(lambda: plane.run_job("performance_analyzer", at), 8)
    plane.cache.close()
    connections.close()
    return {
        "report_with_charts_ms": whole,
        "gather_ms": facts,
        "four_empty_charts_ms": floor,
        "ratio_to_floor": whole / floor,
        "analyzer_job_no_new_day_ms": analyzer,
    }


def _four_empty_charts() -> None:
    from matplotlib.figure import Figure

    for _ in range(4):
        figure = Figure(figsize=(6.0, 2.5), dpi=150, layout="constrained")
        figure.add_subplot()
        figure.savefig(io.BytesIO(), format="png")

"""A user's strategies in every way that one can be written, against a closed form; and files that are wrong."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.adapters.own.entries_agent import positions_of
from agents.adapters.own.making import make_own
from agents.adapters.own.returns_table import read_daily_returns
from agents.adapters.own.signals_agent import read_signals
from agents.core.asking import checked
from agents.core.errors import DataError
from agents.core.own_folder import folder_problems, with_folder
from agents.core.settings import AgentsSettings
from agents.replay.lookahead import Cuts, check_lookahead
from tests import own_strategies
from tests.market import make_panel
from tests.program import ROOT

PANEL = make_panel(300, 2, 4)
FEW = Cuts(8, 3)
"""Cuts of the look-ahead check, which pandas makes slow."""
WAYS = ("cross_function.py", "cross_entries.py", "CrossFreqtrade.py", "cross_class.py", "cross_signals.csv")


def answered(place, panel=PANEL):
    answer = checked(make_own(str(place)).signals(panel), panel.close.shape)
    assert not isinstance(answer, str), answer
    return answer


@pytest.mark.parametrize("way", WAYS)
def test_a_moving_average_cross_has_the_same_positions_bar_for_bar_however_it_is_written(way, tmp_path):
    said = answered(own_strategies.write(tmp_path, PANEL)[way])
    wanted = own_strategies.expected(PANEL)
    assert np.array_equal(np.where(said.abstained, 0.0, said.strength), wanted)
    assert said.abstained[40:].sum() == 0 and wanted[40:].mean() > 0.1


@pytest.mark.parametrize("way", [way for way in WAYS if "freq" not in way.lower()])
def test_none_of_them_looks_ahead_or_hangs_on_where_its_data_begin(way, tmp_path):
    assert (
        check_lookahead(
            make_own(str(own_strategies.write(tmp_path, PANEL)[way])),
            PANEL.rows(0, 150),
            cuts=FEW._replace(years="signals" not in way),
        )
        == []
    )


def test_a_freqtrade_strategy_does_not_look_ahead_either_its_weekly_candles_included(tmp_path):
    text = own_strategies.FREQTRADE.replace('(dataframe["volume"] > 0)', '(dataframe["close"] > dataframe["top_1w"])')
    (tmp_path / "Weekly.py").write_text(text)
    said = answered(tmp_path / "Weekly.py")
    assert 0.05 < said.strength.mean() < own_strategies.expected(PANEL).mean()
    assert check_lookahead(make_own(str(tmp_path / "Weekly.py")), PANEL.rows(0, 90), cuts=FEW) == []


@pytest.mark.parametrize("way", WAYS[:3])
def test_a_live_window_says_what_the_whole_history_says_to_the_bit(way, tmp_path):
    panel = make_panel(1080, 1, 9)
    agent = make_own(str(own_strategies.write(tmp_path, PANEL)[way]))
    whole = agent.signals(panel)
    for row in range(1015, 1080, 16):
        window = agent.signals(panel.rows(row + 1 - agent.bars_needed, row + 1))
        assert np.array_equal(window.strength[-1], whole.strength[row])
        assert np.array_equal(window.abstained[-1], whole.abstained[row])


def test_a_position_of_a_freqtrade_strategy_ends_after_hold_bars_and_shorts_need_leave(tmp_path):
    text = (
        "from freqtrade.strategy import IStrategy\n\nclass Once(IStrategy):\n    hold_bars = 20\n    can_short = True\n"
        "    def populate_entry_trend(self, dataframe, metadata):\n"
        "        dataframe.loc[dataframe['date'].dt.day_of_year == 40, 'enter_long'] = 1\n"
        "        dataframe.loc[dataframe['date'].dt.day_of_year == 50, 'enter_short'] = True\n"
        "        return dataframe\n"
    )
    opened = int(np.flatnonzero(PANEL.time >= np.datetime64("2001-02-09"))[0])
    for may_short, expected in ((True, [1.0] * 10 + [-1.0] * 20), (False, [1.0] * 20 + [0.0] * 10)):
        file = tmp_path / f"Once{may_short}.py"
        file.write_text(text.replace("can_short = True", f"can_short = {may_short}"))
        said = answered(file).strength[:, 0]
        assert said[opened : opened + 30].tolist() == expected
        assert not said[1:opened].any() and not said[opened + 30 :].any()


def test_a_signal_counts_from_the_bar_after_its_time(tmp_path):
    wanted = own_strategies.expected(PANEL)
    (tmp_path / "at_close.csv").write_text(own_strategies.signal_rows(PANEL, wanted))
    said = answered(tmp_path / "at_close.csv")
    assert said.abstained[0].all() and np.array_equal(said.strength[1:], wanted[:-1])
    day = str(PANEL.time[5])[:10]
    (tmp_path / "dated.csv").write_text(f"time,symbol,position\n{day},*,0.25\n")
    said = answered(tmp_path / "dated.csv")
    first = int(np.flatnonzero(PANEL.time > np.datetime64(day) + np.timedelta64(1, "D"))[0])
    assert said.abstained[:first].all() and (said.strength[first:] == 0.25).all()


def test_a_table_is_read_again_when_it_has_changed_and_an_empty_position_ends_one(tmp_path):
    file = tmp_path / "table.csv"
    first, second = PANEL.symbols
    file.write_text(f"time,symbol,position\n2000-01-01,*,-0.5\n2000-01-01,{first},1\n")
    agent = make_own(str(file))
    assert agent.signals(PANEL).strength[-1].tolist() == [1.0, -0.5]
    file.write_text(f"time,symbol,position\n2000-01-01,*,-0.5\n2000-01-02,{second},\n")
    said = agent.signals(PANEL)
    assert said.strength[-1].tolist() == [-0.5, 0.0] and said.abstained[-1].tolist() == [False, True]
    file.unlink()
    with pytest.raises(DataError, match=re.escape(f"{file}: cannot be read")):
        agent.signals(PANEL)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_the_same_as_csv_and_as_parquet(tmp_path, suffix):
    import pandas as pd

    frame = pd.DataFrame(
        {"time": ["2024-01-02T10:00:00Z", "2024-01-01"], "symbol": ["A", "A"], "position": [0.5, -1.0]}
    )
    returns = pd.DataFrame({"time": ["2024-01-02", "2024-01-01"], "return": [0.01, None]})
    for name, table in (("s", frame), ("r.returns", returns)):
        file = tmp_path / f"{name}{suffix}"
        table.to_parquet(file) if suffix == ".parquet" else table.to_csv(file, index=False)
    known, position = read_signals(tmp_path / f"s{suffix}")["A"]
    assert [str(time)[:16] for time in known] == ["2024-01-02T00:00", "2024-01-02T10:00"]
    assert position.tolist() == [-1.0, 0.5]
    read = read_daily_returns(tmp_path / f"r.returns{suffix}")
    assert [str(day) for day in read.date] == ["2024-01-01", "2024-01-02"]
    assert np.isnan(read.value[0]) and read.value[1] == 0.01


ZONES = [None, "UTC", "America/New_York"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("way", ["parquet", "index", "csv"])
def test_days_as_pandas_keeps_them_are_known_at_their_end(tmp_path, way, zone):
    """Seen: a day's signals in Parquet were known as the day began, before the close that they were computed from."""
    import pandas as pd

    days = pd.date_range("2024-01-01", periods=3, tz=zone)
    table = pd.DataFrame({"time": days, "symbol": "A", "position": [1.0, 0.0, 1.0]})
    file = tmp_path / ("s.csv" if way == "csv" else "s.parquet")
    if way == "csv":
        table.assign(time=[day.isoformat() for day in days]).to_csv(file, index=False)
    else:
        (table.set_index("time") if way == "index" else table).to_parquet(file)
    hour = "T05:00" if zone == "America/New_York" else "T00:00"
    assert [str(time)[:16] for time in read_signals(file)["A"][0]] == [f"2024-01-0{day}{hour}" for day in (2, 3, 4)]
    table = table.assign(time=[*days[:2], days[2] + pd.Timedelta("1s")])  # whoever means a midnight says another moment
    table.to_parquet(tmp_path / "m.parquet")
    assert str(read_signals(tmp_path / "m.parquet")["A"][0][0])[:16] == f"2024-01-01{hour}"


def test_returns_in_percent_are_refused(tmp_path):
    """Seen: 1.2 for 1.2 % was a gain of 120 %, and a weight was advised by it."""
    rows = "".join(f"2024-01-0{day},{value}\n" for day, value in enumerate((1.2, -0.8, 0.4, 0.0, 0.7, -0.3), 1))
    (tmp_path / "r.returns.csv").write_text("time,return\n" + rows)
    with pytest.raises(DataError, match=r"r.returns.csv: half of the returns are beyond 10%: write 0.01 for 1 %"):
        read_daily_returns(tmp_path / "r.returns.csv")


BAD_SIGNALS = [
    ("", "cannot be read|holds no row|no column"),
    ("time,symbol,position\n", "holds no row"),
    ("time,symbol\n2024-01-01,A\n", "has no column position; it has time, symbol"),
    ("time,return\n2024-01-01,0.1\n", r"named NAME.returns.csv"),
    ("time,symbol,position\nyesterday,A,1\n", "line 2: time 'yesterday' is no ISO 8601 time"),
    ("time,symbol,position\n2024-01-01,A,1\n2024-01-02,A,1.5\n", "line 3: position '1.5' is no number from -1 to 1"),
    ("time,symbol,position\n2024-01-01,A,inf\n", "line 2: position 'inf'"),
    ("time,symbol,position\n2024-01-01,A,long\n", "line 2: position 'long'"),
    ("time,symbol,position\n2024-01-01,a b!,1\n", "line 2: 'a b!' is no symbol"),
    (
        "time,symbol,position\n2024-01-01,A,1\n2024-01-02,A\n",
        "line 3: ends after 2 of 3 cells; an empty last cell",
    ),
    ("time,symbol,position\n2024-01-01,A,1\n2024-01-01,A,0\n", "line 3: A has a signal of this time on line 2 already"),
]


@pytest.mark.parametrize(("text", "cause"), BAD_SIGNALS)
def test_a_wrong_table_of_signals_is_refused_with_its_line(text, cause, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=f"t.csv: .*({cause})"):
        make_own(str(tmp_path / "t.csv"))


BAD_RETURNS = [
    ("time,return\n2024-01-01,-1\n", "line 2: return '-1' is no return above -1"),
    ("time,return\n2024-01-01,0.1\n2024-01-01T12:00:00,0.1\n", "line 3: 2024-01-01 has a return on line 2 already"),
    ("time,return\n2024-01-01,0.1\n2024-01-02\n", "line 3: ends after 1 of 2 cells"),
    ("time,return\n2024-01-01,5%\n", "line 2: return '5%' is no number"),
    ("time,symbol,position\n2024-01-01,A,1\n", "is named NAME.csv"),
]


@pytest.mark.parametrize(("text", "cause"), BAD_RETURNS)
def test_a_wrong_table_of_returns_is_refused_with_its_line(text, cause, tmp_path):
    (tmp_path / "t.returns.csv").write_text(text)
    with pytest.raises(DataError, match=f"t.returns.csv: .*({cause})"):
        read_daily_returns(tmp_path / "t.returns.csv")


BAD_ANSWERS = [
    ("def positions(bars):\n    return bars['close'] * 0 + 2", "strength leaves"),
    ("def positions(bars):\n    return bars['close'] * float('inf')", "a position is infinite"),
    ("def positions(bars):\n    return bars['close'].reset_index(drop=True) * 0", "without the bars' times"),
    ("def positions(bars):\n    return bars['close'].dropna().iloc[3:] * 0", "returned 297 rows for 300 bars"),
    ("def positions(bars):\n    return bars['close'].shift(freq='1h') * 0", "other times than those of its bars"),
    ("def positions(bars):\n    return None", "returned a NoneType, expected a series"),
    ("def positions(bars):\n    raise KeyError('rsi')", "KeyError: 'rsi'"),
    ("bars_needed = 0\ndef positions(bars):\n    return 1", "bars_needed is 0, expected a whole number"),
    ("def entries(close):\n    return close", "returned something else than two boolean frames"),
    ("def entries(close):\n    return close > 0, close", "exits: holds"),
    (
        "def entries(close):\n    return close.to_numpy() > 0, close < 0",
        r"entries: is a ndarray, .*pd.DataFrame\(values",
    ),
    (
        "import pandas as pd\ndef entries(close):\n    two = pd.concat([close > 9, close > 8], axis=1, keys=[9, 8])\n"
        "    return two, ~two",
        "entries: has 4 columns for 2 symbols; one set of parameters is traded",
    ),
    ("def entries(close):\n    return (close > 0).iloc[1:], close < 0", "entries: has other rows or columns"),
    ("def entries(prices):\n    return 1", r"entries\(prices\): its arguments are named open, high"),
    ("import nowhere_at_all\ndef positions(bars):\n    return 1", "needs the package nowhere_at_all, .*pip install"),
    ("import talib.abstract as ta\ndef positions(bars):\n    return 1", "needs the package TA-Lib"),
    (
        "from freqtrade.strategy import IStrategy, Unheard\nclass A(IStrategy):\n    pass",
        "freqtrade.strategy.Unheard is not among what Quorum knows of freqtrade",
    ),
    (
        "from freqtrade.strategy import IStrategy\nclass A(IStrategy):\n"
        "    def populate_entry_trend(self, dataframe, metadata):\n        return dataframe.dropna().iloc[9:]",
        "returned [0-9]+ of 300 candles; none may be dropped",
    ),
    (
        "from freqtrade.strategy import IStrategy\nclass A(IStrategy):\n"
        "    def populate_indicators(self, dataframe, metadata):\n        return self.dp.get_pair_dataframe('BTC/USDT')",
        "asks for BTC/USDT, which the desk does not trade",
    ),
    (
        "from freqtrade.strategy import IStrategy\nclass A(IStrategy):\n"
        "    def populate_indicators(self, dataframe, metadata):\n        return self.dp.orderbook('A', 1)",
        "dp.orderbook is not supported: a strategy sees candles here, no exchange",
    ),
    (
        "from freqtrade.strategy import IStrategy\nclass A(IStrategy):\n"
        "    def populate_entry_trend(self, dataframe, metadata):\n        dataframe['nothing_here']",
        r"populate_entry_trend\(.*\): KeyError: 'nothing_here'",
    ),
]


@pytest.mark.parametrize(("text", "cause"), BAD_ANSWERS)
def test_what_a_strategy_does_wrong_is_said_in_a_line(text, cause, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    try:
        said = checked(make_own(str(tmp_path / "bad.py")).signals(PANEL), PANEL.close.shape)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    assert isinstance(said, str) and re.search(cause, said), said


WEIGHTED = """
import numpy as np
import pandas as pd

bars_needed = 60


def weighted_mean(values, n):
    out, weights = np.full(values.shape, np.nan), np.arange(1, n + 1) * 2.0 / (n * (n + 1))
    for row in range(n - 1, len(values)):
        out[row] = weights @ values[row + 1 - n : row + 1]
    return out


def entries(close):
    mean = pd.DataFrame(weighted_mean(close.to_numpy(), 20), close.index, close.columns)
    up, down = close > mean, close < mean
    for frame in (up, down) if LEVELS else ():
        frame.columns = pd.MultiIndex.from_product([[20], close.columns], names=["window", "symbol"])
    return up, down
"""


def test_entries_by_an_indicator_of_one_s_own_may_carry_its_parameters_above_the_symbols(tmp_path):
    """vectorbt's indicators do. Seen: "has other rows or columns than close"."""
    said = []
    for levels in ("False", "True"):
        (tmp_path / "weighted.py").write_text(WEIGHTED.replace("LEVELS", levels))
        said.append(answered(tmp_path / "weighted.py").strength)
    assert 0.2 < said[0].mean() < 0.8
    np.testing.assert_array_equal(said[0], said[1])


INFORMATIVE = """
from freqtrade.strategy import IStrategy, informative, merge_informative_pair

class A(IStrategy):
    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["close"] > dataframe["LEVEL"], "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["close"] < dataframe["LEVEL"], "exit_long"] = 1
        return dataframe
"""
BY_DECORATOR = """
    @informative("1w", "OTHER")
    def populate_indicators_1w(self, dataframe, metadata):
        return dataframe.assign(mean=dataframe["close"].rolling(4).mean())
"""
BY_PAIRS = """
    def informative_pairs(self):
        return [("OTHER", "1w")]

    def populate_indicators(self, dataframe, metadata):
        weeks = self.dp.get_pair_dataframe(pair="OTHER", timeframe="1w")
        weeks["mean"] = weeks["close"].rolling(4).mean()
        return merge_informative_pair(dataframe, weeks, self.timeframe, "1w", ffill=True)
"""


def test_a_freqtrade_strategy_reads_another_symbol_by_decorator_or_by_informative_pairs(tmp_path):
    other, said = PANEL.symbols[-1], []
    for body, level in ((BY_DECORATOR, f"{other.lower()}__mean_1w"), (BY_PAIRS, "mean_1w")):
        (tmp_path / "a.py").write_text((INFORMATIVE + body).replace("OTHER", other).replace("LEVEL", level))
        said.append(answered(tmp_path / "a.py").strength)
    assert np.abs(said[0]).sum() > 100.0
    np.testing.assert_array_equal(said[0], said[1])


def test_missing_opinions_are_abstentions(tmp_path):
    (tmp_path / "some.py").write_text(
        "def positions(bars):\n    return bars['close'].where(bars['close'].index.day > 15) * 0 + 1"
    )
    said = answered(tmp_path / "some.py")
    late = np.array([int(str(time)[8:10]) > 15 for time in PANEL.time])
    assert np.array_equal(said.abstained, np.repeat(~late[:, None], 2, axis=1)) and (said.strength[late] == 1.0).all()


def test_a_strategy_that_looks_ahead_is_caught(tmp_path):
    (tmp_path / "peek.py").write_text(
        "def positions(bars):\n    return (bars['close'].shift(-1) > bars['close']) * 1.0"
    )
    offences = check_lookahead(make_own(str(tmp_path / "peek.py")), PANEL.rows(0, 80), cuts=FEW)
    assert {offence.check for offence in offences} >= {"prefix", "poison"}


# ---------------------------------------------------------------- entries and exits


def by_walking(entries, exits, shorts, covers, hold):
    """Bar by bar, as the rule is written down."""
    positions, side, since = [], 0, 0
    for row, (enter, leave, sell, cover) in enumerate(zip(entries, exits, shorts, covers, strict=True)):
        if enter and not leave and not sell:
            side, since = 1, row
        elif sell and not cover and not enter:
            side, since = -1, row
        elif (side == 1 and leave and not enter) or (side == -1 and cover and not sell):
            side = 0
        positions.append(side if row - since < hold else 0)
    return positions


@settings(max_examples=80, deadline=None)
@given(arrays(bool, (25, 4)), st.integers(1, 30))
def test_positions_follow_the_last_entry_until_its_exit_or_its_age(events, hold):
    assert positions_of(*events.T, hold_bars=hold).tolist() == by_walking(*events.T, hold)


@settings(max_examples=50, deadline=None)
@given(arrays(bool, (40, 4)), st.integers(1, 10))
def test_a_position_depends_on_the_bars_that_it_may_be_held_only(events, hold):
    whole = positions_of(*events.T, hold_bars=hold)
    assert positions_of(*events[-hold:].T, hold_bars=hold)[-1] == whole[-1]


# ---------------------------------------------------------------- the folder


def test_the_folder_gives_its_agents_and_a_line_for_each_broken_file(tmp_path):
    files = own_strategies.write(tmp_path, PANEL)
    (tmp_path / "fund.returns.csv").write_text("time,return\n2024-01-01,0.1\n")
    for name, text in (
        ("broken.py", "def positions(bars:\n"),
        ("nothing.py", "x = 1\n"),
        ("both.py", "def positions(b): 1\ndef entries(close): 1\n"),
        ("cross_signals.py", own_strategies.FUNCTION),
        ("bad name.py", own_strategies.FUNCTION),
        ("taken.py", own_strategies.FUNCTION),
        ("TrendFollower.py", own_strategies.FUNCTION),
        ("_helper.py", "x = 1\n"),
        ("README.md", "mine\n"),
    ):
        (tmp_path / name).write_text(text)
    agents = with_folder(AgentsSettings(folder=tmp_path, own={"taken": "elsewhere:Class"}))
    assert set(agents.own) == {file.stem for file in files.values()} | {"taken"}
    assert agents.own["taken"] == "elsewhere:Class" and agents.own["cross_class"] == str(files["cross_class.py"])
    assert agents.external == {"fund": str(tmp_path / "fund.returns.csv")}
    said = folder_problems(agents)
    causes = {
        "broken.py": "line 1: is no Python: '(' was never closed",
        "nothing.py": "defines no strategy: expected a function positions",
        "both.py": "defines 2 strategies (function, entries)",
        "cross_signals.py": "another file gives the name cross_signals",
        "bad name.py": "'bad name' is no name for an agent",
        "TrendFollower.py": "an agent that comes with Quorum is named TrendFollower; rename the file",
        "taken.py": "the name taken is taken by elsewhere:Class (agents.own)",
    }
    assert len(said) == len(causes)
    for name, cause in causes.items():
        assert any(str(tmp_path / name) in line and cause in line for line in said), (name, said)


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    agents = with_folder(AgentsSettings(folder=tmp_path / "none"))
    assert agents.own == {} and folder_problems(agents) == ()


def test_a_worker_that_runs_no_pandas_does_not_import_it():
    code = "import sys, agents.adapters.workers.main; print(sorted({'pandas', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

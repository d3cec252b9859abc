"""Settings: every wrong key is one line with the key's name and what is allowed."""

from __future__ import annotations

import logging
import re
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from agents.core.clock import SimulatedClock, require_utc
from agents.core.errors import SettingsError
from agents.core.log import KeyValueFormatter, mask_secrets
from agents.core.settings import DataSettings, Settings, load_settings, with_changes
from agents.trading.registry import make_agents
from agents.wiring.calendar import bars_per_year
from agents.wiring.job_settings import tuning_of

ROOT = Path(__file__).resolve().parents[3]


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "quorum.toml"
    file.write_text(text)
    return load_settings(file)


WRONG = [
    (
        "[risk]\ngross_capp = 1",
        r"unknown key 'risk.gross_capp' \(did you mean gross_cap\?\); allowed here: allow_short",
    ),
    ("[riks]\ngross_cap = 1", r"unknown key 'riks' \(did you mean risk\?\)"),
    ("[risk]\ngross_cap = -1", r"key 'risk.gross_cap': must be greater than 0, got -1"),
    ("[risk]\ngross_cap = nan", r"key 'risk.gross_cap'"),
    (
        "[risk]\nreduce_drawdown = 0.5\nhalt_drawdown = 0.4",
        r"halt_drawdown \(0.4\) must be above reduce_drawdown \(0.5\)",
    ),
    ("[data]\ninterval = '7m'", r"key 'data.interval': must be '1m', '5m'"),
    ("[data]\ntimezone = 'Mars/Olympus'", r"key 'data.timezone': 'Mars/Olympus' is not an IANA time zone"),
    ("[data]\nsymbols = ['A B']", r"key 'data.symbols.0'"),
    ("[desk]\nbroker = 'binance'", r"key 'desk.broker': is not written as it must be"),
    ("[desk\n", r"not valid TOML"),
    ("risk = 3", r"key 'risk': must be a table of keys, got 3"),
    ("[risk.groups]\ntech = 'AAPL'", r"key 'risk.groups.tech': must be a list"),
    ("[risk]\nsymbol_cap = 'x'", r"key 'risk.symbol_cap': must be a number, got 'x'"),
    ("[agents]\nbreaker_failures = 1.5", r"key 'agents.breaker_failures': must be a whole number, got 1.5"),
    ("[agents]\ntimeout_s = 'long'", r"key 'agents.timeout_s'"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_settings_name_the_key(tmp_path, text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load(tmp_path, text)
    assert str(tmp_path) in str(caught.value)


def test_environment_overrides_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_RISK__GROSS_CAP", "0.7")
    settings = load(tmp_path, "[risk]\ngross_cap = 0.9\nsymbol_cap = 0.2")
    assert (settings.risk.gross_cap, settings.risk.symbol_cap) == (0.7, 0.2)


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("QUORUM_DATA__SYMBOLS", '["AA", "B"]', ("AA", "B")),
        ("QUORUM_AGENTS__STATIC_WEIGHTS", '{"Breakout": 0.5}', {"Breakout": 0.5, "TrendFollower": 1.0}),
        ("QUORUM_AGENTS", '{"static_weights": {"Breakout": 0.5}}', {"Breakout": 0.5, "TrendFollower": 1.0}),
        ("quorum_meta__own_process", "false", False),
    ],
)
def test_lists_and_tables_of_the_environment_are_json_and_join_those_of_the_file(
    tmp_path, monkeypatch, variable, value, shown
):
    monkeypatch.setenv(variable, value)
    settings = load(tmp_path, "[agents.static_weights]\nTrendFollower = 1.0\n")
    assert shown in (settings.data.symbols, settings.agents.static_weights, settings.meta.own_process)


def test_a_section_of_the_environment_comes_before_its_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_RISK__GROSS_CAP", "0.4")
    monkeypatch.setenv("QUORUM_RISK", '{"gross_cap": 0.5, "symbol_cap": 0.2}')
    settings = load(tmp_path, "[risk]\nreduce_drawdown = 0.1")
    assert (settings.risk.gross_cap, settings.risk.symbol_cap, settings.risk.reduce_drawdown) == (0.4, 0.2, 0.1)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("QUORUM_DATA__SYMBOLS", "AA,B", r"""key 'data.symbols': must be a list, such as \["A", "B"\], got 'AA,B'"""),
        ("QUORUM_RISK__GROSS_CAPP", "1", r"unknown key 'risk.gross_capp' \(did you mean gross_cap\?\)"),
        ("QUORUM_LOG_LEVEL__X", "1", "key 'log_level'"),
    ],
)
def test_a_wrong_value_in_the_environment_names_the_key(tmp_path, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^environment variable {variable}: {message}"):
        load(tmp_path, "")


def test_a_wrong_value_in_the_file_names_the_file_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_RISK__SYMBOL_CAP", "0.1")
    with pytest.raises(SettingsError, match=r"^/.*quorum.toml: key 'risk.gross_cap'"):
        load(tmp_path, '[risk]\ngross_cap = "x"')


@pytest.mark.parametrize("variable", ["QUORUM_RIKS__GROSS_CAP", "QUORUM_FOO"])
def test_an_unknown_variable_is_refused(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SettingsError, match=f"environment variable {variable} names no setting"):
        load(tmp_path, "")


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(SettingsError, match="no such settings file"):
        load_settings(tmp_path / "none.toml")


def test_an_unknown_agent_is_refused():
    with pytest.raises(SettingsError, match="no agent is named 'Oracle'; known are TechnicalAnalyst"):
        make_agents(["Oracle"])


def test_the_example_documents_every_key_with_its_default(tmp_path):
    """quorum.toml.example, comment marks off, is valid and equal to what a desk has without it, and no key is missing.
    Seen: it said that a desk may sell short where nothing is set, while the profile "stocks" says it may not."""
    text = (ROOT / "quorum.toml.example").read_text()
    live = "\n".join(re.sub(r"^# ?(?=[a-z_\"]+ *=|\[)", "", line) for line in text.splitlines())
    given = tomllib.loads(live)
    defaults = load(tmp_path, "").model_dump(mode="json")
    for section, values in defaults.items():
        if not isinstance(values, dict):
            assert section in given or section in ("state_dir", "database_url", "redis_url"), section
            continue
        for key, value in values.items():
            assert key in given[section], f"{section}.{key} is not documented"
            if not isinstance(value, (dict, list)):
                assert given[section][key] == value, f"{section}.{key}"


def test_secrets_are_masked():
    assert "geheim" not in mask_secrets("postgresql://u:geheim@host/db password=geheim token: geheim")
    record = logging.LogRecord("agents", logging.ERROR, "", 0, "cannot reach postgresql://u:geheim@h/d", (), None)
    record.facts = {"url": "redis://:geheim@h", "two": 'a "b" c'}
    line = KeyValueFormatter().format(record)
    assert "geheim" not in line
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=error logger=agents msg=", line)


def test_urls_do_not_show_in_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:geheim@h/d")
    assert "geheim" not in repr(load(tmp_path, ""))


def test_clocks_refuse_naive_and_past():
    with pytest.raises(ValueError, match="naive"):
        require_utc(datetime(2020, 1, 1), "x")  # noqa: DTZ001 - the naive one is the test
    clock = SimulatedClock(datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=5))))
    assert clock.now() == datetime(2020, 1, 1, 19, tzinfo=UTC)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance_to(datetime(2020, 1, 1, tzinfo=UTC))


def test_bars_per_year_of_calendars():
    assert bars_per_year(DataSettings()) == 252
    around = DataSettings(session_open="00:00", session_close="24:00", timezone="UTC", time_means="open")
    assert bars_per_year(around) == 365.25
    assert bars_per_year(around.model_copy(update={"interval": "1h"})) == 365.25 * 24
    assert bars_per_year(DataSettings(interval="30m", time_means="open")) == 252 * 13


def test_a_change_of_one_key_leaves_the_others_unset():
    """What nobody set keeps its meaning: tuning.cap, for one, widens by itself for few agents."""
    changed = with_changes(Settings(), {"tuning.step": 0.02})
    assert changed.tuning.model_fields_set == {"step"}
    limits = tuning_of(changed).limits
    assert (limits.cap, limits.floor, limits.step) == (None, None, 0.02)
    assert tuning_of(with_changes(changed, {"tuning.cap": 0.4})).limits.cap == 0.4

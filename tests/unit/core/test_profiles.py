"""A profile sets what the user has not set, and says so."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from agents.core.errors import SettingsError
from agents.core.profiles import MARKET_KEYS, OURS, PROFILES
from agents.core.settings import Settings, load_settings, with_changes
from agents.trading.registry import AGENTS
from agents.wiring.calendar import calendar_of
from agents.wiring.daemon import require_direction


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.delenv("QUORUM_SETTINGS", raising=False)

    def settings(text: str) -> Settings:
        file = tmp_path / "quorum.toml"
        file.write_text(text)
        return load_settings(file)

    return settings


def test_the_names_of_our_agents_are_those_of_the_table():
    assert tuple(AGENTS) == OURS
    assert all(make().name == name for name, make in AGENTS.items())


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_is_sound(name, written):
    """Its keys exist, its calendar is known, its agents are ours."""
    settings = written(f'[desk]\nprofile = "{name}"\n')
    assert set(PROFILES[name].settings) | {f"data.{key}" for key in PROFILES[name].market} <= set(settings.from_profile)
    calendar_of(settings.data)
    assert set(PROFILES[name].agents) <= set(AGENTS)
    assert settings.risk.allow_short is (name in ("futures", "crypto-perp"))
    assert set(PROFILES[name].market) <= set(MARKET_KEYS)


def test_stocks_are_the_default_but_for_their_calendar(written):
    """A desk that is older than profiles may hold bars of any market."""
    settings = written("")
    assert (settings.desk.profile, settings.risk.allow_short, settings.data.calendar) == ("stocks", False, "")
    assert written('[desk]\nprofile = "stocks"\n').data.calendar == "XNYS"


def test_what_the_user_sets_wins(written, monkeypatch):
    monkeypatch.setenv("QUORUM_EXECUTION__HALF_SPREAD_BPS", "7")
    settings = written('[desk]\nprofile = "crypto-spot"\n[risk]\nallow_short = true\n')
    assert (settings.risk.allow_short, settings.execution.half_spread_bps) == (True, 7.0)
    assert (settings.execution.commission_bps, settings.data.calendar, settings.data.timezone) == (10.0, "24/7", "UTC")
    assert not {"risk.allow_short", "execution.half_spread_bps"} & settings.from_profile.keys()
    assert with_changes(settings, {"tuning.step": 0.1}).from_profile == settings.from_profile


def test_one_key_of_the_market_is_the_whole_market(written):
    settings = written('[desk]\nprofile = "stocks"\n[data]\ntimezone = "Asia/Hong_Kong"\n')
    assert (settings.data.calendar, settings.data.timezone) == ("", "Asia/Hong_Kong")


def test_futures_leave_out_agents_of_stocks_and_coins_but_not_your_own(written):
    settings = written('[desk]\nprofile = "futures"\n[agents.own]\nMine = "mine:Mine"\n')
    assert {"Mine", "TrendFollower"} <= set(settings.agents.enabled)
    assert "OnChainAnalyst" not in settings.agents.enabled
    assert written('[desk]\nprofile = "futures"\n[agents]\nenabled = ["Breakout"]\n').agents.enabled == ("Breakout",)


def test_an_unknown_profile_names_the_known(written):
    with pytest.raises(SettingsError, match=r"desk.profile.*'stocks', 'crypto-spot', 'crypto-perp' or 'futures'"):
        written('[desk]\nprofile = "bonds"\n')


def test_a_desk_with_open_shorts_does_not_become_long_only_unasked(written):
    held = {"AAA": SimpleNamespace(quantity=Decimal(-5)), "BBB": SimpleNamespace(quantity=Decimal(7))}
    journal = SimpleNamespace(last=lambda: SimpleNamespace(positions=held))
    with pytest.raises(SettingsError, match=r"short positions \(AAA -5\).*risk.allow_short = true"):
        require_direction(written(""), journal)
    for said in ("true", "false"):
        require_direction(written(f"[risk]\nallow_short = {said}\n"), journal)
    require_direction(written('[desk]\nprofile = "futures"\n'), journal)
    require_direction(written(""), SimpleNamespace(last=lambda: None))


@pytest.mark.parametrize("text", ["", '[desk]\nprofile = "stocks"\n', '[desk]\nprofile = "futures"\n'])
def test_another_profile_by_a_change_is_that_of_a_file(written, text):
    """`--set desk.profile=crypto-spot` changed the name, and nothing of what the profile sets."""
    wanted = written('[desk]\nprofile = "crypto-spot"\n[execution]\nbuffer = 0.2\n')
    changed = with_changes(
        written(text + "[execution]\nbuffer = 0.2\n"), {"desk.profile": "crypto-spot", "tuning.step": 0.1}
    )
    assert changed.from_profile == wanted.from_profile
    assert changed == with_changes(wanted, {"tuning.step": 0.1})
    with pytest.raises(SettingsError, match=r"desk.profile"):
        with_changes(wanted, {"desk.profile": "bonds"})


def test_a_change_wins_over_the_profile_that_is_changed_to(written):
    changes = {"desk.profile": "crypto-spot", "execution.commission_bps": 3.0}
    changed = with_changes(written(""), changes)
    assert (changed.execution.commission_bps, changed.execution.minimum_commission) == (3.0, 0.0)

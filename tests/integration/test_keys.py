"""A key of an account from the terminal to the first order: never shown, kept for one user, checked for what it may do,
and used with real money only where a person said so. The program is real, the exchange made up."""

from __future__ import annotations

import json
import os
import pwd
import stat
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.core.clock import SystemClock
from agents.core.errors import SettingsError
from agents.core.settings import load_settings
from tests.conftest import SERVICES
from tests.exchange import KEY, SECRET, account_at, recorded
from tests.program import call
from tests.terminal import Terminal

CONNECT = ("connect", "binance", "--symbols", "BTC/USDT", "ETH/USDT")


@pytest.fixture
def exchange():
    market = recorded(SystemClock().now(), before=40, after=3)
    with FakeExchange(market, SystemClock()) as fake:
        fake.accounts = [account_at(market, "5000")]
        yield fake


@pytest.fixture
def environment(exchange, tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QUORUM_", "EXCHANGE_"))}
    place = {"QUORUM_DATA__EXCHANGE_URL": exchange.url, "QUORUM_DESK__BROKER_URL": exchange.url}
    return {**kept, **place, "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "200"}


def key_file(tmp_path, name="binance_sandbox_key.toml"):
    return tmp_path / "config" / "quorum" / name


def answers(terminal, key=KEY, secret=SECRET):
    terminal.expect(r"  key: ")
    terminal.type(key)
    terminal.expect(r"  secret: ")
    terminal.type(secret)


def test_a_key_is_typed_unseen_checked_and_kept_for_one_user(environment, tmp_path):
    terminal = Terminal(*CONNECT, "--trade", cwd=tmp_path, environment=environment)
    answers(terminal)
    terminal.expect(r"holds 5000 USDT. How much of it may the desk use\?")
    terminal.type("1000")
    terminal.expect(r"Keep the key in .*binance_sandbox_key.toml")
    terminal.type("yes")
    assert terminal.end() == 0, terminal.shown
    assert KEY not in terminal.shown and SECRET not in terminal.shown
    file = key_file(tmp_path)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    assert os.listdir(file.parent) == [file.name]
    written = load_settings(tmp_path / "quorum.toml").desk
    assert (written.broker, written.broker_mode, written.initial_cash) == ("ccxt:binance", "sandbox", 1000.0)
    again = call(*CONNECT, "--trade", "--json", cwd=tmp_path, environment=environment)
    account = json.loads(again.stdout)["account"]
    assert (account["may_trade"], account["may_withdraw"], account["held"]) == (True, False, "5000")
    told = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert told == [file]


def test_a_key_that_is_not_to_be_kept_is_not_and_the_ways_to_give_it_are_told(environment, tmp_path):
    terminal = Terminal(*CONNECT, "--trade", "--cash", "100", cwd=tmp_path, environment=environment)
    answers(terminal)
    terminal.expect("Type yes, or no")
    terminal.type("no")
    assert terminal.end() == 0
    assert not key_file(tmp_path).exists()
    assert "systemd a credential binance_sandbox_key.toml" in terminal.shown and "EXCHANGE_API_KEY" in terminal.shown


REFUSED = {
    "may withdraw": ({"read", "trade", "withdraw"}, KEY, SECRET, "may only read and trade, take this one back"),
    "may not trade": ({"read"}, KEY, SECRET, "the right to trade spot"),
    "unknown": ({"read", "trade"}, "another", SECRET, "refuses the key"),
    "another secret": ({"read", "trade"}, KEY, "another", "refuses the key"),
    "with a blank": ({"read", "trade"}, "two words", SECRET, "no key has; nothing was kept"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_key_that_will_not_do_is_refused_and_nothing_is_kept(exchange, environment, tmp_path, case):
    rights, key, secret, words = REFUSED[case]
    exchange.accounts[0].rights = frozenset(rights)
    terminal = Terminal(*CONNECT, "--trade", "--cash", "100", cwd=tmp_path, environment=environment)
    answers(terminal, key, secret)
    assert terminal.end() == 2, terminal.shown
    assert words in terminal.shown
    assert key not in terminal.shown and secret not in terminal.shown
    assert [path.name for path in tmp_path.rglob("*")] == []


def test_without_a_terminal_the_ways_to_give_a_key_are_told(environment, tmp_path):
    told = call(*CONNECT, "--trade", cwd=tmp_path, environment=environment, code=2)
    assert "asks for it at a terminal" in told.stderr and "systemd" in told.stderr
    given = {"EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET}
    told = call(*CONNECT, "--trade", cwd=tmp_path, environment=environment | given, code=2)
    assert "--cash AMOUNT (it holds 5000 USDT)" in told.stderr
    told = call(*CONNECT, "--trade", "--cash", "6000", cwd=tmp_path, environment=environment | given, code=2)
    assert "cannot use 6000" in told.stderr
    told = call(*CONNECT, "--trade", "live", "--cash", "60", cwd=tmp_path, environment=environment | given)
    assert "quorum trade --confirm" in told.stdout
    assert load_settings(tmp_path / "quorum.toml").desk.broker_mode == "live"


@pytest.mark.parametrize(("name", "there"), [("kraken", False), ("coinbase", False), ("binance", True), ("okx", True)])
def test_an_exchange_without_a_test_net_says_so(name, there):
    """Seen: "TypeError: 'NoneType' object is not iterable", ccxt's own."""
    key = AccountKey("a", "b", "c")
    if not there:
        with pytest.raises(SettingsError, match="has no test net"):
            PrivateAccount(name, key, SystemClock(), sandbox=True)
        return
    with closing(PrivateAccount(name, key, SystemClock(), sandbox=True)) as account:
        assert account._exchange.isSandboxModeEnabled


# ---------------------------------------------------------------- real money, and which account it is


@pytest.fixture
def desk(environment, database, redis_url, tmp_path, owner):
    """(what its settings say otherwise, SQL of its database) of a desk that is to trade real money."""
    url = make_url(SERVICES.database_url(database, "quorum_owner")).set(drivername="postgresql")
    call(*CONNECT, cwd=tmp_path, environment=environment)
    live = {"QUORUM_DESK__BROKER": "ccxt:binance", "QUORUM_DESK__BROKER_MODE": "live"}
    live |= {"EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET}
    servers = {"DATABASE_URL": url.render_as_string(hide_password=False), "REDIS_URL": redis_url}

    def sql(statement):
        with owner.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    return {**environment, **live, **servers, "QUORUM_DESK__INITIAL_CASH": "100"}, sql


ON_RECORD = "SELECT broker, mode, confirmed, confirmed_by, recorded_at > now() - interval '1 hour' FROM broker_accounts"


def test_real_money_is_confirmed_by_typing_so_and_remembered(desk, tmp_path):
    environment, sql = desk
    told = call("trade", cwd=tmp_path, environment=environment, code=2)
    line = told.stderr.splitlines()[-1]
    assert "which a person has to confirm" in line
    assert f"quorum trade --confirm --settings {tmp_path / 'quorum.toml'}" in line
    terminal = Terminal("trade", "--confirm", cwd=tmp_path, environment=environment)
    terminal.expect("Type exactly: real money at binance")
    terminal.type("yes")
    assert (terminal.end(), sql(ON_RECORD)) == (2, [])
    terminal = Terminal("trade", "--confirm", cwd=tmp_path, environment=environment)
    terminal.expect("Type exactly: real money at binance")
    terminal.type("real money at binance")
    assert terminal.end() == 0, terminal.shown
    person = pwd.getpwuid(os.getuid()).pw_name
    assert sql(ON_RECORD) == [("ccxt:binance", "live", "real money at binance", person, True)]
    told = call("trade", "--confirm", cwd=tmp_path, environment=environment)
    assert "orders go to ccxt:binance (live)" in told.stdout, "nobody is asked twice"


def test_a_key_that_got_more_rights_is_refused_at_the_start(desk, exchange, tmp_path):
    environment, sql = desk
    environment["QUORUM_DESK__BROKER_MODE"] = "sandbox"
    call("trade", "--confirm", cwd=tmp_path, environment=environment)
    exchange.accounts[0].rights = frozenset({"read", "trade", "withdraw"})
    told = call("trade", cwd=tmp_path, environment=environment, code=2)
    assert "quorum connect binance --trade --new-key" in told.stderr.splitlines()[-1]
    assert len(sql(ON_RECORD)) == 1


ANOTHER = "INSERT INTO broker_accounts (broker, mode, fingerprint, confirmed) VALUES ('{}', '{}', '{}', 'so')"
FINGERPRINT = AccountKey(KEY, SECRET).fingerprint
MIXED = {
    "a desk on paper": ("INSERT INTO desk_state (id, time, state) VALUES (1, '2026-01-01Z', '')", "traded on paper"),
    "a desk at the test net": (ANOTHER.format("ccxt:binance", "sandbox", FINGERPRINT), "(sandbox), the settings say"),
    "a desk at another exchange": (ANOTHER.format("ccxt:kraken", "live", FINGERPRINT), "trades at ccxt:kraken"),
    "another key": (ANOTHER.format("ccxt:binance", "live", "other"), "with another key than before"),
}


@pytest.mark.parametrize("case", MIXED)
def test_paper_test_net_and_real_money_are_never_mixed(desk, tmp_path, case):
    """The settings' account and the database's must be one."""
    environment, sql = desk
    statement, words = MIXED[case]
    sql(statement)
    before = sql(ON_RECORD)
    told = call("trade", cwd=tmp_path, environment=environment, code=2)
    assert words in told.stderr.splitlines()[-1]
    assert sql(ON_RECORD) == before


def test_a_desk_on_paper_does_not_take_up_one_at_an_exchange(desk, tmp_path):
    environment, sql = desk
    sql(ANOTHER.format("ccxt:binance", "live", FINGERPRINT))
    told = call("trade", cwd=tmp_path, environment=environment | {"QUORUM_DESK__BROKER": "paper"}, code=2)
    assert "a paper desk needs one of its own" in told.stderr

"""Settings files are changed in place: whatever way they are written, they then say what was asked, and what they said."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.settings_edit import edited
from agents.core.settings_file import merged

ROOT = Path(__file__).parents[3]
CHANGES = {
    "desk": {"profile": "crypto-spot"},
    "data": {"feed": "ccxt:binance", "symbols": ["BTC/USDT"], "poll_s": 1.0},
    "execution": {"lot_sizes": {"BTC/USDT": 0.00001}},
}
WAYS_TO_WRITE = {
    "nothing": "",
    "the example": (ROOT / "quorum.toml.example").read_text(),
    "no end of line": '[data]\nfeed = "folder"',
    "dotted": 'data.feed = "folder"  # why\ndata.timezone = "UTC"\nexecution.lot_sizes."A/B" = 3\n',
    "in one line": 'data = {feed = "folder", timezone = "UTC"}\nexecution.lot_sizes = {"A/B" = 1}\n',
    "tables apart": '[data.columns]\nclose = "L"\n[risk]\n[data]\ntimezone = "UTC"\nfeed = "folder"\n',
    "inner tables first": '[execution.lot_sizes]\n"BTC/USDT" = 1 # c\n[data]\npoll_s = 9\n[execution]\nimpact = 1\n',
    "lists in lines": '[data]\nsymbols = [ # all\n  "A", # the first\n]\ntimezone = "UTC"\n\n# end\n',
    "of another system": '[data]\r\nfeed = "folder" # c\r\n# d\r\n',
    "keys before tables": 'log_level = "info"\n',
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_every_way_to_write_settings_keeps_its_meaning(way):
    text = WAYS_TO_WRITE[way]
    values = tomllib.loads(text)
    values.get("data", {}).pop("timezone", None)
    written = edited(text, CHANGES, [("data", "timezone"), ("data", "calendar"), ("none", "such")])
    assert tomllib.loads(written) == merged(values, CHANGES)
    assert [line for line in text.splitlines() if line.startswith("#") and line not in written] == []
    assert edited(written, CHANGES) == written


PLAIN = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
NAMES = st.sampled_from(["data", "risk", "columns", "a b", "BTC/USDT", "é"])
TABLES = st.dictionaries(NAMES, st.recursive(PLAIN | st.lists(PLAIN), lambda inner: st.dictionaries(NAMES, inner)))


@given(TABLES, TABLES)
def test_what_was_written_can_be_changed_to_anything(before, changes):
    assert tomllib.loads(edited(edited("", before), changes)) == merged(before, changes)

"""A file's first bytes by their digests."""

from __future__ import annotations

import hashlib
import io

import pytest

from agents.adapters.files import file_prefix
from agents.adapters.files.file_prefix import FilePrefix, read_prefix

DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(file_prefix, "BLOCK_BYTES", 100)
    monkeypatch.setattr(file_prefix, "BLOCKS_IN_TURN", 3)


@pytest.mark.parametrize("cuts", [(0,), (100,), (1, 99, 100, 101, 250, 2000), (350, 3333)])
def test_pieces_give_the_digest_of_the_whole(cuts):
    prefix = FilePrefix()
    for start, end in zip((0, *cuts), (*cuts, len(DATA)), strict=True):
        longer = prefix.followed_by(DATA[start:end])
        assert prefix.sha256 == hashlib.sha256(DATA[:start]).hexdigest(), "the shorter one stays"
        prefix = longer
    assert (prefix.size, prefix.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    for whole in (True, False):
        assert prefix.begins(io.BytesIO(DATA + b"more"), whole=whole)
        assert not prefix.begins(io.BytesIO(DATA[:-1]), whole=whole)
    assert read_prefix(io.BytesIO(DATA), len(DATA)).sha256 == prefix.sha256
    assert read_prefix(io.BytesIO(DATA), 10**9).size == len(DATA)


def test_a_byte_that_moved_is_seen_at_once():
    prefix = read_prefix(io.BytesIO(DATA), 5000)
    for place in (0, 150, 2500, 4999):
        assert not prefix.begins(io.BytesIO(DATA[:place] + b"\xaa" + DATA[place:]), whole=False), place


def test_a_byte_that_was_exchanged_is_seen_within_a_round_and_at_once_where_all_is_looked_at():
    changed = DATA[:2550] + b"\x00" + DATA[2551:]
    prefix = read_prefix(io.BytesIO(DATA), 5050)
    assert not prefix.begins(io.BytesIO(changed), whole=True)
    looks = [prefix.begins(io.BytesIO(changed), whole=False) for _ in range(17)]  # 50 blocks, three at each look
    assert looks.count(False) == 1

"""The spool keeps every fact whose writing ended, and believes no other, wherever a write was cut off."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.adapters.services import spool_file
from agents.adapters.services.spool_file import MOST_LINES, SpoolFile
from agents.core.errors import DataError, ServiceError
from agents.core.exits import book_of, intent_of
from agents.core.orders import Order

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def facts(count: int) -> list[dict[str, str]]:
    return [{"fact": "word", "at": AT.isoformat(), "reason": f"größer \n {n}"} for n in range(count)]


def written(path, count: int) -> bytes:
    spool = SpoolFile(path)
    for fact in facts(count):
        spool.append(fact)
    return path.read_bytes()


def test_cut_off_at_every_byte_the_whole_lines_are_read_and_the_next_one_follows(tmp_path):
    path = tmp_path / "exits" / "d.spool"
    whole = written(path, 4)
    ends = [n + 1 for n, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert SpoolFile(path).facts() == facts(4)[:kept], cut
        SpoolFile(path).append({"fact": "after"})
        assert SpoolFile(path).facts() == [*facts(4)[:kept], {"fact": "after"}], cut
        assert path.read_bytes().endswith(b"\n"), "nothing is left of what was cut off"


def test_every_changed_byte_is_seen_and_the_line_is_named(tmp_path):
    path = tmp_path / "d.spool"
    whole = written(path, 3)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        line = whole[:place].count(b"\n") + 1
        if place == len(whole) - 1:  # the end of the last line: as if it had been cut off
            assert SpoolFile(path).facts() == facts(2)
            continue
        with pytest.raises(DataError, match=rf"{path}.* in line {line};"):
            SpoolFile(path).facts()
        with pytest.raises(DataError):
            SpoolFile(path).append({"fact": "after"})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lines_that_are_missing_double_or_in_another_order_are_seen(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("spool") / "d.spool"
    lines = written(path, 5).splitlines(keepends=True)
    chosen = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    path.write_bytes(b"".join(lines[n] for n in chosen))
    if chosen == list(range(len(chosen))):
        assert SpoolFile(path).facts() == facts(5)[: len(chosen)]
    else:
        with pytest.raises(DataError, match="changed or damaged"):
            SpoolFile(path).facts()


def test_it_is_on_disk_before_it_counts_and_its_name_with_the_first_line(tmp_path, monkeypatch):
    synced: list[str] = []
    real = spool_file.os.fsync
    monkeypatch.setattr(
        spool_file.os, "fsync", lambda n: (synced.append(spool_file.os.readlink(f"/proc/self/fd/{n}")), real(n))
    )
    path = tmp_path / "exits" / "d.spool"
    written(path, 2)
    assert synced == [str(path), str(path.parent), str(path)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_end_is_told_once(tmp_path, caplog):
    path = tmp_path / "d.spool"
    path.write_bytes(written(path, 2)[:-3])
    caplog.set_level(logging.WARNING)
    spool = SpoolFile(path)
    for _ in range(3):
        spool.facts()
    assert [r.getMessage() for r in caplog.records] == ["the last line of the spool has no end and says nothing"]


def test_it_is_bounded_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_file, "MOST_LINES", 5)
    path = tmp_path / "d.spool"
    written(path, 5)
    spool = SpoolFile(path)
    spool.facts()
    assert spool.room == 0
    with pytest.raises(ServiceError, match=r"is full \(5 lines\); nothing more is sent"):
        spool.append({"fact": "more"})
    assert spool.facts() == facts(5)
    assert MOST_LINES == 1000


def test_what_is_on_record_is_kept_beside_it_and_the_oldest_go(tmp_path):
    path = tmp_path / "d.spool"
    for day in range(1, 26):
        written(path, 1)
        SpoolFile(path).put_aside(AT.replace(day=day))
        assert not path.exists()
    kept = sorted(file.name for file in tmp_path.iterdir())
    assert len(kept) == 20 and kept[0] == "d-20260306T120000000000Z.spool"


def test_a_file_that_is_a_link_is_not_written_through(tmp_path):
    target = tmp_path / "elsewhere"
    (tmp_path / "d.spool").symlink_to(target)
    with pytest.raises(ServiceError, match="cannot be written"):
        SpoolFile(tmp_path / "d.spool").append({"fact": "x"})
    assert not target.exists()


def test_a_disk_that_is_full_lets_nothing_follow_and_the_next_line_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "d.spool"
    written(path, 2)
    real = spool_file.os.pwrite

    def full(file, line, place):
        real(file, line[:7], place)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(spool_file.os, "pwrite", full)
        with pytest.raises(ServiceError, match="cannot be written: No space left"):
            SpoolFile(path).append({"fact": "x"})
    assert SpoolFile(path).facts() == facts(2)
    SpoolFile(path).append({"fact": "x"})
    assert SpoolFile(path).facts() == [*facts(2), {"fact": "x"}]


# ---------------------------------------------------------------- what the facts say


def test_facts_that_make_no_sense_are_refused():
    order = Order(client_order_id="a", decision_time=AT, symbol="BTC/USDT", side="sell", quantity=1, kind="exit")
    desk = {"fact": "desk", "at": AT.isoformat(), "desk": "t"}
    word, intent = facts(1)[0], intent_of(order, AT, "why")
    book = book_of([desk, word, intent])
    assert book is not None and book.exits[0].order == order and book.open_exit("BTC/USDT") == book.exits[0]
    at = AT.isoformat()
    for wrong in (
        {"fact": "outcome", "at": at, "order": "b", "state": "acked"},
        {"fact": "outcome", "at": at, "order": "a", "state": "well"},
        {"fact": "sold", "at": at, "order": "a", "state": "acked"},
        {**intent, "side": "up"},
        {**intent, "quantity": "-1"},
        {**intent, "quantity": "many"},
        {"fact": "sending", "order": "a"},
    ):
        with pytest.raises(DataError, match="fact 4 of the spool makes no sense"):
            book_of([desk, word, intent, wrong])
    with pytest.raises(DataError, match="fact 1"):
        book_of([word])
    assert book_of([]) is None

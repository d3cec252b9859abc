"""G: what a folder of files can do to a desk. Each case feeds the same bars as the control, with something wrong among
them; the record must be the control's, and what was wrong is in the quarantine or in one line of the log."""

from __future__ import annotations

import gzip
import os
import random
import time

from tests.board.cases import Run, case
from tests.board.oracles import equals, record, sound
from tests.board.scenes import BARS_IN_ALL, control, equities, finish
from tests.board.world import BARS, csv_rows
from tests.faults import stopped_server

LAST = BARS_IN_ALL
HEADER = "symbol,time,open,high,low,close,volume\n"


def quarantined(run: Run) -> int:
    return int(run.desk.scalar("SELECT count(*) FROM bar_quarantine"))


def in_the_middle(run: Run, rows: list[str]) -> None:
    """Wrong rows between good ones: each is quarantined, and the record is the control's."""
    run.desk.feed(0, 60)
    run.desk.append("".join(rows))
    run.desk.feed(60, LAST)
    run.desk.start()
    finish(run)
    bad = quarantined(run)
    run.proof(f"{bad} rows in quarantine of {len(rows)}")
    assert bad >= len(rows), f"{bad} of {len(rows)} rows are in the quarantine"
    equals(run.desk, control(run.world))


@case("G01", 1, "prices that are NaN, inf, 0, negative, 1e400", "quarantined; the record is the control's", quick=True)
def _(run: Run) -> None:
    day = str(BARS.time[60])[:10]
    prices = ("nan,1,1,1", "inf,inf,1,1", "0,0,0,0", "-1,1,-1,1", "1e400,1e400,1,1", "5,4,6,5", ",,,", "1,1,1,1.5")
    in_the_middle(run, [f"S0,{day},{price},1000\n" for price in prices])


@case(
    "G02",
    1,
    "one price ten times too high, one ten times too low",
    "suspect, never a reference; equity stays the control's",
)
def _(run: Run) -> None:
    desk, rng = run.desk, random.Random(run.seed)
    wrong = sorted(rng.sample(range(30, 100), 2))
    rows = csv_rows(BARS, 0, LAST)
    for k, t in enumerate(wrong):
        values = rows[2 * t].rstrip("\n").split(",")
        factor = 10.0 if k else 0.1
        rows[2 * t] = ",".join([*values[:2], *(repr(float(v) * factor) for v in values[2:6]), values[6]]) + "\n"
    desk.append("".join(rows))
    desk.start()
    finish(run)
    run.proof(f"bars {wrong} of S0 wrong by 10")
    mine, theirs = equities(record(desk)), equities(control(run.world))
    astray = [abs(a / b - 1.0) for a, b in zip(mine, theirs, strict=True)]
    worst = max(range(len(astray)), key=astray.__getitem__)
    assert astray[worst] < 0.05, f"{mine[worst]:,.0f} at bar {worst}, the control {theirs[worst]:,.0f}"
    states = desk.rows("SELECT time, risk_state FROM decisions WHERE risk_state <> 'active'")
    assert not states, f"a wrong price led to {states[0]}"


@case(
    "G03", 1, "a file that is cut in the middle of a row, then goes on", "no bar out of half a row", seeds=3, quick=True
)
def _(run: Run) -> None:
    desk, rng = run.desk, random.Random(run.seed)
    text = HEADER + "".join(csv_rows(BARS, 0, LAST))
    file = desk.folder / "bars" / "all.csv"
    desk.start()
    at = 0
    cuts = sorted({rng.randrange(1, len(text)) for _ in range(12)} | {len(text)})
    for cut in cuts:
        with file.open("a") as stream:
            stream.write(text[at:cut])
        at = cut
        time.sleep(0.25)
    run.proof(f"written in {len(cuts)} pieces")
    finish(run)
    equals(desk, control(run.world))
    assert quarantined(run) == 0, "a piece of a row was read as one"


@case(
    "G04",
    2,
    "files that are no bar files: binary, UTF-16, empty, gzip bomb, a folder, a dangling link, a pipe",
    "one line each; the rest loads",
)
def _(run: Run) -> None:
    desk, bars = run.desk, run.desk.folder / "bars"
    desk.feed(0, LAST)
    (bars / "a_binary.csv").write_bytes(bytes(range(256)) * 40)
    (bars / "b_utf16.csv").write_text(HEADER + "".join(csv_rows(BARS, 0, 3)), encoding="utf-16")
    (bars / "c_empty.csv").write_text("")
    (bars / "d_header.csv").write_text(HEADER)
    (bars / "e_bomb.csv.gz").write_bytes(gzip.compress(b"0" * 300_000_000, 9))
    (bars / "f_folder.csv").mkdir()
    (bars / "g_link.csv").symlink_to("nowhere.csv")
    (bars / "h.parquet").write_bytes(b"PAR1 no more")
    (bars / "i_short.csv").write_text(HEADER + "S0,2001-01-05\nS0,2001-01-06,1,2,3,4,5,6,7,8\n")
    (bars / "j_nul.csv").write_bytes(HEADER.encode() + b"S0,2001-01-05,1\x00,1,1,1,1\n")
    os.mkfifo(bars / "k_pipe.csv")
    desk.start()
    finish(run)
    run.proof("eleven strange files")
    equals(desk, control(run.world))
    lines = [line for line in desk.said().splitlines() if "a_binary.csv" in line]
    assert 1 <= len(lines) <= 3, f"{len(lines)} lines about one file"


@case("G05", 2, "symbols that are formulas, HTML, SQL, escape codes, empty", "refused or kept as text; no other harm")
def _(run: Run) -> None:
    day = str(BARS.time[60])[:10]
    names = ("=cmd()", "<b>x</b>", "'; DROP TABLE bars; --", "\x1b[31mred", "", "a" * 100, "😀")
    in_the_middle(run, [f'"{name}",{day},1,1,1,1,1\n' for name in names])


@case("G06", 1, "the same bars again, equal and different", "equal ones ignored, the first kept, the other shown")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(60)
    desk.feed(40, 60)
    values = csv_rows(BARS, 50, 51, ("S0",))[0].rstrip("\n").split(",")
    desk.append(",".join([*values[:5], repr(float(values[5]) * 1.0001), values[6]]) + "\n")
    desk.feed(60, LAST)
    finish(run)
    shown = quarantined(run) + int(desk.scalar("SELECT count(*) FROM bar_corrections"))
    run.proof(f"40 equal rows, 1 other; {shown} shown")
    assert shown == 1, f"{shown} rows are shown as different"
    equals(desk, control(run.world))


@case("G07", 1, "rows in any order within a file", "as sorted", seeds=2)
def _(run: Run) -> None:
    rows = csv_rows(BARS, 0, LAST)
    random.Random(run.seed).shuffle(rows)
    run.desk.append("".join(rows))
    run.proof("shuffled")
    run.desk.start()
    finish(run)
    equals(run.desk, control(run.world))


@case(
    "G14",
    1,
    "one file for each symbol, the second written some seconds after the first, bar after bar",
    "decides on both",
    seeds=1,
    quick=True,
)
def _(run: Run) -> None:
    desk, rng = run.desk, random.Random(run.seed)
    desk.set(data__complete_within_s="30.0")
    for symbol in BARS.symbols:
        desk.feed(0, 90, f"{symbol}.csv", (symbol,))
    desk.start()
    desk.wait(90)
    for t in range(90, LAST):
        first, second = rng.sample(BARS.symbols, 2)
        desk.feed(t, t + 1, f"{first}.csv", (first,))
        time.sleep(rng.uniform(0.1, 0.5))
        desk.feed(t, t + 1, f"{second}.csv", (second,))
    run.proof("20 bars in two pieces each")
    finish(run)
    equals(desk, control(run.world))


@case("G15", 1, "a file replaced by a full download with longer numbers", "no phantom symbol, no bar lost")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(60)
    file = desk.folder / "bars" / "all.csv"
    longer = file.with_suffix(".new")
    rows = csv_rows(BARS, 0, LAST)
    longer.write_text(
        HEADER + "".join(row.replace("\n", "0000000\n") if "." in row.rsplit(",", 1)[1] else row for row in rows)
    )
    longer.replace(file)
    run.proof("replaced")
    finish(run)
    assert desk.scalar("SELECT count(DISTINCT symbol) FROM bars") == 2, desk.rows("SELECT DISTINCT symbol FROM bars")
    equals(desk, control(run.world))


@case("G16", 2, "the database away while a file is read", "read again, once")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(60)
    with stopped_server(run.world.services):
        desk.feed(60, LAST)
        time.sleep(1.5)
        run.proof("rows appended while the server was down")
    finish(run)
    sound(desk)
    assert desk.scalar("SELECT count(*) FROM bars") == 2 * LAST

"""D: Redis frozen, killed, full of rubbish, old, or somebody else's. Weights are the database's or the settings', never
a mixture and never rubbish, and the same orders leave."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import redis
from sqlalchemy.engine import make_url

from agents.core.weight_sets import from_text, to_text
from tests.board.cases import Run, case
from tests.board.oracles import equals, sound
from tests.board.scenes import BARS_IN_ALL, control, finish
from tests.board.world import Desk, World
from tests.fault_proxy import proxied
from tests.faults import frozen_redis, kill_redis, kill_server

LAST = BARS_IN_ALL


def key_of(desk: Desk) -> str:
    """Where the copy of a desk's weights is in Redis."""
    return f"{make_url(desk.url).database}:t:weights"


def published(desk: Desk) -> redis.Redis:
    """A desk that has traded 60 bars, whose weights are published and copied to Redis."""
    desk.set(agents__weights_refresh_s="0.2")
    desk.feed(0, 60)
    desk.start()
    desk.wait(60)
    desk.command("meta", "--once", "--only", "weight_optimizer")
    client = redis.Redis.from_url(desk.redis_url)
    assert client.get(key_of(desk)), "the optimizer put no copy into Redis"
    return client


@cache
def undisturbed(world: World) -> int:
    """How many orders such a desk gives until the end where nothing happens to its Redis."""
    with world.servers.database() as database:
        desk = Desk(world, Path(tempfile.mkdtemp(prefix="board-control-")), database)
        try:
            published(desk).close()
            desk.feed(60, LAST)
            desk.wait(LAST)
            assert desk.trading is not None
            assert desk.trading.stop() == 0
            sound(desk)
            return int(desk.scalar("SELECT count(*) FROM orders"))
        finally:
            desk.close()


def whole(run: Run) -> None:
    """The desk reaches the end; every decision used one published set, whole, or the equal weights before it."""
    finish(run)
    sets = run.desk.rows("SELECT weights_version, count(DISTINCT weights::text) FROM decisions GROUP BY 1")
    assert all(count == 1 for _, count in sets), f"O5: several sets under one version: {sets}"
    known = {version for (version,) in run.desk.rows("SELECT version FROM v_weight_changes UNION SELECT 0")}
    assert {version for version, _ in sets} <= known, f"O5: versions {sets} that nobody published"
    mine, theirs = int(run.desk.scalar("SELECT count(*) FROM orders")), undisturbed(run.world)
    assert mine == theirs, f"{mine} orders, the control has {theirs}"


@case("D01", 3, "Redis killed and started again", "weights come from the database meanwhile")
def _(run: Run) -> None:
    published(run.desk).close()
    kill_redis(run.world.services)
    run.desk.feed(60, 80)
    run.desk.wait(80)
    run.proof("Redis killed")
    levels = {level for (level,) in run.desk.rows("SELECT weights_level FROM decisions WHERE weights_version > 0")}
    assert "database" in levels, f"levels {levels}"
    run.world.mend()
    run.desk.feed(80, LAST)
    whole(run)


@case("D02", 2, "Redis frozen", "a decision is at most 0.5 s slower", quick=True)
def _(run: Run) -> None:
    published(run.desk).close()
    with frozen_redis(run.world.services):
        begun = time.monotonic()
        run.desk.feed(60, 80)
        run.desk.wait(80)
        took = time.monotonic() - begun
        run.proof(f"frozen; 20 decisions in {took:.1f} s")
        assert took < 20 * 0.5, f"{took:.1f} s for 20 decisions"
    run.desk.feed(80, LAST)
    whole(run)


def _with_content(run: Run, contents: list[bytes | Callable[[dict], object]]) -> None:
    """One after the other in place of the copy, each seen by some decisions."""
    client, key = published(run.desk), key_of(run.desk)
    good = json.loads(client.get(key))
    fed = 60
    for content in contents:
        value = content(json.loads(json.dumps(good))) if callable(content) else content
        client.set(key, value if isinstance(value, bytes) else json.dumps(value))
        client.publish(f"{key}:announce", "9")
        run.desk.feed(fed, fed + 3)
        fed += 3
        time.sleep(0.25)
        run.desk.wait(fed)
    run.proof(f"{len(contents)} wrong contents")
    client.close()
    run.desk.feed(fed, LAST)
    whole(run)


@case(
    "D03",
    1,
    "rubbish in Redis: no JSON, empty, wrong type, 10 MB, not UTF-8",
    "refused, weights of the database",
    quick=True,
)
def _(run: Run) -> None:
    _with_content(
        run,
        [
            b"no json",
            b"",
            b"[]",
            b"x" * 10_000_000,
            b"\xff\xfe\x00",
            b"9" * 5000,
            b'{"version": ' + b"9" * 5000 + b"}",
            b"[" * 100_000,
        ],
    )


@case("D04", 1, "weights that are NaN, negative, sum to 1.7, of unknown agents, missing, texts", "refused as a whole")
def _(run: Run) -> None:
    rng = random.Random(run.seed)

    def with_weights(change: Callable[[dict], dict]) -> Callable[[dict], object]:
        return lambda body: {**body, "weights": change(body["weights"])}

    def one(value: object) -> Callable[[dict], dict]:
        return lambda weights: {**weights, rng.choice(sorted(weights)): value}

    _with_content(
        run,
        [
            with_weights(one("NaN")),
            with_weights(one("Infinity")),
            with_weights(one("-0.2")),
            with_weights(one("1e-400")),
            with_weights(one("much")),
            with_weights(lambda weights: {**weights, "Nobody": "0.1"}),
            with_weights(lambda weights: dict(list(weights.items())[1:])),
            with_weights(lambda weights: dict.fromkeys(weights, "0.3")),
            lambda body: {**body, "version": 999},
            lambda body: {**body, "valid_until": "2001-01-01T00:00:00"},
        ],
    )


@case("D05", 1, "an older version comes back into Redis, as from an old dump", "the database's newer version wins")
def _(run: Run) -> None:
    client, key = published(run.desk), key_of(run.desk)
    old = client.get(key)
    run.desk.command("weights", "revert", "1", "--reason", "board")
    newest = run.desk.scalar("SELECT max(version) FROM weight_history")
    client.set(key, old)
    run.desk.feed(60, LAST)
    finish(run)
    used = run.desk.scalar("SELECT weights_version FROM decisions ORDER BY time DESC LIMIT 1")
    run.proof(f"version {json.loads(old)['version']} in Redis, {newest} in the database, {used} used")
    assert used == newest, f"version {used} was used"
    client.close()


@case("D07", 2, "Redis answers with another key's content", "refused: the copy carries its own key")
def _(run: Run) -> None:
    _with_content(run, [lambda body: {**body, "key": "quorum:other:weights"}])


@case(
    "D08", 3, "Redis refuses to write and to read (read-only, out of memory)", "weights of the database; no daemon ends"
)
def _(run: Run) -> None:
    client = published(run.desk)
    client.config_set("maxmemory", "1")
    client.config_set("min-replicas-to-write", "3")
    run.proof("maxmemory 1, writes refused")
    try:
        run.desk.feed(60, 80)
        run.desk.wait(80)
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("min-replicas-to-write", "0")
        client.close()
    run.desk.feed(80, LAST)
    whole(run)


@case("D09", 3, "Redis is emptied", "a miss, then the database")
def _(run: Run) -> None:
    client = published(run.desk)
    client.flushall()
    run.proof("FLUSHALL")
    client.close()
    run.desk.feed(60, LAST)
    whole(run)


@case("D11", 2, "half of a new copy arrives, or weights of two versions mixed", "one version, whole; never a mixture")
def _(run: Run) -> None:
    desk = run.desk
    client, key = published(run.desk), key_of(run.desk)
    old = client.get(key)
    place = desk.folder / "redis.sock"
    with proxied(place, run.world.services.run / "redis.sock") as proxy:
        proxy.literal, proxy.mode = b"PUBLISH", "cut_half"
        direct, desk.environment["REDIS_URL"] = desk.environment["REDIS_URL"], f"unix://{place}"
        desk.command("weights", "revert", "1", "--reason", "board")
        desk.environment["REDIS_URL"] = direct
        run.proof(f"{proxy.dropped} copies cut in the middle")
        assert proxy.dropped, "the copy was never on its way"
    newest = desk.scalar("SELECT max(version) FROM weight_history")
    assert newest > json.loads(old)["version"], "no new version"
    assert client.get(key) == old, "half a copy is there"
    desk.feed(60, 70)
    desk.wait(70)
    mixed = from_text(old, key)
    first, *_, last = names = sorted(mixed.weights)
    step = Decimal("0.05")
    weights = {**mixed.weights, first: mixed.weights[first] + step, last: mixed.weights[last] - step}
    client.set(key, to_text(replace(mixed, version=newest, weights=weights), key))  # whole, sound, and nobody's
    client.publish(f"{key}:announce", str(newest))
    run.proof(f"2 of {len(names)} weights of another version")
    desk.feed(70, LAST)
    whole(run)
    used = desk.scalar("SELECT weights_version FROM decisions ORDER BY time DESC LIMIT 1")
    assert used == newest, f"version {used} was used, {newest} is in force"
    client.close()


@case("D10", 2, "Redis and the database both killed", "no decision without its record; goes on by itself")
def _(run: Run) -> None:
    run.desk.feed(0, 60)
    run.desk.start()
    run.desk.wait(60)
    kill_redis(run.world.services)
    kill_server(run.world.services)
    run.proof("both killed")
    run.desk.feed(60, 80)
    time.sleep(2.0)
    run.world.mend()
    run.desk.feed(80, LAST)
    finish(run)
    equals(run.desk, control(run.world))

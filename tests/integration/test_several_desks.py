"""Several desks on one machine and one server: none touches what is another's."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from agents.adapters.database.bars_store import BarsStore
from agents.core.settings import load_settings
from agents.wiring.connections import connect
from agents.wiring.weights import weight_cache
from tests.market import batch_of, make_bars
from tests.program import call
from tests.twins import MemoryWeightStore

ROOT = Path(__file__).resolve().parents[2]
AT = datetime.fromisoformat("2024-01-02T21:00:00+00:00")
NAMES = ("one", "two-b")


@pytest.fixture
def desks(services, tmp_path, monkeypatch):
    """Two desks, made as a person makes them, on the tests' servers; their connections by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUORUM_STATE_DIR", str(services.root))
    for name in NAMES:
        call("desk", "new", name, cwd=tmp_path, environment=dict(os.environ))
    opened = {}
    for name in NAMES:
        settings = load_settings(Path(f"desks/{name}.toml"))
        opened[name] = settings, connect(settings, demo=False, say=lambda _line: None)
    yield opened
    for settings, connections in opened.values():
        connections.close()
        services.drop_database(settings.database.name)


def test_bars_and_weights_of_one_are_not_the_others(desks):
    (ours, here), (theirs, there) = desks.values()
    assert (here.database, there.database) == ("quorum_one", "quorum_two_b")
    BarsStore(here.trader).load(batch_of(make_bars(5, 2)))
    assert BarsStore(here.trader).symbols() and not BarsStore(there.trader).symbols()
    # even where both have one name
    caches = [weight_cache(ours, here), weight_cache(theirs.model_copy(update={"desk": ours.desk}), there)]
    weights = MemoryWeightStore().publish({"A": 1.0}, at=AT, method="equal", reason="start")
    assert caches[0].write(weights)
    assert caches[0].read().weights == weights.weights
    assert caches[1].read() is None
    for cache in caches:
        cache.close()


def test_each_is_listed_with_what_it_did(desks, tmp_path):
    listed = json.loads(call("desk", "--json", cwd=tmp_path, environment=dict(os.environ)).stdout)
    assert [(row["name"], row["database"]) for row in listed] == [
        ("desk", "quorum"),
        ("one", "quorum_one"),
        ("two-b", "quorum_two_b"),
    ]
    assert [row["state"] for row in listed[1:]] == ["never traded"] * 2
    (tmp_path / "desks" / "wrong.toml").write_text("[desk]\nnmae = 'x'\n")
    shown = call("desk", cwd=tmp_path, environment=dict(os.environ)).stdout
    assert "unknown key 'desk.nmae'" in " ".join(shown.split()), "one that is wrong hides the others"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("desk", "new", "one"), "desks/one.toml is there already"),
        (("desk", "new", "two_b"), "the desk two-b has the database quorum_two_b"),
        (("desk", "new", "Big"), "'Big' is no name for a desk"),
        (("desk", "new", "../x"), "'../x' is no name for a desk"),
        (("status", "--desk", "six"), "there is no desks/six.toml; make it: quorum desk new six"),
        (("status", "--desk", "one", "--settings", "desks/one.toml"), "not allowed with argument"),
    ],
)
def test_what_is_refused_is_one_line(desks, tmp_path, words, said):
    refused = call(*words, cwd=tmp_path, environment=dict(os.environ), code=2)
    assert said in refused.stderr and len(refused.stderr.strip().splitlines()) == 1


def test_the_units_of_a_desk_name_it(tmp_path):
    printed = subprocess.run(
        ["bash", str(ROOT / "scripts/install_systemd.sh"), "print", "user"], capture_output=True, text=True, check=True
    ).stdout
    assert "quorum trade --desk %i\n" in printed
    assert "quorum meta --desk %i\n" in printed
    assert "quorum web --desk %i\n" in printed
    assert printed.count("OnFailure=quorum-failed@%n.service") == 7


def test_a_new_desk_is_on_the_embedded_server_of_the_first(tmp_path):
    """Seen: where the first one's settings name a folder, the second started servers of its own in the usual place."""
    (tmp_path / "quorum.toml").write_text('state_dir = "servers"\n')
    environment = {name: value for name, value in os.environ.items() if name != "QUORUM_STATE_DIR"}
    call("desk", "new", "three", cwd=tmp_path, environment=environment)
    assert load_settings(tmp_path / "desks" / "three.toml").state_dir == tmp_path / "servers"

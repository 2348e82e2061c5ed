"""The accelerators of a local site: who holds which."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine_bench import POOL, Bench, local_bench
from tieline.control.ports import Engine, RunOrder


@pytest.fixture
def bench(tmp_path: Path, eventually: Callable[[Callable[[], object]], None]) -> Bench:
    """Give a site under the local engine."""
    return local_bench(tmp_path, eventually)


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    """Give an engine on the bench; end what is left."""
    engine = bench.open()
    yield engine
    tokens = list(engine.observe())
    for token in tokens:
        engine.cancel(token)
    bench.ended(engine, *tokens)
    engine.close()


def order(command: str, run: str, count: int = 1) -> RunOrder:
    """Give an order of one tenant for the first pool."""
    return RunOrder(run, run.partition(".")[0], "lab-a", POOL, count, command)


def test_accelerators_are_never_shared(bench: Bench, engine: Engine) -> None:
    """Live runs hold different accelerators of their pool, on one node where they fit on one."""
    show = "echo $TIELINE_ACCELERATORS > $TIELINE_TOKEN.tmp; mv $TIELINE_TOKEN.tmp $TIELINE_TOKEN"
    counts = {"a.1": 3, "b.1": 8, "c.1": 5}
    for token, count in counts.items():
        engine.submit(order(f"{show}; sleep 100", token, count))
    bench.eventually(lambda: all(bench.exists(token)() for token in counts))
    engine.submit(order("touch ran", "d.1"))
    assert bench.ended(engine, "d.1")[0].detail == (
        f"{POOL} has 0 accelerators free, 1 are needed; waited 0.3 s, nothing has run"
    )
    assert not (bench.output / "ran").exists()
    held = {
        token: [int(slot) for slot in (bench.output / token).read_text().split(",")]
        for token in counts
    }
    assert {token: len(slots) for token, slots in held.items()} == counts
    assert sorted(slot for slots in held.values() for slot in slots) == list(range(16))
    assert {token: len({slot // 8 for slot in slots}) for token, slots in held.items()} == {
        "a.1": 1,
        "b.1": 1,
        "c.1": 1,
    }

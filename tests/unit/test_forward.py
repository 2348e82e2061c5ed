"""Questions to a control plane that does not lead: passed on, once, and answered in time."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from loop_bench import EAST, Bench, job, network
from tieline.files.access import AccessRules
from tieline.files.fit import Offer
from tieline.model.errors import InputError
from tieline.service.access.rules import Role
from tieline.service.access.tokens import Wanted
from tieline.service.api.app import create_app
from tieline.service.api.forward import PASSED_ON, add_forwarding
from tieline.service.api.server import server
from tieline.service.control_plane import ControlPlane
from tieline.store import open_store


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a loop that leads in fact, over two healthy sites; the store knows no leader yet."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    bench.tick(2)
    yield bench
    bench.loop.close()
    store.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application until the block ends; give its address."""
    door = socket.create_server(("127.0.0.1", 0))
    running = server(app)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(10)
        door.close()


@contextmanager
def standby(bench: Bench, access: AccessRules | None = None) -> Iterator[httpx.Client]:
    """Give a client of a control plane on the same store that does not lead."""
    plane = ControlPlane(offer=Offer(network()), store=bench.store, clock=bench, loop=lambda: None)
    app = create_app(plane, access=access)
    add_forwarding(app, plane)
    with served(app) as url, httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client:
        yield client


def lead(bench: Bench, url: str, *, lease_s: float = 60.0) -> None:
    """Let the store say who leads."""
    assert bench.store.lead("the leader", url, lease_s=lease_s)


def test_what_only_the_leader_knows_is_answered_by_it(bench: Bench) -> None:
    """Pools, prices, sites, health, reasons and output come from the leader, as it tells them."""
    (one,) = bench.running(job(2))
    (waits,) = bench.submit(job(4))
    bench.tick(2)
    with served(create_app(bench.plane)) as url, standby(bench) as client:
        lead(bench, url)
        pools = client.get("/v1/pools").json()["pools"]
        assert next(pool for pool in pools if pool["id"] == EAST)["free"] == 2
        why = client.get(f"/v1/jobs/{waits}/why").json()
        assert "waits" in str(why) or why["explanation"]
        log = client.get(f"/v1/jobs/{one}/log", params={"offset": "3"})
        assert (log.content, log.headers["content-type"][:10]) == (b"put", "text/plain")
        for path in ("/v1/prices", "/v1/health", "/v1/sites", f"/v1/jobs/{one}"):
            assert client.get(path).status_code == 200, path
        missing = client.get("/v1/jobs/job-000099/why")
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")


def test_without_a_leader_the_answer_is_to_come_back(bench: Bench) -> None:
    """Nobody leads, or one that cannot be reached: 503, `not-leader`, and when to ask again."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        nobody = f"http://127.0.0.1:{door.getsockname()[1]}"
    with standby(bench) as client:
        for url in (None, "", nobody, "http://[", "file:///etc/passwd"):
            if url is not None:
                lead(bench, url, lease_s=0.0)
            told = client.get("/v1/pools")
            assert (told.status_code, told.json()["code"]) == (503, "not-leader"), url
            assert int(told.headers["retry-after"]) >= 1


def test_a_question_is_passed_on_once(bench: Bench) -> None:
    """Two control planes that take each other for the leader do not pass it to and fro."""
    lead(bench, "http://127.0.0.1:9")
    with standby(bench) as client:
        told = client.get("/v1/pools", headers={PASSED_ON: "1"})
    assert (told.status_code, told.json()["code"]) == (503, "not-leader")
    assert "does not lead" in told.json()["message"]


def test_what_is_written_is_taken_here(bench: Bench) -> None:
    """Jobs, cancels and drains go to the store, whoever leads or nobody."""
    (one,) = bench.submit(job())
    with standby(bench) as client:
        assert client.post(f"/v1/jobs/{one}/cancel").status_code == 202
        assert client.post("/v1/sites/east-1/drain", json={"reason": "racks"}).is_success
        assert bench.store.drained()["east-1"].reason == "racks"
        assert client.get("/v1/jobs").json()["jobs"][0]["id"] == one
        bench.tick(2)
        assert client.get(f"/v1/jobs/{one}").json()["status"] == "cancelled"


def test_the_leader_answers_the_caller_and_not_the_one_that_passes_on(bench: Bench) -> None:
    """The caller's token goes along, and what it may not see there it does not see here."""
    bench.running(job())
    rules = AccessRules()
    _, secret = bench.plane.tokens.create(Wanted("ann", Role.MEMBER, "lab"), by="test")
    with served(create_app(bench.plane, access=rules)) as url, standby(bench, rules) as client:
        lead(bench, url)
        known = {"Authorization": f"Bearer {secret}"}
        assert client.get("/v1/pools", headers=known).status_code == 200
        assert client.get("/v1/pools").status_code == 401


def test_certificates_that_are_none_are_told(bench: Bench, tmp_path: Path) -> None:
    """A file of certificates that does not exist or holds none is refused at the start."""
    (tmp_path / "empty.pem").touch()
    for file in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises(InputError, match="no certificates in PEM"):
            add_forwarding(FastAPI(), bench.plane, ca_file=file)

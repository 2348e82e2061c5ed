"""The HTTP API and the client, over a real server on loopback with a real store and engine."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import uvicorn

from terminal import NETWORK
from tieline.client import Client, NoControlPlane
from tieline.control.lifecycle import Status
from tieline.files.job import job_from_dict, job_to_dict
from tieline.files.network import read_network
from tieline.model.errors import ConflictError, InputError, NotFoundError
from tieline.model.job import JobSpec
from tieline.service.api.app import create_app
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane
from tieline.wire.schemas import MAX_JOBS, Failure

Eventually = Callable[[Callable[[], object]], None]


def job(command: str = "true", **fields: object) -> dict[str, Any]:
    """Give a job for site `one`, as a client sends it."""
    body = {
        "tenant": "lab",
        "workload": {"class": "hpc"},
        "accelerators": {"count": 1},
        "stacks": {"cuda": {"command": command}},
        "estimate": 1,
    }
    return body | fields


def spec(command: str = "true", **fields: object) -> JobSpec:
    """Give the same as a specification."""
    return job_from_dict(job(command, **fields))


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane whose loop runs."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "network.yaml").write_text(NETWORK)
    network = read_network(folder / "network.yaml")
    with running(network, Placement(folder / "state", workdir=folder)) as plane:
        yield plane
        for one in plane.jobs(status=[status for status in Status if not status.ended]):
            plane.cancel(one.id)


@contextmanager
def serving(plane: ControlPlane, port: int = 0) -> Iterator[int]:
    """Serve a control plane until the block ends; give the port."""
    door = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        create_app(plane), log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([door],))
    thread.start()
    yield door.getsockname()[1]
    server.should_exit = True
    thread.join()
    door.close()


@pytest.fixture(scope="module")
def url(plane: ControlPlane) -> Iterator[str]:
    """Give the address of a server for it."""
    with serving(plane) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    """Give a client of it."""
    with Client(url) as client:
        yield client


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    """Give bare HTTP to it."""
    with httpx.Client(base_url=f"{url}/v1", timeout=30, trust_env=False) as http:
        yield http


def failure(answer: httpx.Response, status: int) -> Failure:
    """Check the status of a refusal and give what it says."""
    assert answer.status_code == status, answer.text
    return Failure.model_validate_json(answer.content)


# ------------------------------------------------------------------------------ routes

#: (method, path) -> a request that it answers; `{id}` is that of a job that succeeded.
REQUESTS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/jobs"): {"json": job()},
    ("GET", "/v1/jobs"): {},
    ("GET", "/v1/jobs/{job_id}"): {},
    ("POST", "/v1/jobs/{job_id}/cancel"): {},
    ("GET", "/v1/jobs/{job_id}/log"): {},
    ("GET", "/v1/jobs/{job_id}/events"): {},
    ("GET", "/v1/jobs/{job_id}/why"): {},
    ("GET", "/v1/pools"): {},
    ("GET", "/v1/prices"): {},
    ("GET", "/v1/health"): {},
    ("GET", "/v1/whoami"): {},
    ("GET", "/v1/events"): {},
    ("GET", "/v1/live"): {},
    ("GET", "/v1/ready"): {},
    ("GET", "/v1/sites"): {},
    ("POST", "/v1/sites/{site_id}/drain"): {"json": {"reason": "a test"}},
    ("POST", "/v1/sites/{site_id}/resume"): {},
    ("GET", "/v1/tokens"): {},
    ("POST", "/v1/tokens"): {"json": {"name": "ci", "role": "member", "tenant": "lab"}},
    ("DELETE", "/v1/tokens/{token_id}"): {},
    ("GET", "/metrics"): {},
}


def test_every_route_is_held_to_the_document(
    plane: ControlPlane, client: Client, http: httpx.Client
) -> None:
    """Each route of the API is in the OpenAPI document and answers as the document says."""
    document = http.get("/openapi.json").json()
    routes = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert routes == REQUESTS.keys()
    for methods in document["paths"].values():
        for route in methods.values():
            names = [one["name"] for one in route.get("parameters", ())]
            assert len(names) == len(set(names))
    (done,) = client.wait(client.submit([spec("echo hello")]))
    for (method, path), request in REQUESTS.items():
        place = path.format(job_id=done.id, site_id="two", token_id="none")  # noqa: S106 - an id
        url = str(http.base_url).removesuffix("/v1/") + place
        answer = http.request(method, url, **request)
        said = document["paths"][path][method.lower()]["responses"]
        promised = said[str(answer.status_code)]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in promised
        if kind == "application/json":
            fits(answer.json(), promised[kind]["schema"], document)
    assert plane.job(done.id).status is Status.SUCCEEDED


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:  # noqa: ANN401 - JSON is any
    """Check a value against a schema: types, names of fields, no field that is not told of."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("type") != "null" or value is None]
        assert kinds
        schema = kinds[0] if value is not None else {"type": "null"}
        return fits(value, schema, document)
    python = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    python |= {"number": (int, float), "null": type(None)}  # type: ignore[dict-item] # a union
    assert isinstance(value, python[schema["type"]]), (value, schema)
    if "enum" in schema:
        assert value in schema["enum"]
    if schema["type"] == "array":
        for one in value:
            fits(one, schema["items"], document)
    if "properties" in schema:
        assert value.keys() <= schema["properties"].keys()
        assert value.keys() >= set(schema.get("required", ()))
        for name, one in value.items():
            fits(one, schema["properties"][name], document)
    return None


def test_the_document_names_no_schema_in_vain(http: httpx.Client) -> None:
    """Every reference in the OpenAPI document leads somewhere, and every schema is referred to."""
    document = http.get("/openapi.json").json()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    assert {"JobFields", "JobListFields"} <= schemas.keys()
    estimate = json.dumps(schemas["JobFields"]["properties"]["estimate"])
    assert all(f'"type": "{kind}"' in estimate for kind in ("number", "string", "null"))
    for name in schemas:
        assert f'"#/components/schemas/{name}"' in text
    for reference in text.split('"#/components/schemas/')[1:]:
        assert reference.partition('"')[0] in schemas


# -------------------------------------------------------------------------- submission


def test_a_job_goes_in_and_comes_out_the_same(client: Client) -> None:
    """What is submitted is stored whole, is run, and its output can be read."""
    asked = spec(
        'echo "$GREETING on $TIELINE_ACCELERATORS"; exit 3',
        name="greet",
        env={"GREETING": "good morning"},
        priority=2,
        time_limit=60,
    )
    (sent,) = client.submit([asked])
    assert (sent.name, sent.tenant, sent.workload, sent.count) == ("greet", "lab", "hpc", 1)
    (done,) = client.wait([sent])
    assert (done.status, done.exit_code, done.pool) == (Status.FAILED, 3, "one/nvidia-h200-sxm")
    assert done.started_at is not None
    assert done.ended_at is not None
    assert sent.submitted_at <= done.started_at <= done.ended_at
    assert job_from_dict(client.job(sent.id).spec) == asked
    assert b"".join(client.output(sent.id)).startswith(b"good morning on ")
    told = [event.event for event in client.events(sent.id).events]
    assert (told[0], told[1], told[-1]) == ("submitted", "placed", "failed")


def test_output_is_read_from_an_offset(client: Client) -> None:
    """The log begins at the offset asked for, and is empty behind its end."""
    (done,) = client.wait(client.submit([spec("printf 0123456789")]))
    assert client.log(done.id, 4) == b"456789"
    assert client.log(done.id, 10) == b""


def test_following_gives_all_output(client: Client) -> None:
    """Who follows a job from its start gets its whole output, and an end."""
    (sent,) = client.submit([spec("for i in 1 2 3; do echo $i; sleep 0.2; done")])
    assert b"".join(client.output(sent.id, follow=True)) == b"1\n2\n3\n"


def test_one_request_brings_many_jobs(client: Client) -> None:
    """A submission of several jobs, each several times, keeps their order."""
    sent = client.submit([spec(name="a"), spec(name="b")], count=3)
    assert [one.name for one in sent] == ["a", "a", "a", "b", "b", "b"]
    assert [one.seq for one in sent] == list(range(sent[0].seq, sent[0].seq + 6))
    assert {one.status for one in client.wait(sent)} == {Status.SUCCEEDED}


def test_a_key_makes_a_submission_count_once(client: Client) -> None:
    """The same key brings the same jobs; for other jobs it is refused."""
    first = client.submit([spec(name="once")], key="k1")
    again = client.submit([spec(name="once")], key="k1")
    assert [one.id for one in again] == [one.id for one in first]
    with pytest.raises(ConflictError, match="k1"):
        client.submit([spec(name="other")], key="k1")
    without = client.submit([spec(name="once")])
    assert without[0].id != first[0].id


@pytest.mark.parametrize(
    ("body", "field", "found"),
    [
        (job(tenant="nobody"), "jobs[0].tenant", "unknown tenant 'nobody'"),
        (job() | {"acelerators": 1}, "acelerators", "unknown field 'acelerators'"),
        (job(accelerators={"count": 0}), "accelerators.count", "0"),
        (job(accelerators={"count": "2"}), "accelerators.count", "'2'"),
        (job(workload={"class": "training "}), "workload.class", "unknown workload class"),
        (job(estimate="soon"), "estimate", "soon"),
        (job(datasets=["nothing"]), "jobs[0].datasets[0]", "unknown dataset 'nothing'"),
        ({"jobs": []}, "jobs", "a list"),
        ({"jobs": [job(), job(stacks={})]}, "jobs[1].stacks", "a group of fields"),
        ([job()], "", "a list"),
        ("job", "", "'job'"),
        (None, "", "nothing"),
    ],
)
def test_a_mistake_is_told_with_its_field(
    http: httpx.Client, body: object, field: str, found: str
) -> None:
    """A wrong submission is refused with 422, naming field, what was found, what is allowed."""
    before = [one["id"] for one in http.get("/jobs").json()["jobs"]]
    kind = {"content-type": "application/json"}
    told = failure(http.post("/jobs", content=json.dumps(body), headers=kind), 422)
    assert told.code == "file"
    assert [one.field for one in told.problems] == [field]
    assert found in told.problems[0].found
    assert told.problems[0].allowed
    assert told.problems[0].found in told.message
    assert [one["id"] for one in http.get("/jobs").json()["jobs"]] == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"tenant": "lab", "tenant": "clinic"}', "'tenant' is given twice"),
        (b'{"estimate": NaN}', "NaN is no number of JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b'{"estimate": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_is_not_json_is_refused(http: httpx.Client, body: bytes, words: str) -> None:
    """What cannot be read as JSON is a mistake of the request, never a fault of the service."""
    answer = http.post("/jobs", content=body, headers={"content-type": "application/json"})
    assert words in failure(answer, 422).message


def test_too_many_jobs_are_refused(http: httpx.Client) -> None:
    """A request adds no more jobs than the limit, however it asks for them."""
    told = failure(
        http.post("/jobs", json={"jobs": [job(), job()]}, params={"count": MAX_JOBS}), 422
    )
    assert f"{2 * MAX_JOBS:,} jobs" in told.message
    told = failure(http.post("/jobs", json=job(), params={"count": MAX_JOBS + 1}), 422)
    assert told.problems[0].field == "count"


def test_a_mistake_in_a_repeated_job_has_the_place_it_was_sent_from(http: httpx.Client) -> None:
    """Fields are counted as in the body, however often each job is added."""
    body = {"jobs": [job(), job(tenant="nobody")]}
    told = failure(http.post("/jobs", json=body, params={"count": 5}), 422)
    assert [one.field for one in told.problems] == ["jobs[1].tenant"]


def test_the_client_raises_what_the_service_refuses(client: Client) -> None:
    """A wrong job is an `InputError` at the client, with the words of the service."""
    with pytest.raises(InputError, match=r"jobs\[0\].tenant: unknown tenant 'nobody'"):
        client.submit([spec(tenant="nobody")])


# ---------------------------------------------------------------------------- questions


def test_jobs_are_listed_newest_first_in_pages(client: Client, http: httpx.Client) -> None:
    """Pages follow one another without gap or overlap, and the last one says so."""
    sent = client.submit([spec(name=f"page-{n}") for n in range(5)])
    client.wait(sent)
    newest = [one.id for one in reversed(sent)]
    page = http.get("/jobs", params={"limit": 2, "before": sent[-1].seq + 1}).json()
    assert [one["id"] for one in page["jobs"]] == newest[:2]
    page = http.get("/jobs", params={"limit": 2, "before": page["next"]}).json()
    assert [one["id"] for one in page["jobs"]] == newest[2:4]
    last = http.get("/jobs", params={"limit": 1000}).json()
    assert last["next"] is None
    assert last["jobs"][-1]["seq"] == 1
    assert [one.id for one in client.jobs(limit=5, before=sent[-1].seq + 1)] == newest


def test_jobs_are_filtered(client: Client, http: httpx.Client) -> None:
    """Filters by tenant and by several statuses hold for every job listed."""
    waiting = client.submit([spec("sleep 60", accelerators={"count": 4})], count=2)
    at_two = {"tenant": "clinic", "sensitivity": "sensitive"}
    stacks = {"cann": {"command": "exit 1"}}
    failed = client.wait(client.submit([spec(**at_two, stacks=stacks)]))
    found = client.jobs(status=[Status.FAILED], tenant="clinic")
    assert failed[0].id in {one.id for one in found}
    assert {(one.status, one.tenant) for one in found} == {(Status.FAILED, "clinic")}
    params = {"status": ["queued", "submitted", "running"]}
    listed = {one["id"] for one in http.get("/jobs", params=params).json()["jobs"]}
    assert {one.id for one in waiting} <= listed
    for one in waiting:
        client.cancel(one.id)
    assert {one.status for one in client.wait(waiting)} == {Status.CANCELLED}


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/jobs", {"limit": 0}, "limit"),
        ("/jobs", {"limit": 1001}, "limit"),
        ("/jobs", {"before": "x"}, "before"),
        ("/jobs", {"status": "done"}, "status[0]"),
        ("/jobs/job-000001/log", {"offset": -1}, "offset"),
        ("/jobs/job-000001/events", {"limit": 0}, "limit"),
    ],
)
def test_a_wrong_parameter_is_named(
    http: httpx.Client, path: str, params: dict[str, Any], field: str
) -> None:
    """A parameter out of its range is refused with 422 and its name."""
    told = failure(http.get(path, params=params), 422)
    assert (told.code, [one.field for one in told.problems]) == ("input", [field])


@pytest.mark.parametrize("job_id", ["job-999999", "nonsense", "job-0", "%2e%2e", "a%20b"])
@pytest.mark.parametrize("question", ["", "/log", "/events", "/why", "/cancel"])
def test_an_unknown_job_is_not_found(http: httpx.Client, job_id: str, question: str) -> None:
    """Every question about a job that there is not gives 404 and says so."""
    method = "POST" if question == "/cancel" else "GET"
    assert failure(http.request(method, f"/jobs/{job_id}{question}"), 404).message


@pytest.mark.parametrize("job_id", ["job-999999", "../jobs", "", "a b"])
def test_the_client_raises_for_unknown_jobs(client: Client, job_id: str) -> None:
    """An unknown job is a `NotFoundError` at the client, whatever its id looks like."""
    for question in (client.job, client.cancel, client.log, client.events, client.why):
        with pytest.raises(NotFoundError):
            question(job_id)


def test_why_says_never(client: Client, eventually: Eventually) -> None:
    """A job that no pool can ever run waits, and `why` says never for every pool."""
    (sent,) = client.submit([spec(sensitivity="sensitive")])
    eventually(lambda: client.why(sent.id).pools)
    found = client.why(sent.id)
    assert found.never
    assert "No pool can ever run it" in found.sentence
    assert {one.pool: [reason.name for reason in one.reasons] for one in found.pools} == {
        "one/nvidia-h200-sxm": ["TRUST"],
        "two/huawei-910b2": ["STACK"],
    }
    assert all(one.never and len(one.words) == len(one.reasons) for one in found.pools)
    assert [one.words for one in found.changes]
    assert client.cancel(sent.id).id == sent.id
    assert client.wait([sent])[0].status is Status.CANCELLED
    assert "cancelled" in client.why(sent.id).sentence


def test_why_tells_waiting_from_never(client: Client, eventually: Eventually) -> None:
    """A job that waits for accelerators is told so: it needs only time."""
    (first,) = client.submit([spec("sleep 60", accelerators={"count": 4})])
    eventually(lambda: client.job(first.id).status is Status.RUNNING)
    pool = client.pools().pools[0]
    assert (pool.free, pool.largest, pool.running, pool.open) == (0, 0, 1, True)
    (second,) = client.submit([spec(accelerators={"count": 4}, estimate=3600)])
    eventually(lambda: client.why(second.id).pools)
    found = client.why(second.id)
    assert not found.never
    assert [one.never for one in found.pools] == [False, True]
    assert found.pools[0].reasons[0].name == "BUSY"
    assert found.pools[0].worth_per_h == pytest.approx(1 / 4)  # one job per hour on four
    latest = client.prices().latest
    assert latest is not None
    assert latest.prices_per_h["one/nvidia-h200-sxm"] == pytest.approx(1 / 4)
    assert client.pools().pools[0].price_per_h == pytest.approx(1 / 4)
    client.cancel(first.id)
    client.wait([first, second])
    assert client.job(second.id).status is Status.SUCCEEDED


def test_prices_carry_certificate_and_history(client: Client, http: httpx.Client) -> None:
    """Prices name policy, certified gap and every pool; the history comes on request alone."""
    client.wait(client.submit([spec()]))
    found = client.prices()
    assert found.policy == "price"
    assert found.latest is not None
    assert found.latest.gap is not None
    assert 0 <= found.latest.gap <= 1
    assert found.latest.prices_per_h.keys() == {"one/nvidia-h200-sxm", "two/huawei-910b2"}
    assert found.history == []
    assert len(http.get("/prices", params={"history": True}).json()["history"]) >= 1


def test_health_says_that_all_is_well(client: Client) -> None:
    """A running control plane is healthy, and so are its sites."""
    found = client.health()
    assert (found.ok, found.network, found.detail) == (True, "twins", "")
    assert found.sites == {"one": "", "two": ""}


# ------------------------------------------------------------------------- the way there


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/jobs", 405), ("DELETE", "/pools", 405)],
)
def test_an_unknown_route_says_so(http: httpx.Client, method: str, path: str, status: int) -> None:
    """What is no route is refused in the same form as everything else."""
    assert failure(http.request(method, path), status).code == "route"


def test_no_answer_is_one_clear_error() -> None:
    """Where nothing listens, the client says so and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(NoControlPlane, match=f"{port}: start one with `tieline up"),
    ):
        client.jobs()


def test_waiting_bears_a_restart(plane: ControlPlane) -> None:
    """Who waits for a job goes on waiting while the control plane is away for a moment."""
    with ExitStack() as stack:
        with serving(plane) as port:
            client = stack.enter_context(Client(f"http://127.0.0.1:{port}"))
            sent = client.submit([spec("sleep 1")])
        with pytest.raises(NoControlPlane):
            client.job(sent[0].id)
        looks: list[int] = []
        back = threading.Timer(
            0.5, lambda: looks.append(stack.enter_context(serving(plane, port)))
        )
        back.start()
        (done,) = client.wait(sent)
        back.join()
        assert looks == [port]
    assert done.status is Status.SUCCEEDED


def test_a_stranger_is_told_from_a_control_plane() -> None:
    """Another kind of server at the address is recognised as such."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        with Client(address) as client, pytest.raises(NoControlPlane, match="no control plane of"):
            client.pools()
        with Client(address) as client, pytest.raises(NoControlPlane, match="broke off"):
            client.prices()
        server.shutdown()
        thread.join()


class Stranger(BaseHTTPRequestHandler):
    """A server of something else, which breaks off when asked for prices."""

    def do_GET(self) -> None:
        """Answer with a page, or not at all."""
        if "prices" not in self.path:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("address", ["", "nothing", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_a_wrong_address_is_refused(address: str) -> None:
    """What is no address is wrong input, before anything is sent."""
    with pytest.raises(InputError, match="no address of a control plane"):
        Client(address)


def test_jobs_survive_the_wire() -> None:
    """A specification is the same after it went over the wire as JSON."""
    full = spec(
        datasets=["corpus"],
        residency=["east"],
        deadline="2030-01-01T00:00:00+00:00",
        accelerators={"count": 2, "min": 1, "max": 4},
        idempotent=True,
        memory_gb=80,
    )
    assert job_from_dict(json.loads(json.dumps(job_to_dict(full)))) == full

"""Who may do what over the API: roles, tenants, and what each may learn of the others."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from front import Caller, guarded, job, network, token
from tieline.files.access import AccessRules, Limits
from tieline.service.access.rules import Allowed, Role
from tieline.service.api.app import create_app, rule_of
from tieline.service.control_plane import ControlPlane

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane of two tenants."""
    with network(tmp_path_factory.mktemp("access")) as plane:
        yield plane


@pytest.fixture(scope="module")
def app(plane: ControlPlane) -> FastAPI:
    """Give its API, which asks who its callers are."""
    return guarded(plane)


@pytest.fixture(scope="module")
def callers(plane: ControlPlane, app: FastAPI) -> dict[str, Caller]:
    """Give an operator, an auditor and a member of each tenant."""
    tokens = {
        "operator": token(plane, "operator"),
        "auditor": token(plane, "auditor"),
        "lab": token(plane, "member", "lab"),
        "clinic": token(plane, "member", "clinic"),
    }
    return {name: Caller(app, text) for name, text in tokens.items()} | {"nobody": Caller(app)}


# ------------------------------------------------------------------------ every route


def routes_of(app: FastAPI) -> list[APIRoute]:
    """Give every route; one of another kind could not say who may use it."""
    assert all(isinstance(route, APIRoute) for route in app.routes)
    return [route for route in app.routes if isinstance(route, APIRoute)]


def test_every_route_has_a_rule(app: FastAPI, plane: ControlPlane) -> None:
    """Each route says who may use it; only liveness and readiness are for everybody."""
    rules = {route.path: rule_of(route) for route in routes_of(app)}
    assert {path for path, roles in rules.items() if roles is None} == {"/v1/live", "/v1/ready"}
    assert rules["/metrics"] == (Role.OPERATOR, Role.AUDITOR)
    assert len(rules["/v1/openapi.json"] or ()) == 3
    open_metrics = guarded(plane, public_metrics=True)
    assert {r.path: rule_of(r) for r in routes_of(open_metrics)}["/metrics"] is None


def test_every_route_is_seen(app: FastAPI) -> None:
    """The walk over the routes leaves none out that the application would answer."""
    walked = {(method, route.path) for route in routes_of(app) for method in route.methods or ()}
    told = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert told | {("GET", "/v1/openapi.json")} == walked


def test_a_route_without_a_rule_is_found() -> None:
    """The walk fails at a route that says nothing of who may use it."""
    router = APIRouter()
    router.add_api_route("/open", lambda: 1)
    router.add_api_route("/shut", lambda: 1, dependencies=[Depends(Allowed(Role.OPERATOR))])
    unruled, ruled = [route for route in router.routes if isinstance(route, APIRoute)]
    assert rule_of(ruled) == (Role.OPERATOR,)
    with pytest.raises(LookupError, match="/open has no rule"):
        rule_of(unruled)


#: Path -> a body to send; ids stand for things that there are.
BODIES: dict[str, Any] = {
    "/v1/jobs": job(),
    "/v1/sites/{site_id}/drain": {"reason": "work"},
    "/v1/tokens": {"name": "x", "role": "operator"},
}


def test_every_route_keeps_its_rule(
    app: FastAPI, plane: ControlPlane, callers: dict[str, Caller]
) -> None:
    """Callers whom a route does not name are refused by it: 401 unknown ones, 403 known ones."""
    done = callers["lab"].submit()
    revocable = token(plane, "auditor").split("_")[1]
    for route in routes_of(app):
        roles = rule_of(route)
        path = route.path.format(job_id=done, site_id="one", token_id=revocable)
        for method in route.methods or ():
            body = BODIES.get(route.path) if method == "POST" else None
            for name, role in (("nobody", None), ("auditor", "auditor"), ("lab", "member")):
                answer = callers[name].ask(method, path, json=body)
                if roles is None or role in roles:
                    assert answer.status_code < 300, (method, path, name, answer.text)
                else:
                    status, code = (403, "access-denied") if role else (401, "unauthenticated")
                    assert (answer.status_code, answer.json()["code"]) == (status, code), path
    callers["operator"].post("/v1/sites/one/resume")


def test_an_unknown_path_says_nothing_of_routes_that_need_a_caller(
    callers: dict[str, Caller],
) -> None:
    """What is no route is told so to everybody, in the form of all failures."""
    assert callers["nobody"].get("/v1/nothing").json()["code"] == "route"


# ---------------------------------------------------------------------- other tenants


@pytest.mark.parametrize(
    ("method", "question"),
    [
        ("GET", ""),
        ("GET", "/log"),
        ("GET", "/log?offset=7"),
        ("GET", "/events"),
        ("GET", "/events?after=1"),
        ("GET", "/why"),
        ("POST", "/cancel"),
    ],
)
def test_jobs_of_others_do_not_exist(
    plane: ControlPlane, callers: dict[str, Caller], method: str, question: str
) -> None:
    """A member is answered about another tenant's job exactly as about one that nobody has."""
    theirs = callers["clinic"].submit(command="sleep 60", tenant="clinic")
    nobodys = "job-999999"
    found = callers["lab"].ask(method, f"/v1/jobs/{theirs}{question}")
    missing = callers["lab"].ask(method, f"/v1/jobs/{nobodys}{question}")
    assert found.status_code == missing.status_code == 404
    assert found.text.replace(theirs, nobodys) == missing.text
    mine = callers["clinic"].ask(method, f"/v1/jobs/{theirs}{question}")
    assert mine.status_code < 300
    others = {"x-request-id", "content-length", "date"}
    assert [h for h in found.headers.items() if h[0] not in others] == [
        h for h in missing.headers.items() if h[0] not in others
    ]
    plane.cancel(theirs)


def test_a_list_holds_only_ones_own(callers: dict[str, Caller]) -> None:
    """A member's lists and pages hold its tenant's jobs alone, whatever it filters by."""
    mine = [callers["lab"].submit() for _ in range(3)]
    theirs = callers["clinic"].submit(tenant="clinic")
    listed, before = [], None
    while True:
        asked = {"limit": 2} | ({"before": before} if before else {})
        page = callers["lab"].get("/v1/jobs", params=asked).json()
        listed += page["jobs"]
        before = page["next"]
        if before is None:
            break
    assert {one["tenant"] for one in listed} == {"lab"}
    assert set(mine) <= {one["id"] for one in listed}
    for asked in ({"tenant": "clinic"}, {"tenant": "nobody"}):
        page = callers["lab"].get("/v1/jobs", params=asked).json()
        assert page == {"jobs": [], "next": None}
    everything = callers["auditor"].get("/v1/jobs", params={"limit": 1000}).json()["jobs"]
    assert {theirs, *mine} <= {one["id"] for one in everything}


def test_a_member_submits_for_its_own_tenant_only(callers: dict[str, Caller]) -> None:
    """Jobs for another tenant are refused whole, with the field, and nothing is stored."""
    before = [one["id"] for one in callers["operator"].get("/v1/jobs").json()["jobs"]]
    body = {"jobs": [job(tenant="lab"), job(tenant="clinic")]}
    answer = callers["lab"].post("/v1/jobs", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "access-denied")
    assert "jobs[1].tenant" in answer.json()["message"]
    after = [one["id"] for one in callers["operator"].get("/v1/jobs").json()["jobs"]]
    assert after == before


def test_a_key_is_a_tenants_own(callers: dict[str, Caller]) -> None:
    """The same idempotency key of two tenants means two submissions, and reveals neither."""
    key = {"Idempotency-Key": "nightly"}
    first = callers["lab"].post("/v1/jobs", job(tenant="lab"), headers=key).json()
    other = callers["clinic"].post("/v1/jobs", job(tenant="clinic"), headers=key)
    assert other.status_code == 201
    assert {one["tenant"] for one in other.json()["jobs"]} == {"clinic"}
    again = callers["lab"].post("/v1/jobs", job(tenant="lab"), headers=key).json()
    assert [one["id"] for one in again["jobs"]] == [one["id"] for one in first["jobs"]]
    spelled = {"Idempotency-Key": "lab/nightly"}
    operators = callers["operator"].post("/v1/jobs", job(tenant="lab"), headers=spelled)
    assert operators.json()["jobs"][0]["id"] != first["jobs"][0]["id"]


def test_rivals_of_others_have_no_name(callers: dict[str, Caller], eventually: Eventually) -> None:
    """`why` names a member's own rivals, and says of others that they are there."""
    theirs = callers["clinic"].submit(command="sleep 60", tenant="clinic", estimate=60)
    eventually(lambda: callers["clinic"].get(f"/v1/jobs/{theirs}").json()["status"] == "running")
    mine = callers["lab"].submit(command="sleep 60", estimate=60)
    eventually(lambda: callers["lab"].get(f"/v1/jobs/{mine}").json()["status"] == "running")
    wide = callers["lab"].submit(accelerators={"count": 4})
    path = f"/v1/jobs/{wide}/why"
    eventually(lambda: callers["lab"].get(path).json()["pools"])
    eventually(lambda: len(callers["lab"].get(path).json()["pools"][0]["rivals"]) == 2)
    answer = callers["lab"].get(path)
    assert {one["job"] for one in answer.json()["pools"][0]["rivals"]} == {mine, ""}
    assert theirs not in answer.text
    everything = callers["operator"].get(path).json()["pools"][0]["rivals"]
    assert {one["job"] for one in everything} == {mine, theirs}
    for one in (theirs, mine, wide):
        callers["operator"].post(f"/v1/jobs/{one}/cancel")


def test_an_auditor_does_not_see_what_jobs_run(callers: dict[str, Caller]) -> None:
    """Commands, environment and output of jobs are not told to auditors; all else is."""
    done = callers["lab"].submit(command="echo tip-top", env={"KEY": "hush-hush"})
    answer = callers["auditor"].get(f"/v1/jobs/{done}")
    assert answer.json()["spec"]["stacks"] == {"cuda": {}}
    assert answer.json()["spec"]["tenant"] == "lab"
    assert "tip-top" not in answer.text
    assert "hush-hush" not in answer.text
    assert "hush-hush" in callers["lab"].get(f"/v1/jobs/{done}").text
    assert callers["auditor"].get(f"/v1/jobs/{done}/log").status_code == 403
    log = callers["auditor"].get("/v1/events", params={"limit": 1000})
    assert done in log.text
    assert "hush-hush" not in log.text


def test_the_log_of_everything_comes_in_pages(callers: dict[str, Caller]) -> None:
    """An auditor reads the event log page by page, without gap or overlap."""
    callers["lab"].submit()
    seqs: list[int] = []
    after: int | None = 0
    while after is not None and len(seqs) < 20:
        page = callers["auditor"].get("/v1/events", params={"after": after, "limit": 3}).json()
        seqs += [one["seq"] for one in page["events"]]
        after = page["next"]
    assert seqs == list(range(1, len(seqs) + 1))


def test_whoever_acted_stands_in_the_log(callers: dict[str, Caller]) -> None:
    """A submission and a cancellation are in the event log with the name of the caller."""
    mine = callers["lab"].submit(command="sleep 60")
    callers["operator"].post(f"/v1/jobs/{mine}/cancel")
    told = callers["lab"].get(f"/v1/jobs/{mine}/events").json()["events"]
    by = {one["event"]: one["data"].get("by") for one in told}
    assert (by["submitted"], by["cancel-requested"]) == ("lab", "operator")


def test_whoami_tells_whom_the_service_takes_one_for(callers: dict[str, Caller]) -> None:
    """Each caller can ask for its own name, role and tenant."""
    assert callers["lab"].get("/v1/whoami").json() == {
        "name": "lab",
        "role": "member",
        "tenant": "lab",
    }
    assert callers["auditor"].get("/v1/whoami").json()["role"] == "auditor"


def test_without_access_rules_everybody_is_the_local_operator(plane: ControlPlane) -> None:
    """An API that asks nobody who they are takes every caller for its operator."""
    local = Caller(create_app(plane))
    found = local.get("/v1/whoami").json()
    assert found == {"name": "local", "role": "operator", "tenant": None}
    assert local.get("/metrics").status_code == 200
    forged = local.get("/v1/whoami", headers={"Authorization": "Bearer nonsense"})
    assert forged.json() == found


# ------------------------------------------------------------------------------ sites


def test_an_operator_drains_and_resumes(
    callers: dict[str, Caller], eventually: Eventually
) -> None:
    """A drained site says who drained it and why, takes no work, and is opened again."""
    answer = callers["operator"].post("/v1/sites/one/drain", {"reason": "new cables"})
    assert answer.json()["state"] == "drained"
    assert "new cables" in answer.json()["problem"]
    waits = callers["lab"].submit()
    (site,) = callers["lab"].get("/v1/sites").json()["sites"]
    assert site["state"] == "drained"
    assert callers["lab"].get(f"/v1/jobs/{waits}").json()["status"] == "queued"
    assert callers["operator"].post("/v1/sites/one/resume").json()["state"] == "open"
    eventually(lambda: callers["lab"].get(f"/v1/jobs/{waits}").json()["status"] == "succeeded")
    assert callers["operator"].post("/v1/sites/none/drain").status_code == 404


@pytest.mark.parametrize(
    "body", [{"reason": "a\nb"}, {"reason": "x" * 201}, {"reason": 7}, {"why": "x"}, [], "x"]
)
def test_a_wrong_reason_is_refused(callers: dict[str, Caller], body: object) -> None:
    """A drain with a body that is not as described is refused with its field."""
    answer = callers["operator"].post("/v1/sites/one/drain", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "file")
    assert callers["operator"].get("/v1/sites").json()["sites"][0]["state"] == "open"


def test_lists_come_in_pages(callers: dict[str, Caller]) -> None:
    """Pools, sites and tokens are given from an id on, and a full page says from which."""
    for path, key in (("/v1/pools", "pools"), ("/v1/sites", "sites")):
        page = callers["lab"].get(path, params={"limit": 1}).json()
        assert (len(page[key]), page["next"]) == (1, None)
        last = callers["lab"].get(path, params={"after": page[key][0]["id"]}).json()
        assert last[key] == []
    found, after = [], None
    while True:
        asked = {"limit": 2} | ({"after": after} if after else {})
        page = callers["operator"].get("/v1/tokens", params=asked).json()
        found += [one["id"] for one in page["tokens"]]
        after = page["next"]
        if after is None:
            break
    whole = callers["operator"].get("/v1/tokens", params={"limit": 1000}).json()["tokens"]
    assert found == [one["id"] for one in whole]
    assert all("digest" not in one for one in whole)


# ----------------------------------------------------------------------------- limits


def test_an_identity_asks_no_more_often_than_allowed(plane: ControlPlane) -> None:
    """Beyond its rate an identity is told 429 and when to come back; others go on."""
    app = guarded(plane, limits=Limits(per_identity=0.5, per_address=1e6, burst_s=6))
    lab = Caller(app, token(plane, "member", "lab"))
    clinic = Caller(app, token(plane, "member", "clinic"))
    statuses = [lab.get("/v1/whoami").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = lab.get("/v1/whoami")
    assert refused.json()["code"] == "rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert clinic.get("/v1/whoami").status_code == 200


def test_an_address_asks_no_more_often_than_allowed(plane: ControlPlane) -> None:
    """Beyond the rate of its address nobody is looked up any more, so nobody can guess tokens."""
    app = guarded(plane, limits=Limits(per_identity=1e6, per_address=0.5, burst_s=6))
    statuses = [Caller(app, "tl_guess").get("/v1/whoami").status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_only_named_hosts_are_served(plane: ControlPlane) -> None:
    """The service answers to the names that its rules give, in any case, and to loopback."""
    hosts = frozenset({"tieline.example.org", "2001:db8::1"})
    caller = Caller(create_app(plane, access=AccessRules(hosts=hosts)), token(plane, "auditor"))
    for host in (
        "tieline.example.org",
        "Tieline.Example.Org:8421",
        "[2001:db8::1]:1",
        "localhost",
    ):
        assert caller.get("/v1/whoami", headers={"Host": host}).status_code == 200, host
    for host in ("example.org", "x@tieline.example.org", "tieline.example.org.evil.example", "["):
        with contextlib.suppress(UnicodeError):
            answer = caller.get("/v1/whoami", headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (421, "host"), host

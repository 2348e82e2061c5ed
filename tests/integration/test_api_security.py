"""Hostile callers of a real server: slow, oversized, smuggling, forging, injecting ones."""

import http.client
import json
import os
import re
import socket
import ssl
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from front import Caller, certificate, guarded, job, listening, network, token
from tieline.files.access import Limits
from tieline.service.api.bodies import MAX_DEPTH
from tieline.service.api.guard import MAX_BODY_BYTES
from tieline.service.api.server import Patience, Tls
from tieline.service.control_plane import ControlPlane
from tieline.wire.schemas import Failure

Eventually = Callable[[Callable[[], object]], None]
Place = tuple[str, int]

#: Short enough to be waited for, and long enough for a good request on a busy machine.
HASTE = Patience(headers_s=1.0, body_s=1.5, connections=20)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane of two tenants."""
    with network(tmp_path_factory.mktemp("security")) as plane:
        yield plane


@pytest.fixture(scope="module")
def app(plane: ControlPlane) -> FastAPI:
    """Give its API, which asks who its callers are."""
    return guarded(plane)


@pytest.fixture(scope="module")
def lab(plane: ControlPlane, app: FastAPI) -> Caller:
    """Give a member."""
    return Caller(app, token(plane, "member", "lab"))


@pytest.fixture(scope="module")
def place(app: FastAPI) -> Iterator[Place]:
    """Give where a server with little patience listens."""
    with listening(app, patience=HASTE) as place:
        yield place


def until_closed(connection: socket.socket) -> bytes:
    """Give all that the other side says until it closes."""
    said = b""
    connection.settimeout(15)
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return said


def told(said: bytes) -> tuple[int, str]:
    """Give status and code of an answer that was read as bytes."""
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), Failure.model_validate_json(body).code


def heads(bearer: str | None, *more: str, method: str = "POST", path: str = "/v1/jobs") -> bytes:
    """Give the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [] if bearer is None else [f"Authorization: Bearer {bearer}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


# ----------------------------------------------------------------------- slow clients


def test_headers_have_an_end(place: Place) -> None:
    """A client whose headers trickle in is told so and cut off, however steadily they come."""
    with socket.create_connection(place) as slow:
        begin = time.monotonic()
        slow.sendall(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n")
        slow.settimeout(0.05)
        said = b""
        while not said and time.monotonic() < begin + 15:
            slow.sendall(b"X-A: b\r\n")
            try:
                said = slow.recv(65536)
            except TimeoutError:
                continue
        assert told(said + until_closed(slow)) == (408, "slow-client")


def test_a_silent_connection_is_closed(place: Place) -> None:
    """A client that connects and says nothing does not keep its place."""
    with socket.create_connection(place) as silent:
        assert told(until_closed(silent)) == (408, "slow-client")


def test_a_body_has_an_end(place: Place, lab: Caller) -> None:
    """A client whose body trickles in is told so and cut off, and nothing is submitted."""
    with socket.create_connection(place) as slow:
        slow.sendall(heads(lab.token, "Content-Length: 1000"))
        slow.settimeout(0.05)
        said, begin = b"", time.monotonic()
        while not said and time.monotonic() < begin + 15:
            slow.sendall(b" ")
            try:
                said = slow.recv(65536)
            except TimeoutError:
                continue
        assert told(said + until_closed(slow)) == (408, "slow-client")


def test_a_body_that_nobody_wants_is_not_waited_for(place: Place) -> None:
    """Whoever is refused by the headers cannot keep the connection with the rest of the body."""
    with socket.create_connection(place) as slow:
        slow.sendall(heads("nonsense", "Content-Length: 1000"))
        assert b"bad-token" in until_closed(slow)


def test_good_clients_are_served_meanwhile(place: Place, lab: Caller) -> None:
    """While slow clients hang on, others are answered, over connections that they keep."""
    slow = [socket.create_connection(place) for _ in range(10)]
    try:
        with httpx.Client(base_url=f"http://{place[0]}:{place[1]}", trust_env=False) as good:
            shown = {"Authorization": f"Bearer {lab.token}"}
            for _ in range(3):
                assert good.get("/v1/whoami", headers=shown).status_code == 200
                time.sleep(0.6)  # longer, together, than headers may take
    finally:
        for one in slow:
            one.close()


def test_connections_have_a_number(place: Place, eventually: Eventually) -> None:
    """Beyond their number connections are told to come again, and later they may."""
    held = [socket.create_connection(place) for _ in range(HASTE.connections)]
    try:
        answers = []
        for _ in range(3):
            with socket.create_connection(place) as more:
                more.sendall(heads(None, method="GET", path="/v1/live"))
                answers.append(told(until_closed(more)))
        assert answers == [(503, "busy")] * 3
    finally:
        for one in held:
            one.close()

    def served() -> bool:
        with socket.create_connection(place) as later:
            later.sendall(heads(None, "Connection: close", method="GET", path="/v1/live"))
            return b"200 OK" in until_closed(later)

    eventually(served)


def test_an_address_counts_as_the_proxy_tells_it(plane: ControlPlane) -> None:
    """Behind a proxy each of its callers counts apart; what others forward does not count."""
    many = {"limits": Limits(per_address=0.001, burst_s=3000)}
    for proxies, statuses in ((("127.0.0.1",), [200, 200, 200, 429]), ((), [200, 200, 200, 429])):
        with listening(guarded(plane, **many), proxies=proxies) as (host, port):
            url = f"http://{host}:{port}/v1/live"

            def ask(address: str, url: str = url) -> int:
                headers = {"X-Forwarded-For": address}
                return httpx.get(url, headers=headers, trust_env=False).status_code

            assert [ask("192.0.2.1") for _ in range(4)] == statuses
            assert ask("192.0.2.2") == (200 if proxies else 429)


# --------------------------------------------------------------- requests of no form


@pytest.mark.parametrize(
    "request_bytes",
    [
        heads(None, "Content-Length: 5", "Content-Length: 6") + b"abcdef",
        heads(None, "Content-Length: 5, 6") + b"abcdef",
        heads(None, "Content-Length: -1"),
        heads(None, "Content-Length: +5") + b"abcde",
        heads(None, "Content-Length: 5_0") + b"abcde",
        heads(None, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
        heads(None, "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
        heads(None, "Transfer-Encoding : chunked") + b"0\r\n\r\n",
        heads(None, "Transfer-Encoding: chunked") + b"z\r\nabc\r\n0\r\n\r\n",
        heads(None, "X-A: b\nGET /v1/live HTTP/1.1"),
        heads(None, "X-Request-Id: a\rb"),
        heads(None, "X-A: \x00"),
        b"GET /v1/live HTTP/1.1\r\n\r\n",
        b"GET /v1/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/live\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 200_000 + b"\r\n\r\n",
    ],
    ids=str,
)
def test_what_is_no_request_is_refused(place: Place, request_bytes: bytes) -> None:
    """A request that two readers could understand in two ways, or none, is not understood."""
    with socket.create_connection(place) as rude:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may be cut off before its end
            rude.sendall(request_bytes)
        said = until_closed(rude)
    answers = re.findall(rb"HTTP/1\.1 (\d+)", said)
    assert answers in ([b"400"], [])
    if answers:
        assert told(said) == (400, "bad-request")


def test_a_body_of_two_lengths_is_one_request(place: Place, lab: Caller) -> None:
    """With both a length and chunks, chunks count, and what follows is not a second request."""
    body = json.dumps(job()).encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with socket.create_connection(place) as sly:
        sly.sendall(
            heads(
                lab.token, "Content-Length: 4", "Transfer-Encoding: chunked", "Connection: close"
            )
            + chunked
        )
        answers = re.findall(rb"HTTP/1\.1 (\d+)", until_closed(sly))
    assert answers in ([b"201"], [b"400"])


def test_an_id_cannot_bring_a_header(place: Place) -> None:
    """Whatever stands in X-Request-Id, the answer has no header of the caller's making."""
    for given in ("a b: c", "x\tSet-Cookie: y", "é", "a;b"):
        connection = http.client.HTTPConnection(*place, timeout=10)
        connection.request("GET", "/v1/live", headers={"X-Request-Id": given.encode("latin-1")})
        answer = connection.getresponse()
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
        assert "Set-Cookie" not in answer.headers
        connection.close()


# ------------------------------------------------------------------------------ bodies


def nested(depth: int) -> bytes:
    """Give JSON of that depth."""
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/tokens", "/v1/sites/one/drain"])
def test_bodies_have_a_depth(plane: ControlPlane, app: FastAPI, path: str) -> None:
    """A body that is nested more deeply than allowed is refused before it is understood."""
    operator = Caller(app, token(plane, "operator"))
    kind = {"Content-Type": "application/json"}
    for body in (
        nested(MAX_DEPTH + 1),
        nested(1_000_000),
        b'{"a":' * 100_000,
        b'{"a":[' * 300_000 + b'"',
        b'["\\"[",' * 40 + b"1" + b"]" * 40,
    ):
        answer = operator.ask("POST", path, headers=kind, content=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "body-depth")
    flat = json.dumps({"x": "[{" * 10_000}).encode()
    for body in (flat, nested(MAX_DEPTH), b'"' + b'\\"' * 1_000_000):
        answer = operator.ask("POST", path, headers=kind, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "file")


def test_a_body_is_plain_unicode(lab: Caller) -> None:
    """Half a character, as bytes or as an escape, is a mistake of the body, never a fault."""
    kind = {"Content-Type": "application/json"}
    for half in (b"\\ud800", b"\xed\xa0\x80", b"\xc3("):
        body = json.dumps(job("COMMAND")).encode().replace(b"COMMAND", half)
        answer = lab.ask("POST", "/v1/jobs", headers=kind, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "file"), half
    whole = json.dumps(job("echo COMMAND")).encode().replace(b"COMMAND", b"\\ud83d\\ude00")
    assert lab.ask("POST", "/v1/jobs", headers=kind, content=whole).status_code == 201


def test_bodies_have_a_size(place: Place, lab: Caller) -> None:
    """A body larger than allowed is refused by its told length, or once that much has come."""
    with socket.create_connection(place) as large:
        large.sendall(heads(lab.token, f"Content-Length: {MAX_BODY_BYTES + 1}"))
        assert told(until_closed(large)) == (413, "body-size")
    with socket.create_connection(place) as endless:
        endless.sendall(heads(lab.token, "Transfer-Encoding: chunked"))
        chunk = b"%x\r\n%s\r\n" % (2**16, b" " * 2**16)
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(MAX_BODY_BYTES // 2**16 + 2):
                endless.sendall(chunk)
        assert told(until_closed(endless)) == (413, "body-size")


# ------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Give a certificate for loopback, made now, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    return Tls(folder / "cert.pem", folder / "key.pem")


def test_the_api_is_served_over_tls(app: FastAPI, tls: Tls, lab: Caller) -> None:
    """With a certificate the API answers over TLS 1.2 or later, and not without."""
    with listening(app, tls=tls) as (host, port):
        trusted = ssl.create_default_context(cafile=str(tls.certificate))
        url = f"https://{host}:{port}/v1/whoami"
        shown = {"Authorization": f"Bearer {lab.token}"}
        assert httpx.get(url, verify=trusted, headers=shown).json()["tenant"] == "lab"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.replace("https", "http"))
        old = ssl.create_default_context(cafile=str(tls.certificate))
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(url, verify=old, headers=shown).status_code == 200


# ------------------------------------------------------------------------- injection

#: What a shell, a path or a database would take for its own.
EVIL = (
    "$(touch {mark})",
    "`touch {mark}`",
    "; touch {mark} #",
    "' ; touch {mark} ; '",
    '" ; touch {mark} ; "',
    "\n touch {mark} \n",
    "| touch {mark}",
    "../../../../../../{mark}",
    "/{mark}",
    "%2e%2e%2f{mark}",
    "'; DROP TABLE jobs; --",
    "${{IFS}}touch${{IFS}}{mark}",
    "{{{{7*7}}}}",
    "-rf",
)


def evil_jobs(text: str) -> Iterator[dict[str, Any]]:
    """Give jobs with the text in every field that takes text, one each."""
    yield job(name=text)
    yield job(env={"PLAIN": text})
    yield job(env={text: "plain"})
    yield job(tenant=text)
    yield job(datasets=[text])
    yield job(residency=[text])
    yield job(sensitivity=text)
    yield job(estimate=text)
    yield job(estimate_on=text)
    yield job(time_limit=text)
    yield job(deadline=text)
    yield job(array=text)
    yield job(workload={"class": text})
    yield job(workload={"class": "hpc", "model": text})
    yield job(workload={"class": "hpc", "rates": {text: 1}})
    yield job(stacks={text: {"command": "true"}})
    yield {**job(), text: text}


#: What a control plane and its engine write themselves.
OURS = re.compile(
    r"/state/(?:tieline\.db[-a-z]*|sites/one/runs/job-\d{6}\.1(?:/[a-z_]+[.a-z]*)?)$"
)


def files(folder: Path) -> set[Path]:
    """Give all files of a folder but those that the control plane writes."""
    return {path for path in folder.rglob("*") if not OURS.search(str(path))}


def test_nothing_but_the_command_runs(
    plane: ControlPlane, app: FastAPI, tmp_path: Path, eventually: Eventually
) -> None:
    """Text in the fields of a job stays text: nothing in it is run, opened or written."""
    operator = Caller(app, token(plane, "operator"))
    mark = tmp_path / "mark"
    before = files(tmp_path.parent)
    taken = []
    for evil in EVIL:
        for body in evil_jobs(evil.format(mark=mark)):
            answer = operator.post("/v1/jobs", body)
            assert answer.status_code in {201, 422}, (evil, answer.text)
            if answer.status_code == 201:
                taken += [one["id"] for one in answer.json()["jobs"]]
    assert len(taken) >= 2 * len(EVIL)  # names and values of the environment take any text
    ended = {"succeeded"}
    eventually(
        lambda: all(operator.get(f"/v1/jobs/{one}").json()["status"] in ended for one in taken)
    )
    assert not mark.exists()
    assert files(tmp_path.parent) == before
    assert len(operator.get("/v1/jobs", params={"limit": 1000}).json()["jobs"]) >= len(taken)


def test_values_of_the_environment_arrive_as_they_were(
    plane: ControlPlane, lab: Caller, eventually: Eventually
) -> None:
    """A command sees its variables letter by letter, whatever a shell would make of them."""
    value = "$(id) `id` ; ' \" \\ \n * ~ é " + string.punctuation
    mine = lab.submit(command='printf "%s" "$VALUE"', env={"VALUE": value})
    eventually(lambda: lab.get(f"/v1/jobs/{mine}").json()["status"] == "succeeded")
    assert plane.log(mine).decode() == value


@pytest.mark.parametrize(
    "job_id",
    ["..%2f..%2fetc%2fpasswd", "job-000001%00", "job-1'--", "job-%0a", "job-\uff11", "-1"],
)
@pytest.mark.parametrize("question", ["", "/log", "/events", "/why"])
def test_ids_are_ids(lab: Caller, job_id: str, question: str) -> None:
    """An id that is a path, a query or broken text is one that there is not."""
    answer = lab.get(f"/v1/jobs/{job_id}{question}")
    assert answer.status_code == 404, answer.text


# --------------------------------------------------------------------------- secrets


def test_no_secret_is_in_the_list_of_processes(
    plane: ControlPlane, lab: Caller, eventually: Eventually
) -> None:
    """What runs can be seen by all users of a machine; tokens and environments cannot."""
    mine = lab.submit(command="sleep 61", env={"KEY": "hush-hush-hush"})
    eventually(lambda: lab.get(f"/v1/jobs/{mine}").json()["status"] == "running")
    listed = subprocess.run(
        ["/bin/ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    assert "sleep 61" in listed
    assert "hush-hush-hush" not in listed
    assert (lab.token or "")[20:] not in listed
    plane.cancel(mine)


def test_a_token_is_no_business_of_jobs(
    plane: ControlPlane, lab: Caller, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job does not find the tokens or addresses of the control plane in its environment."""
    monkeypatch.setitem(os.environ, "TIELINE_TOKEN", "tl_secret")
    mine = lab.submit(command="env")
    eventually(lambda: lab.get(f"/v1/jobs/{mine}").json()["status"] == "succeeded")
    assert b"tl_secret" not in plane.log(mine)

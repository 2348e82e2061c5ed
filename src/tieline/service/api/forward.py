"""Passes on what only the leader can answer.

Several control planes share a store; each answers by itself what the store knows. A question that
needs the loop goes on to the leader with all its headers, so that the leader sees who asks and
answers that caller. Only questions go on, and only once: what is written goes through the store,
and two control planes that take each other for the leader must not pass a question to and fro.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from tieline.control.governance import Leader
from tieline.model.errors import InputError, NotLeader
from tieline.service.control_plane import ControlPlane
from tieline.service.errors import answer_to
from tieline.service.leadership import LEASE_S

#: Says that a request has been passed on already.
PASSED_ON: Final = "tieline-passed-on"

#: `why` may take two seconds, and output fifteen.
_TIMEOUT: Final = httpx.Timeout(20.0, connect=2.0)
#: Answers are held in memory while they pass; the largest page is far smaller [bytes].
_LARGEST: Final = 64 * 2**20
#: Headers of one connection, and those that speak of the host that was asked first.
_OWN: Final = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
#: The application sets these on every answer, its own and those passed on.
_SET_HERE: Final = frozenset(("date", "server", "x-request-id"))


def add_forwarding(app: FastAPI, plane: ControlPlane, *, ca_file: Path | None = None) -> None:
    """Let the application pass on to the leader what this control plane cannot answer.

    Parameters
    ----------
    ca_file
        Certificates in PEM that the leader's may be signed by; None: those of the system.

    Raises
    ------
    InputError
        The file holds no certificates.
    """
    try:
        trusted = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # of which ssl.SSLError is one
        raise InputError(f"{ca_file}: no certificates in PEM: {error.strerror}") from None

    async def pass_on(request: Request, error: Exception) -> Response:
        refusal = error if isinstance(error, NotLeader) else NotLeader(str(error))
        if request.method not in {"GET", "HEAD"} or PASSED_ON in request.headers:
            return answer_to(refusal)
        leader = await run_in_threadpool(plane.leader)
        if leader is None or not leader.url or leader.silent_s >= LEASE_S:
            return answer_to(NotLeader("no control plane leads now; one will in a moment"))
        if leader.epoch == plane.epoch:  # since a moment ago this one does
            return answer_to(NotLeader("this control plane has just begun to lead; ask again"))
        return await _asked(leader, request, trusted)

    app.add_exception_handler(NotLeader, pass_on)


async def _asked(leader: Leader, request: Request, trusted: ssl.SSLContext) -> Response:
    """Give the leader's answer to the request."""
    base = leader.url.rstrip("/")
    query = f"?{request.url.query}" if request.url.query else ""
    path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
    headers = [*_passed(request.headers, _OWN), (PASSED_ON, "1")]
    try:
        # Nothing of this process's environment, such as a proxy, comes between.
        async with (
            httpx.AsyncClient(verify=trusted, timeout=_TIMEOUT, trust_env=False) as client,
            client.stream(request.method, f"{base}{path}{query}", headers=headers) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > _LARGEST:
                    return answer_to(NotLeader(f"the answer of {leader.name} is too large"))
            response = Response(bytes(body), answer.status_code)
            for name, value in _passed(answer.headers, _OWN | _SET_HERE):
                response.headers.append(name, value)
            return response
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        why = f"{leader.name}, which leads, does not answer at {base}: {reason}"
        return answer_to(NotLeader(why))


def _passed(headers: Mapping[str, str], left_out: frozenset[str]) -> list[tuple[str, str]]:
    # Headers that occur more than once are joined by commas, as RFC 9110 allows.
    return [(name, value) for name, value in headers.items() if name.lower() not in left_out]

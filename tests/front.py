"""A network of two tenants behind an API that asks who they are, for tests of access."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from tieline.control.lifecycle import Status
from tieline.files.access import AccessRules
from tieline.files.network import read_network
from tieline.service.access.rules import Role
from tieline.service.access.tokens import Wanted
from tieline.service.api.app import create_app
from tieline.service.api.server import Patience, Tls, server
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane

NETWORK = """
name: shared
regions: [{id: east}]
sites:
  - id: one
    region: east
    engine: {kind: local}
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 4, POOL}]
tenants: [{id: lab, home: one}, {id: clinic, home: one}]
"""


def job(command: str = "true", tenant: str = "lab", **fields: object) -> dict[str, Any]:
    """Give a job as a client sends it."""
    return {
        "tenant": tenant,
        "workload": {"class": "hpc"},
        "accelerators": {"count": 1},
        "stacks": {"cuda": {"command": command}},
        "estimate": 1,
        **fields,
    }


@contextmanager
def network(folder: Path, *, pool: str = "trust: [open]") -> Iterator[ControlPlane]:
    """Give a control plane of the network; in the end none of its jobs runs on."""
    (folder / "shared.yaml").write_text(NETWORK.replace("POOL", pool))
    place = Placement(folder / "state", workdir=folder)
    with running(read_network(folder / "shared.yaml"), place) as plane:
        yield plane
        plane.drain("one")  # what waits does not start any more
        there = [status for status in Status if status.holds_accelerators]
        give_up = time.monotonic() + 20
        while (left := plane.jobs(status=there)) and time.monotonic() < give_up:
            for one in left:
                plane.cancel(one.id)
            time.sleep(0.05)


def token(plane: ControlPlane, role: str, tenant: str | None = None, name: str = "") -> str:
    """Give the text of a new token."""
    wanted = Wanted(name or tenant or role, Role(role), tenant)
    return plane.tokens.create(wanted, by="test")[1]


@dataclass(frozen=True)
class Caller:
    """Somebody who asks an application, without a network between them."""

    app: FastAPI
    token: str | None = None

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: object
    ) -> httpx.Response:
        """Give the answer to one request."""
        shown = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                given = {**shown, **(headers or {})}
                return await http.request(method, path, headers=given, **options)  # type: ignore[arg-type] # as given

        return asyncio.run(exchange())

    def get(self, path: str, **options: object) -> httpx.Response:
        """Ask for something."""
        return self.ask("GET", path, **options)  # type: ignore[arg-type] # as given

    def post(self, path: str, body: object = None, **options: object) -> httpx.Response:
        """Send something."""
        return self.ask("POST", path, json=body, **options)  # type: ignore[arg-type] # as given

    def submit(self, **fields: Any) -> str:  # noqa: ANN401 - fields of a job
        """Submit a job and give its id."""
        answer = self.post("/v1/jobs", job(**fields))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobs"][0]["id"])


def guarded(plane: ControlPlane, **rules: Any) -> FastAPI:  # noqa: ANN401 - fields of the rules
    """Give an application that asks who its callers are."""
    return create_app(plane, access=AccessRules(**rules))


@contextmanager
def listening(
    app: FastAPI,
    *,
    patience: Patience | None = None,
    tls: Tls | None = None,
    proxies: tuple[str, ...] = (),
) -> Iterator[tuple[str, int]]:
    """Serve an application over TCP until the block ends; give where."""
    door = socket.create_server(("127.0.0.1", 0))
    serving = server(app, patience=patience, tls=tls, proxies=proxies)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield door.getsockname()[:2]
    finally:
        serving.should_exit = True
        thread.join(20)
        door.close()


def certificate(folder: Path) -> None:
    """Leave a certificate for loopback in a folder, its key, and the key with a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tieline of a test")])
    place = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(place, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locks = {
        "key.pem": serialization.NoEncryption(),
        "locked.pem": serialization.BestAvailableEncryption(b"hush"),
    }
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    for file, lock in locks.items():
        (folder / file).write_bytes(key.private_bytes(pem, form, lock))


class Issuer:
    """An issuer of JSON Web Tokens, with keys made for one test."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.json"
        self.keys: dict[str, Any] = {}
        self.published: list[dict[str, Any]] = []
        self.add("rsa", rsa.generate_private_key(65537, 2048), "RS256")
        self.add("ec", ec.generate_private_key(ec.SECP256R1()), "ES256")

    def add(self, key_id: str, key: Any, algorithm: str) -> None:  # noqa: ANN401 - of any kind
        """Publish a new key."""
        self.keys[key_id] = (key, algorithm)
        kind = jwt.get_algorithm_by_name(algorithm)
        public = kind.to_jwk(key.public_key(), as_dict=True)
        self.published.append({**public, "kid": key_id, "use": "sig"})
        self.file.write_text(json.dumps({"keys": self.published}))

    def claims(self, **changed: object) -> dict[str, object]:
        """Give the claims of a good token of a member, some of them changed; None leaves out."""
        now = int(time.time())
        good = {
            "iss": "https://id.example.org",
            "aud": "tieline",
            "sub": "ann",
            "iat": now,
            "exp": now + 60,
            "tieline_role": "member",
            "tieline_tenant": "lab",
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(
        self, *, key: str = "rsa", headers: dict[str, Any] | None = None, **changed: object
    ) -> str:
        """Give a token signed with one of the keys."""
        private, algorithm = self.keys[key]
        head = {"kid": key} if headers is None else headers
        return jwt.encode(self.claims(**changed), private, algorithm, headers=head)

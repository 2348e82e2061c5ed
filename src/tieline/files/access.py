"""Access files: who may come in to an API that others can reach, and how often they may ask."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field

from tieline.files.document import Document, texts
from tieline.files.problems import Fault, shown
from tieline.files.schema import (
    Duration,
    Flag,
    Kind,
    Model,
    Number,
    Text,
    Unit,
    Whole,
    matching,
    one_of,
    validated,
)
from tieline.files.syntax import read_document

#: Asymmetric ones only: with HS256 whoever knows the public key could make tokens.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
ROLES: Final = ("operator", "member", "auditor")

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]")
_CLAIM: Final = re.compile(r"[^\s.]{1,100}(\.[^\s.]{1,100}){0,4}")

Host = Annotated[
    str, matching(_HOST.fullmatch), Kind("a name or address such as tieline.example.org")
]
Claim = Annotated[str, matching(_CLAIM.fullmatch), Kind("the name of a claim, such as groups")]
Algorithm = Annotated[str, one_of("algorithm", ALGORITHMS), Kind("the name of an algorithm")]
RoleName = Annotated[str, one_of("role", ROLES), Kind("a role")]
_Rate = Annotated[Number, Gt(0), Le(1_000_000), Unit("requests/s")]


class OidcFields(Model):
    """An issuer of JSON Web Tokens whose tokens are taken."""

    issuer: Text = Field(description="the `iss` of every token, exactly")
    audience: Text = Field(description="what `aud` must name: a token for others is refused")
    jwks_url: Text | None = Field(
        None, description="where the issuer's keys are; https, except on this machine"
    )
    jwks_file: Text | None = Field(
        None, description="file with the issuer's keys instead, from the folder of this file on"
    )
    algorithms: Annotated[list[Algorithm], MinLen(1), Kind("a list of at least one")] = Field(
        default=["RS256", "ES256"], description="how tokens may be signed"
    )
    name_claim: Claim = Field("sub", description="claim that names the caller, in logs and events")
    role_claim: Claim = Field(
        "tieline_role", description="claim with the role, one or several; the greatest counts"
    )
    tenant_claim: Claim = Field("tieline_tenant", description="claim with the tenant of a member")
    roles: Annotated[
        dict[Text, RoleName], Kind("values of the claim, each with operator, member or auditor")
    ] = Field(default={}, description="what values of the claim mean; empty: the roles themselves")
    leeway: Annotated[Duration, Ge(0), Le(300)] = Field(
        30.0, description="how far the clocks of both sides may differ"
    )


class LimitFields(Model):
    """How much of the service one caller can take."""

    per_identity: _Rate = Field(500.0, description="requests of one identity, in the long run")
    per_address: _Rate = Field(1000.0, description="requests from one address, in the long run")
    burst: Annotated[Duration, Gt(0), Le(60)] = Field(
        2.0, description="requests of so long may come at once"
    )
    connections: Annotated[Whole, Ge(1), Le(65536)] = Field(
        512, description="connections that are open at one time"
    )


_Issuer = Annotated[OidcFields, Kind("fields, such as `issuer: https://id.example.org`")]


class AccessFields(Model):
    """An access file."""

    tokens: Flag = Field(default=True, description="whether tokens of `tieline token` are taken")
    oidc: _Issuer | None = Field(None, description="an issuer whose JSON Web Tokens are taken")
    hosts: Annotated[list[Host], Kind("a list of names")] = Field(
        default=[], description="names that the service goes by, besides those of loopback"
    )
    proxies: Annotated[list[Text], Kind("a list of addresses or networks")] = Field(
        default=["127.0.0.1", "::1"],
        description="whose `X-Forwarded-For` counts under `--behind-tls-proxy`",
    )
    public_metrics: Flag = Field(
        default=False, description="whether `/metrics` answers callers that it does not know"
    )
    limits: Annotated[LimitFields, Kind("fields, such as `per_identity: 50`")] = Field(
        default=LimitFields(), description="how much one caller may ask for"
    )


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer of JSON Web Tokens, as an access file has it."""

    issuer: str
    audience: str
    jwks: str | Path
    """Where its keys are."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    name_claim: str = "sub"
    role_claim: str = "tieline_role"
    tenant_claim: str = "tieline_tenant"
    roles: Mapping[str, str] = field(default_factory=dict)
    """What values of the role's claim mean; empty: the roles themselves."""
    leeway_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the service one caller can take."""

    per_identity: float = 500.0
    """[requests/s] in the long run."""
    per_address: float = 1000.0
    burst_s: float = 2.0
    """Requests of so long may come at once."""
    connections: int = 512


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may come in."""

    tokens: bool = True
    oidc: Issuer | None = None
    hosts: frozenset[str] = frozenset()
    """In lower case, without brackets."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    public_metrics: bool = False
    limits: Limits = field(default_factory=Limits)


def read_access(path: str | Path) -> AccessRules:
    """Give what an access file holds.

    Raises
    ------
    FileErrors
        The file cannot be read, or has mistakes.
    """
    return access_from(read_document(Path(path)), folder=Path(path).parent)


def access_from(document: Document, *, folder: Path) -> AccessRules:
    """Give the rules that data describes; files that it names are looked for in the folder.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    found = validated(AccessFields, document, _faults)
    limits = found.limits
    return AccessRules(
        tokens=found.tokens,
        oidc=None if found.oidc is None else _issuer(found.oidc, folder),
        hosts=frozenset(host.lower().strip("[]") for host in found.hosts),
        proxies=tuple(found.proxies),
        public_metrics=found.public_metrics,
        limits=Limits(limits.per_identity, limits.per_address, limits.burst, limits.connections),
    )


def _issuer(found: OidcFields, folder: Path) -> Issuer:
    return Issuer(
        issuer=found.issuer,
        audience=found.audience,
        jwks=found.jwks_url or folder / (found.jwks_file or ""),
        algorithms=tuple(found.algorithms),
        name_claim=found.name_claim,
        role_claim=found.role_claim,
        tenant_claim=found.tenant_claim,
        roles=found.roles,
        leeway_s=found.leeway,
    )


def _faults(data: object) -> Iterator[Fault]:
    """Give what contradicts itself, and addresses that are none."""
    if not isinstance(data, dict):
        return
    oidc = data.get("oidc")
    if data.get("tokens") is False and not oidc:
        yield Fault(("tokens",), "false, without `oidc`", "nobody could come in: give one of both")
    if isinstance(oidc, dict) and ("jwks_url" in oidc) == ("jwks_file" in oidc):
        found = "both places of keys" if "jwks_url" in oidc else "no place of keys"
        yield Fault(("oidc",), found, "needed: jwks_url or jwks_file, one of them")
    for loc, url in texts(data, "oidc.jwks_url"):
        if not _is_safe(url):
            yield Fault(loc, shown(url), "allowed: an https address; http on this machine only")
    for loc, text in texts(data, "proxies.*"):
        try:
            ip_network(text)
        except ValueError:
            allowed = "allowed: an address or a network, such as 10.0.0.0/8"
            yield Fault(loc, shown(text), allowed)


def _is_safe(url: str) -> bool:
    """Tell whether keys from this address are the issuer's own."""
    try:
        place = urlsplit(url)
        name = place.hostname or ""
        if place.scheme == "https":
            return bool(name)
        return place.scheme == "http" and (name == "localhost" or ip_address(name).is_loopback)
    except ValueError:
        return False

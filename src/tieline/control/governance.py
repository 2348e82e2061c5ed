"""What the store keeps beside jobs: who leads, which sites are drained, who may come in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drain:
    """A site that an operator has closed to new work."""

    site: str
    at: float
    by: str
    """Who ordered it."""
    reason: str = ""

    @property
    def told(self) -> str:
        """Who closed it and why, in words."""
        by = f" by {self.by}" if self.by else ""
        return f"drained{by}: {self.reason}" if self.reason else f"drained{by}"


@dataclass(frozen=True, slots=True)
class Leader:
    """The control plane that runs the loop."""

    epoch: int
    """1 for the first leader of a store, and one more for each after it."""
    name: str
    """Which process it is, such as `host:1234`."""
    url: str
    """Address of its API."""
    silent_s: float
    """Time since it last renewed, by the clock of the store [s]."""


@dataclass(frozen=True, slots=True)
class Token:
    """A secret by which a program or a person is known to the API; the secret is not in it."""

    id: str
    name: str
    """Whose it is, for people."""
    role: str
    """`operator`, `member` or `auditor`."""
    tenant: str | None
    """The tenant of a member; None for the other roles."""
    digest: str
    """SHA-256 of the secret, 64 hex digits."""
    created_at: float
    expires_at: float
    revoked_at: float | None = None

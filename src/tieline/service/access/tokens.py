"""Tokens: secrets by which programs and people are known to the API.

    tl_ID_SECRET        ID finds the token in the store, SECRET proves it

The secret has 256 random bits, so that its plain SHA-256 is enough: there is nothing to guess.
It is shown once, when it is made, and kept nowhere.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from tieline.control.governance import Token
from tieline.control.ports import Clock, Store
from tieline.model.errors import InputError
from tieline.model.units import format_duration
from tieline.service.access.rules import Identity, Role
from tieline.service.errors import BAD_TOKEN, EXPIRED_TOKEN, REVOKED_TOKEN, Refused
from tieline.wire.schemas import DEFAULT_LIFE_S, LONGEST_LIFE_S

_TOKEN: Final = re.compile(r"tl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_NAME: Final = 100
#: Compared with when there is no such token, so that both take the same time.
_NOBODY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token that is to be made."""

    name: str
    """Whose it will be, for people."""
    role: Role
    tenant: str | None = None
    life_s: float = DEFAULT_LIFE_S

    def check(self) -> None:
        """Demand that all fits together.

        Raises
        ------
        InputError
            Something does not; the message names it.
        """
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > _LONGEST_NAME:
            raise InputError(
                f"name {self.name!r}; allowed: one line of at most {_LONGEST_NAME} characters"
            )
        if (self.role is Role.MEMBER) != (self.tenant is not None):
            raise InputError("tenant: a member has one, the other roles have none")
        if self.tenant is not None and not _TENANT.fullmatch(self.tenant):
            raise InputError(f"tenant {self.tenant!r}; allowed: the id of a tenant")
        if not 0 < self.life_s <= LONGEST_LIFE_S:
            longest = format_duration(LONGEST_LIFE_S)
            raise InputError(
                f"life {format_duration(self.life_s)}; allowed: above 0, at most {longest}"
            )


class Tokens:
    """Makes, finds and revokes tokens. Threads may share it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keep where tokens are kept, and what tells the time."""
        self._store = store
        self._clock = clock

    def create(self, wanted: Wanted, *, by: str) -> tuple[Token, str]:
        """Make a token; give it and its text, which is known to nobody afterwards.

        Raises
        ------
        InputError
            What is wanted does not fit together.
        """
        wanted.check()
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(6),
            name=wanted.name,
            role=wanted.role,
            tenant=wanted.tenant,
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            created_at=now,
            expires_at=now + wanted.life_s,
        )
        self._store.add_token(token, by=by)
        return token, f"tl_{token.id}_{secret}"

    def identify(self, text: str) -> tuple[Identity, float]:
        """Give whose token it is, and until when that holds (UTC epoch [s]).

        Raises
        ------
        Refused
            There is no such token, or it does not count any more.
        """
        parts = _TOKEN.fullmatch(text)
        token = self._store.token(parts[1]) if parts else None
        secret = parts[2] if parts else ""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        known = hmac.compare_digest(digest, token.digest if token else _NOBODY)
        if token is None or not known:
            raise Refused(BAD_TOKEN, "there is no such token")
        if token.revoked_at is not None:
            raise Refused(REVOKED_TOKEN, f"token {token.id} was revoked")
        if self._clock.now() >= token.expires_at:
            raise Refused(EXPIRED_TOKEN, f"token {token.id} has expired; ask for a new one")
        return Identity(token.name, Role(token.role), token.tenant), token.expires_at

    def all(self) -> list[Token]:
        """Give all tokens, also expired and revoked ones, the newest first."""
        return self._store.tokens()

    def revoke(self, token_id: str, *, by: str) -> Token:
        """Make a token useless from now on, and give it. Idempotent.

        Raises
        ------
        NotFoundError
            There is no such token.
        """
        return self._store.revoke_token(token_id, now=self._clock.now(), by=by)

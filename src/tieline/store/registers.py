"""Sites that are closed to new work, and the tokens of the API."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import Row, bindparam, select

from tieline.control.governance import Drain, Token
from tieline.model.errors import ConflictError, NotFoundError
from tieline.store.ledger import Ledger
from tieline.store.schema import DRAINS, TOKENS
from tieline.store.submissions import storable

DRAINED: Final = "site-drained"
RESUMED: Final = "site-resumed"
CREATED: Final = "token-created"
REVOKED: Final = "token-revoked"

#: What the log tells of a token. Its digest is nobody's business.
_TOLD: Final = ("name", "role", "tenant", "expires_at")


DRAINS_NOW: Final = select(DRAINS).order_by(DRAINS.c.site)
TOKENS_BY_AGE: Final = select(TOKENS).order_by(TOKENS.c.created_at.desc(), TOKENS.c.id)
TOKEN: Final = select(TOKENS).where(TOKENS.c.id == bindparam("this"))


def drains(rows: Iterable[Row[Any]]) -> Mapping[str, Drain]:
    """Give the sites in rows of `DRAINS`, by id."""
    return {row.site: Drain(row.site, row.at, row.by, row.reason) for row in rows}


def drain(ledger: Ledger, wanted: Drain) -> Drain:
    """Close a site to new work; one that is closed stays as it is."""
    there = drains(ledger.connection().execute(DRAINS_NOW)).get(wanted.site)
    if there is not None:
        return there
    kept = replace(wanted, reason=storable(wanted.reason))
    ledger.connection().execute(DRAINS.insert(), asdict(kept))
    said = {"site": kept.site, "by": kept.by, "reason": kept.reason}
    ledger.log(kept.at, None, DRAINED, said)
    return kept


def resume(ledger: Ledger, site: str, now: float, by: str) -> None:
    """Open a drained site again; the log has it also of one that was not drained."""
    ledger.connection().execute(DRAINS.delete().where(DRAINS.c.site == site))
    ledger.log(now, None, RESUMED, {"site": site, "by": by})


def token(row: Sequence[Any]) -> Token:
    """Give the token in a row of `TOKENS`."""
    return Token(*row)


def add_token(ledger: Ledger, new: Token, by: str) -> None:
    """Keep a token.

    Raises
    ------
    ConflictError
        There is one of that id.
    """
    if _found(ledger, new.id) is not None:
        raise ConflictError(f"there is a token {new.id!r} already; take another id")
    kept = replace(new, name=storable(new.name))
    ledger.connection().execute(TOKENS.insert(), asdict(kept))
    told = {name: getattr(kept, name) for name in _TOLD}
    ledger.log(new.created_at, None, CREATED, {"token": new.id, **told, "by": by})


def revoke_token(ledger: Ledger, token_id: str, now: float, by: str) -> Token:
    """Make a token useless and give it; one that was revoked stays as it is.

    Raises
    ------
    NotFoundError
        There is no such token.
    """
    found = _found(ledger, token_id)
    if found is None:
        raise NotFoundError(f"there is no token {token_id!r}")
    if found.revoked_at is not None:
        return found
    change = TOKENS.update().where(TOKENS.c.id == token_id).values(revoked_at=now)
    ledger.connection().execute(change)
    ledger.log(now, None, REVOKED, {"token": token_id, "by": by})
    return replace(found, revoked_at=now)


def _found(ledger: Ledger, token_id: str) -> Token | None:
    row = ledger.connection().execute(TOKEN, {"this": token_id}).first()
    return None if row is None else token(row)

"""The tokens of a store, for whoever may open it: before there is the first token."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tieline.model.errors import InputError
from tieline.service import answers
from tieline.service.access.rules import LOCAL, Role
from tieline.service.access.tokens import Tokens, Wanted
from tieline.store import open_store, without_secret
from tieline.wire import schemas
from tieline.wire.schemas import DEFAULT_LIFE_S

_SQLITE: Final = "sqlite:///"


class StoreTokens:
    """What the client offers for tokens, straight on a store."""

    def __init__(self, tokens: Tokens) -> None:
        """Keep the tokens."""
        self._tokens = tokens

    def create_token(
        self, name: str, role: str, *, tenant: str | None = None, life_s: float | None = None
    ) -> schemas.NewToken:
        """Make a token and give it with its text, which is told only this once."""
        wanted = Wanted(name, Role(role), tenant, DEFAULT_LIFE_S if life_s is None else life_s)
        return answers.new_token(*self._tokens.create(wanted, by=LOCAL.name))

    def tokens(self) -> list[schemas.Token]:
        """Give all tokens without their texts, the newest first."""
        return [answers.token(one) for one in self._tokens.all()]

    def revoke_token(self, token_id: str) -> schemas.Token:
        """Make a token useless from now on, and give it. Idempotent."""
        return answers.token(self._tokens.revoke(token_id, by=LOCAL.name))


@contextmanager
def tokens_of(store_url: str) -> Iterator[StoreTokens]:
    """Give the tokens of a store.

    Raises
    ------
    InputError
        There is no such store, or it cannot be used.
    """
    file = store_url.removeprefix(_SQLITE)
    if file != store_url and not Path(file).exists():
        raise InputError(
            f"store {without_secret(store_url)}: there is no such file; check the path, or start "
            "`tieline up` once"
        )
    with closing(open_store(store_url)) as store:
        yield StoreTokens(Tokens(store, _Clock()))


class _Clock:
    def now(self) -> float:
        return time.time()

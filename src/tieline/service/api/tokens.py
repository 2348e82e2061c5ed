"""The routes of tokens, for operators."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Query

from tieline.service import answers
from tieline.service.access.rules import Operator, Role
from tieline.service.access.tokens import Tokens, Wanted
from tieline.service.api.bodies import Body, message
from tieline.service.api.routing import BODY, CHANGE, CONFLICT, JOB, PARAMETERS, Routes
from tieline.wire.schemas import MAX_PAGE, NewToken, Token, TokenRequest
from tieline.wire.schemas import Tokens as TokenPage

_LIMIT: Final = Query(ge=1, le=MAX_PAGE)
_AFTER: Final = Query(max_length=200, description="`next` of the page before")
_REQUEST: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": TokenRequest.model_json_schema()}},
    }
}


def add_token_routes(routes: Routes, tokens: Tokens, forget: Callable[[], None]) -> None:
    """Add making, listing and revoking; `forget` has all callers looked up again."""

    @routes.add(
        "POST",
        "/tokens",
        status=201,
        fails=(*BODY, *CONFLICT, *CHANGE),
        openapi_extra=_REQUEST,
    )
    def create(caller: Operator, body: Body) -> NewToken:
        """Make a token. Its text is in this answer and nowhere else, ever."""
        asked = message(TokenRequest, body)
        wanted = Wanted(asked.name, Role(asked.role), asked.tenant, asked.life_s)
        return answers.new_token(*tokens.create(wanted, by=caller.name))

    @routes.add("GET", "/tokens", fails=PARAMETERS)
    def listed(
        _: Operator,
        limit: Annotated[int, _LIMIT] = 100,
        after: Annotated[str | None, _AFTER] = None,
    ) -> TokenPage:
        """Give all tokens without their secrets, the newest first, in pages."""
        return answers.tokens(tokens.all(), limit=limit, after=after)

    @routes.add("DELETE", "/tokens/{token_id}", fails=(*JOB, *CHANGE))
    def revoke(caller: Operator, token_id: str) -> Token:
        """Make a token useless from now on. Its line stays, for the record."""
        found = tokens.revoke(token_id, by=caller.name)
        forget()
        return answers.token(found)

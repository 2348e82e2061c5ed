"""`tieline token`: the tokens by which an API that asks for them knows its callers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

import click

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, print_json, table
from tieline.files.access import ROLES
from tieline.model.errors import InputError
from tieline.model.units import QuantityError, format_duration, parse_duration
from tieline.wire import schemas
from tieline.wire.schemas import DEFAULT_LIFE_S, LONGEST_LIFE_S

_LIST: Final = "`tieline token list` lists the tokens"
_STORE: Final = click.option(
    "--store",
    "store_url",
    metavar="URL",
    help="Open this store instead of asking a control plane: for the first token.",
)


class _Keeper(Protocol):
    """A control plane or a store, as far as tokens go; the client has these methods, too."""

    def create_token(
        self, name: str, role: str, *, tenant: str | None = None, life_s: float | None = None
    ) -> schemas.NewToken: ...

    def tokens(self) -> list[schemas.Token]: ...

    def revoke_token(self, token_id: str) -> schemas.Token: ...


@contextmanager
def _keeper(url: str | None, store_url: str | None) -> Iterator[_Keeper]:
    """Give who keeps the tokens."""
    if url is not None and store_url is not None:
        raise InputError("--store, --url: give one of them, or none")
    if store_url is None:
        with connected(url, _LIST) as client:
            yield client
        return
    # Imported here: whoever asks a control plane does without database and server.
    from tieline.service.store_tokens import tokens_of  # noqa: PLC0415

    with tokens_of(store_url) as tokens:
        yield tokens


def _life(context: click.Context, parameter: click.Parameter, text: str) -> float:
    del context, parameter
    try:
        life_s = parse_duration(text)
    except QuantityError as error:
        raise InputError(f"--expires {text}: {error.found}; allowed: {error.allowed}") from None
    if not 0 < life_s <= LONGEST_LIFE_S:
        longest = format_duration(LONGEST_LIFE_S)
        raise InputError(f"--expires {text}: allowed: above 0, at most {longest}")
    return life_s


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of an API that asks for them."""


@token.command()
@click.option("--name", required=True, metavar="NAME", help="Whose it is, for people.")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What it may do.")
@click.option("--tenant", metavar="TENANT", help="Whose jobs a member sees and submits.")
@click.option(
    "--expires",
    "life_s",
    metavar="DURATION",
    default=format_duration(DEFAULT_LIFE_S),
    show_default=True,
    callback=_life,
    help="How long it counts; two years at most.",
)
@AS_JSON
@_STORE
@URL
def create(
    url: str | None,
    store_url: str | None,
    *,
    name: str,
    role: str,
    tenant: str | None,
    life_s: float,
    as_json: bool,
) -> None:
    """Make a token and print it: it is shown now and never again.

    The first one of a network is made on its store; whoever may open that is its operator.
    """
    with _keeper(url, store_url) as keeper:
        made = keeper.create_token(name, role, tenant=tenant, life_s=life_s)
    if as_json:
        print_json(made)
        return
    click.echo(made.token)
    whose = f"{made.role} of {made.tenant}" if made.tenant else made.role
    click.echo(
        f"token {made.id} of {made.name}, {whose}, until {_day(made.expires_at)}; keep it: it is "
        "shown only now",
        err=True,
    )


@token.command(name="list")
@AS_JSON
@_STORE
@URL
def list_tokens(url: str | None, store_url: str | None, *, as_json: bool) -> None:
    """List all tokens without their secrets, the newest first."""
    with _keeper(url, store_url) as keeper:
        found = keeper.tokens()
    if as_json:
        print_json({"tokens": [one.model_dump(mode="json") for one in found]})
        return
    _show(found, time.time())


@token.command()
@click.argument("token_ids", nargs=-1, required=True, metavar="ID...")
@_STORE
@URL
def revoke(token_ids: Sequence[str], url: str | None, store_url: str | None) -> None:
    """Make tokens useless from now on. Their lines stay, for the record."""
    with _keeper(url, store_url) as keeper:
        for token_id in token_ids:
            gone = keeper.revoke_token(token_id)
            click.echo(f"token {gone.id} of {gone.name} is revoked")


def _show(found: Sequence[schemas.Token], now: float) -> None:
    made = table("id", "name", "role", "tenant", "state", "until")
    for one in found:
        state = "revoked" if one.revoked_at else "expired" if now >= one.expires_at else "counts"
        made.add_row(one.id, one.name, one.role, one.tenant or "-", state, _day(one.expires_at))
    console().print(made)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")

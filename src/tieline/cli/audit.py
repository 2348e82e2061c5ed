"""`tieline audit`: whether a store is what was written, and keeps what is promised."""

import re
from typing import Final

import click

from tieline.cli.remote import AS_JSON
from tieline.cli.screen import print_json
from tieline.control.chain import Break, Head
from tieline.files.network import read_network
from tieline.model.errors import InputError
from tieline.service.audit import audit as audit_store
from tieline.service.audit import verify_log

_STORE: Final = click.option(
    "--store", "url", metavar="URL", required=True, help="The store, as given to `tieline up`."
)
_HEAD: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.group()
def audit() -> None:
    """Check a store, in use or not: nothing is written. Exit code 1 when something is wrong."""


@audit.command()
@_STORE
@click.option(
    "--from-head",
    "noted",
    metavar="SEQ:HASH",
    help="A head noted earlier, which the log must still have: shows that no lines are gone "
    "from its end.",
)
@AS_JSON
@click.pass_context
def verify(context: click.Context, url: str, noted: str | None, *, as_json: bool) -> None:
    """Verify the hash chain of the event log, and print its head to be noted elsewhere."""
    found = verify_log(url, None if noted is None else _head(noted))
    if isinstance(found, Break):
        answer: dict[str, object] = {"ok": False, "line": found.seq, "problem": found.text}
        text = f"line {found.seq}: {found.text}"
    else:
        answer = {"ok": True, "head": str(found)}
        text = f"{found.seq:,} lines are as they were written; head {found}"
    if as_json:
        print_json(answer)
    else:
        click.echo(text)
    context.exit(int(isinstance(found, Break)))


@audit.command()
@_STORE
@click.option(
    "--network",
    "file",
    metavar="NETWORK",
    help="Check too that no pool ever held more than it has by this file.",
)
@AS_JSON
@click.pass_context
def check(context: click.Context, url: str, file: str | None, *, as_json: bool) -> None:
    """Check all that a store promises: the chain, every step of every job, every attempt."""
    head, findings = audit_store(url, read_network(file) if file else None)
    if as_json:
        rows = [{"subject": one.subject, "problem": one.text} for one in findings]
        print_json({"ok": not findings, "head": str(head), "findings": rows})
    else:
        for one in findings:
            click.echo(str(one))
        what = f"{len(findings):,} findings" if findings else "nothing is wrong"
        click.echo(f"{what} in {head.seq:,} lines; head {head}")
    context.exit(int(bool(findings)))


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise InputError(
            f"--from-head {text}: not a head; write it as `tieline audit verify` does"
        )
    return Head(int(found[1]), found[2])

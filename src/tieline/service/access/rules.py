"""Who may do what: roles, identities, and the rule that each route of the API carries.

A member sees the jobs of its own tenant and no others: those of other tenants are answered as
jobs that do not exist. An auditor reads all but what jobs run, hold and print. An operator may
do everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from tieline.control.ports import JobRecord
from tieline.model.errors import AccessDenied, NotFoundError
from tieline.model.job import JobSpec
from tieline.service.errors import UNAUTHENTICATED, Refused


class Role(StrEnum):
    """What a caller is to the control plane."""

    OPERATOR = "operator"
    MEMBER = "member"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a request comes from."""

    name: str
    role: Role
    tenant: str | None = None
    """The tenant of a member; None for the other roles."""

    def sees(self, tenant: str) -> bool:
        """Tell whether the tenant's jobs exist for this caller."""
        return self.role is not Role.MEMBER or self.tenant == tenant

    def key(self, key: str | None) -> str | None:
        """Give an idempotency key that no caller of another tenant can mean."""
        return None if key is None else f"{self.tenant or ''}/{key}"


#: Every caller, where the service asks nobody who they are.
LOCAL: Final = Identity("local", Role.OPERATOR)

#: Key under which the guard leaves the caller in the scope of a request.
CALLER: Final = "tieline.caller"


class Public:
    """The rule of a route that answers everybody, also those whom it does not know."""

    async def __call__(self) -> None:
        """Let everybody in."""


class Allowed(SecurityBase):
    """The rule of a route that answers certain roles; it gives the caller."""

    def __init__(self, *roles: Role) -> None:
        """Name the roles that may."""
        self.roles: Final = roles
        self.model = HTTPBearer(description="A token of `tieline token create`, or a JWT.")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Identity:
        """Give the caller.

        Raises
        ------
        Refused
            It has shown nothing by which it could be known.
        AccessDenied
            It has another role.
        """
        caller: Identity | None = request.scope.get(CALLER)
        if caller is None:
            raise Refused(
                UNAUTHENTICATED,
                "who are you? Send the header `Authorization: Bearer TOKEN`; an operator makes "
                "tokens with `tieline token create`",
            )
        if caller.role not in self.roles:
            raise AccessDenied(
                f"{caller.name} is {_a(caller.role)}; this is for {' and '.join(self.roles)}s"
            )
        return caller


Anyone = Annotated[Identity, Depends(Allowed(Role.OPERATOR, Role.MEMBER, Role.AUDITOR))]
Worker = Annotated[Identity, Depends(Allowed(Role.OPERATOR, Role.MEMBER))]
Reviewer = Annotated[Identity, Depends(Allowed(Role.OPERATOR, Role.AUDITOR))]
Operator = Annotated[Identity, Depends(Allowed(Role.OPERATOR))]
#: For a route without a caller.
PUBLIC: Final = Depends(Public())


def demand_own(caller: Identity, specs: Sequence[JobSpec]) -> None:
    """Refuse jobs that a member submits for another tenant than its own.

    Raises
    ------
    AccessDenied
        There is one.
    """
    for number, spec in enumerate(specs):
        if not caller.sees(spec.tenant):
            raise AccessDenied(
                f"jobs[{number}].tenant: {caller.name} submits for {caller.tenant} only"
            )


def own(caller: Identity, record: JobRecord, asked: str) -> JobRecord:
    """Give the job that was asked for, if it exists for the caller.

    Raises
    ------
    NotFoundError
        It does not; the words are those of the store for a job that nobody has.
    """
    if not caller.sees(record.spec.tenant):
        raise NotFoundError(f"there is no job {asked!r}")
    return record


def _a(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"

"""The policies by name. A new policy is one file in `policies/` and one line here."""

from collections.abc import Mapping
from typing import Final

from tieline.model.errors import InputError
from tieline.scheduling.policies.backfill import BACKFILL
from tieline.scheduling.policies.fair import FAIR
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policies.finish_time import FINISH_TIME
from tieline.scheduling.policies.isolated import ISOLATED
from tieline.scheduling.policies.price import PRICE
from tieline.scheduling.policies.shortest import SHORTEST
from tieline.scheduling.policy import Policy

POLICIES: Final[Mapping[str, Policy]] = {
    policy.name: policy
    for policy in (ISOLATED, FIFO, BACKFILL, FAIR, FINISH_TIME, SHORTEST, PRICE)
}

#: The policy of a network that names none.
DEFAULT_POLICY: Final = PRICE.name


def policy_named(name: str) -> Policy:
    """Give the policy of that name.

    Raises
    ------
    InputError
        No such policy; the message lists them.
    """
    try:
        return POLICIES[name]
    except KeyError:
        known = ", ".join(POLICIES)
        raise InputError(f"unknown policy {name!r}; known: {known}") from None

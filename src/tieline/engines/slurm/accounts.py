"""As whom a tenant's commands run at a site."""

import os
import pwd
from collections.abc import Mapping
from typing import Final

from tieline.control.ports import RunOrder
from tieline.engines.slurm.options import Options
from tieline.model.errors import InputError, OrderRefused
from tieline.model.network import Site

_ALL_OTHERS: Final = "*"


def check_accounts(site: Site, options: Options) -> list[str]:
    """Give the users of the site that runs belong to, sorted.

    Raises
    ------
    InputError
        There are none, or everybody would run with the rights of the control plane.
    """
    if not site.accounts:
        raise InputError(
            f"site {site.id}: accounts: say as whom commands run there, such as `accounts: "
            f"{{lab-a: alice}}`; nobody runs as the control plane's user by accident"
        )
    own = pwd.getpwuid(os.geteuid()).pw_name if options.ssh is None else None
    if own is not None and site.accounts.get(_ALL_OTHERS) == own:
        raise InputError(
            f"site {site.id}: accounts: `*` names {own}, the user of the control plane; name "
            f"another, or name the tenants one by one"
        )
    return sorted(set(site.accounts.values()))


def account_of(order: RunOrder, site_id: str, accounts: Mapping[str, str]) -> str:
    """Give the user as whom an order runs.

    Raises
    ------
    OrderRefused
        Its tenant has no account there.
    """
    user = accounts.get(order.tenant, accounts.get(_ALL_OTHERS))
    if user is None:
        raise OrderRefused(
            f"order {order.token!r}: tenant {order.tenant!r} has no account at site {site_id}; "
            f"name one in the site's `accounts`"
        )
    return user

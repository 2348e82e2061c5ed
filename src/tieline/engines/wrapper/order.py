"""What an order must be like before a wrapper is started for it."""

import math
import re
from collections.abc import Mapping
from typing import Final

from tieline.control.ports import RunOrder
from tieline.model.errors import OrderRefused
from tieline.model.network import Pool

#: Linux takes no longer argument or variable (MAX_ARG_STRLEN, its terminating zero included).
MAX_STRING_BYTES: Final = (1 << 17) - 1

_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_token(text: str) -> bool:
    """Tell whether the text can be a token, and so the name of a run directory."""
    return _TOKEN.fullmatch(text) is not None


def check_order(order: RunOrder, pools: Mapping[str, Pool]) -> Pool:
    """Give the pool of an order that can run.

    Raises
    ------
    OrderRefused
        It never can: the message says what is wrong and what is allowed.
    """
    pool = pools.get(order.pool)
    if pool is None:
        known = ", ".join(pools) or "none"
        raise _refusal(order, f"pool {order.pool!r} is not at this site; its pools: {known}")
    if not 1 <= order.count <= pool.capacity:
        allowed = f"{pool.id} has {pool.capacity}"
        raise _refusal(order, f"{order.count} accelerators are asked for, {allowed}")
    limit_s = order.time_limit_s
    if limit_s is not None and not (math.isfinite(limit_s) and limit_s > 0):
        raise _refusal(order, f"the time limit is {limit_s} s; it must be above 0, or absent")
    if not is_token(order.token):
        form = "letters, digits, '.', '_' and '-', at most 200, the first a letter or digit"
        raise _refusal(order, f"the token may have only {form}")
    if not order.command.strip():
        raise _refusal(order, "the command is empty")
    _check_strings(order)
    return pool


def _check_strings(order: RunOrder) -> None:
    for name in order.env:
        if not _VARIABLE.fullmatch(name):
            raise _refusal(order, f"{name!r} is no name of an environment variable")
    strings = {
        "the job id": order.job_id,
        "the tenant": order.tenant,
        "the command": order.command,
        **{f"the variable {name}": f"{name}={value}" for name, value in order.env.items()},
    }
    for what, text in strings.items():
        if "\0" in text:
            raise _refusal(order, f"{what} holds a zero byte")
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise _refusal(order, f"{what} is not valid Unicode text") from None
        if size > MAX_STRING_BYTES:
            raise _refusal(
                order,
                f"{what} is {size:,} bytes long, {MAX_STRING_BYTES:,} are allowed: "
                f"put the rest into a file",
            )


def _refusal(order: RunOrder, reason: str) -> OrderRefused:
    return OrderRefused(f"order {order.token!r}: {reason}")

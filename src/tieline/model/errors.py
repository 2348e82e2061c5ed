"""Errors a caller can act on.

    TielineError
    ├── InputError          wrong input: exit code 2, HTTP 422
    ├── NotFoundError       no such job, site, accelerator: HTTP 404
    ├── ConflictError       the state does not allow it: HTTP 409
    ├── AccessDenied        the caller may not do that: HTTP 403
    ├── StoreUnavailable    locked or out of space; nothing was written: HTTP 503
    ├── NotLeader           another control plane leads, or none does now: HTTP 503
    └── EngineError
        ├── EngineUnavailable   try again later; nothing is known about the site now
        └── OrderRefused        the site will never run this order

`code` is stable and meant for programs; the message is meant for people.
"""


class TielineError(Exception):
    """The root of everything Tieline raises on purpose."""

    code = "tieline"


class InputError(TielineError):
    """The input is wrong; the message names the place and the mend."""

    code = "input"


class NotFoundError(TielineError):
    """Nothing has that identifier."""

    code = "not-found"


class ConflictError(TielineError):
    """The thing exists, but its present state does not allow the request."""

    code = "conflict"


class StoreUnavailable(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """The store cannot be read or written now; nothing was, and the call may be made again."""

    code = "store-unavailable"


class AccessDenied(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """The caller is known and may not do that; the message says who may."""

    code = "access-denied"


class NotLeader(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """Only the leader may do that, and this control plane does not lead (any more)."""

    code = "not-leader"


class EngineError(TielineError):
    """An engine did not do what it was asked."""

    code = "engine"


class EngineUnavailable(EngineError):  # noqa: N818 - a condition, not a fault of ours
    """The site does not answer now; whether the request took effect is unknown."""

    code = "engine-unavailable"


class OrderRefused(EngineError):  # noqa: N818 - a condition, not a fault of ours
    """The site answered that it will never run this order; nothing has run."""

    code = "order-refused"

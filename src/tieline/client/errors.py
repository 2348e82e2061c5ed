"""What a client raises besides the errors of the model, and what each answer becomes."""

from http import HTTPStatus
from typing import Final

from tieline.model.errors import (
    AccessDenied,
    ConflictError,
    EngineUnavailable,
    InputError,
    NotFoundError,
    NotLeader,
    StoreUnavailable,
    TielineError,
)
from tieline.wire.schemas import Failure


class NoControlPlane(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """Nothing answers at the address, or what answers is no control plane."""

    code = "no-control-plane"


class Unauthorised(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """The control plane does not know the caller: there is no token, or none that counts."""

    code = "unauthorised"


class RateLimited(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """The caller asks more often than it may, and waiting a while has not helped."""

    code = "rate-limited"


class Refusal(InputError):  # noqa: N818 - it holds several
    """The control plane found mistakes in what was sent."""

    def __init__(self, failure: Failure) -> None:
        """Keep the mistakes with their fields."""
        super().__init__(failure.message)
        self.problems: Final = tuple(failure.problems)


#: The errors that a caller tells apart, by the code of the answer.
_BY_CODE: Final[dict[str, type[TielineError]]] = {
    error.code: error
    for error in (
        AccessDenied,
        ConflictError,
        EngineUnavailable,
        NotFoundError,
        NotLeader,
        StoreUnavailable,
    )
}
#: Others, which have several codes, by the status.
_BY_STATUS: Final[dict[int, type[TielineError]]] = {
    HTTPStatus.FORBIDDEN: AccessDenied,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
}


def error_of(status: int, failure: Failure) -> TielineError:
    """Give the error that an answer stands for, its message saying what to do about it."""
    kind = _BY_CODE.get(failure.code) or _BY_STATUS.get(status)
    if kind is not None:
        return kind(failure.message)
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorised(
            f"{failure.message}: set TIELINE_TOKEN, or write the token into the file "
            "~/.config/tieline/token; an operator makes one with `tieline token create`"
        )
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refusal(failure)
    return TielineError(failure.message)

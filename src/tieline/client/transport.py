"""Requests that may be made again: sent, repeated where that helps, their errors given types."""

import ssl
import time
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import ValidationError

from tieline.client.address import DEFAULT_URL
from tieline.client.credentials import demand_privacy, find_token, trusted
from tieline.client.errors import NoControlPlane, error_of
from tieline.model.errors import EngineUnavailable, InputError, TielineError
from tieline.wire.schemas import Failure

#: The answer was lost on the way; the request may have been carried out.
_BROKEN_OFF: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
#: Answers after which the same request is made again.
_AGAIN: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
#: Before it is, unless the answer says when: the first time, and at most [s].
_PAUSE_S: Final = (0.2, 2.0)


class Transport:
    """Sends requests to one control plane. Threads may share it."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: str | None = None,
        timeout_s: float,
        patience_s: float,
    ) -> None:
        """Keep the address; nothing is sent yet.

        Raises
        ------
        InputError
            The address, the token or the authority cannot be used.
        """
        place = _address(url)
        self.url: Final = url.rstrip("/")
        shown = find_token(token)
        if shown is not None:
            demand_privacy(place)
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=f"{self.url}/v1",
            timeout=timeout_s,
            headers={} if shown is None else {"Authorization": f"Bearer {shown}"},
            verify=trusted(place, ca),
            # Proxies of the environment are for the outer world, not for a control plane nearby.
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def send(self, method: str, path: str, **options: object) -> httpx.Response:
        """Give the answer to a request, once it is one of success.

        Who asks too often, or at a moment when nobody leads, asks again until patience ends.
        """
        request = self._http.build_request(method, path, **options)  # type: ignore[arg-type] # as given
        give_up = time.monotonic() + self._patience_s
        pause_s = _PAUSE_S[0]
        while True:
            answer = self._answer(request)
            if answer.is_success:
                return answer
            error = self._error(answer)
            wait_s = _told(answer) or pause_s
            again = answer.status_code in _AGAIN and not isinstance(error, EngineUnavailable)
            if not again or time.monotonic() + wait_s > give_up:
                raise error
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _PAUSE_S[1])

    def stranger(self) -> NoControlPlane:
        """Give the error of an answer that no control plane gives."""
        return NoControlPlane(f"what answers at {self.url} is no control plane of this version")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            try:
                return self._http.send(request)
            except _BROKEN_OFF:
                return self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreached(error) from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise NoControlPlane(f"the control plane at {self.url} broke off: {reason}") from None

    def _unreached(self, error: BaseException | None) -> NoControlPlane:
        while error is not None:
            if isinstance(error, ssl.SSLError):
                reason = getattr(error, "verify_message", "") or error.reason
                return NoControlPlane(
                    f"{self.url} cannot be trusted: {reason}; TIELINE_CA names the file of the "
                    "authority that vouches for it"
                )
            error = error.__cause__ or error.__context__
        return NoControlPlane(
            f"no control plane answers at {self.url}: start one with `tieline up NETWORK.yaml`"
        )

    def _error(self, answer: httpx.Response) -> TielineError:
        try:
            failure = Failure.model_validate_json(answer.content)
        except ValidationError:
            return self.stranger()
        return error_of(answer.status_code, failure)


def _told(answer: httpx.Response) -> float:
    """Give how long an answer asks to wait [s]; 0 when it does not say."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:  # a date, as proxies may write
        return 0.0


def _address(url: str) -> httpx.URL:
    try:
        place = httpx.URL(url)
    except httpx.InvalidURL:
        place = httpx.URL()
    if place.scheme not in {"http", "https"} or not place.host:
        raise InputError(f"{url!r} is no address of a control plane; such as {DEFAULT_URL}")
    return place

"""From what a request shows to who its caller is."""

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Final

from tieline.files.access import AccessRules
from tieline.service.access.oidc import Oidc
from tieline.service.access.rules import LOCAL, Identity
from tieline.service.access.tokens import Tokens
from tieline.service.errors import BAD_TOKEN, Refused

#: So long a caller that was known is known without asking again [s]: a token that another process
#: revokes counts for this long at most. Nobody is kept as unknown.
_KNOWN_S: Final = 2.0
_MOST_KNOWN: Final = 10_000
_SCHEME: Final = "bearer "
_LONGEST: Final = 8192


class Callers:
    """Knows callers by their tokens. Threads may share it."""

    def __init__(
        self,
        rules: AccessRules | None,
        tokens: Tokens,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the rules; None: nobody is asked, every caller is the local operator."""
        self.asked: Final = rules is not None
        self._tokens = tokens if rules and rules.tokens else None
        self._oidc = Oidc(rules.oidc, monotonic) if rules and rules.oidc else None
        self._monotonic = monotonic
        self._clock = clock
        self._known: dict[bytes, tuple[Identity, float]] = {}
        self._lock = threading.Lock()

    def recall(self, header: str | None) -> Identity | None:
        """Give the caller by the header `Authorization` where that needs no waiting."""
        if not self.asked:
            return LOCAL
        if header is None:
            return None
        found = self._known.get(_mark(header))
        return found[0] if found and self._monotonic() < found[1] else None

    def identify(self, header: str) -> Identity:
        """Give the caller by the header `Authorization`; may wait for the store and the issuer.

        Raises
        ------
        Refused
            It shows nothing that counts.
        StoreUnavailable
            Nothing is known of it now.
        """
        identity, until = self._looked_up(header)
        left_s = min(_KNOWN_S, until - self._clock())
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[_mark(header)] = (identity, self._monotonic() + left_s)
        return identity

    def forget(self) -> None:
        """Have all callers looked up again, as after a token was revoked here."""
        with self._lock:
            self._known.clear()

    def _looked_up(self, header: str) -> tuple[Identity, float]:
        if not header.lower().startswith(_SCHEME) or len(header) > _LONGEST:
            raise Refused(BAD_TOKEN, "the header Authorization; allowed: `Bearer TOKEN`")
        text = header[len(_SCHEME) :].strip()
        if self._tokens and (text.startswith("tl_") or not self._oidc):
            return self._tokens.identify(text)
        if self._oidc:
            return self._oidc.identify(text)
        raise Refused(BAD_TOKEN, "there is no such token")


def _mark(header: str) -> bytes:
    return hashlib.sha256(header.encode()).digest()

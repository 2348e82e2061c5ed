"""JSON Web Tokens of an OpenID Connect issuer: who a caller is, by the issuer's word.

A token counts when the issuer signed it with a key that it publishes, by an allowed algorithm, for
this audience, and its time has come and is not over. The keys are kept; an unknown one makes them
be fetched anew, at most once a minute, so that forged tokens cannot be used to press the issuer.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import jwt

from tieline.files.access import Issuer
from tieline.service.access.rules import Identity, Role
from tieline.service.errors import BAD_TOKEN, EXPIRED_TOKEN, ISSUER, Refused

_LOG: Final = logging.getLogger(__name__)

#: Time for the issuer to give its keys [s].
_PATIENCE_S: Final = 5.0
#: Between two fetches at least, and while there are no keys at all [s].
_LEAST_S: Final = 60.0
_AGAIN_S: Final = 5.0
#: After so long keys are fetched anew in any case [s].
_FRESH_S: Final = 3_600.0
_LARGEST_ANSWER: Final = 1 << 20
_LONGEST_NAME: Final = 100
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: What the words of the library about a wrong token are here; others are told as they are.
_WRONG: Final = {
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.ImmatureSignatureError: "its time has not come yet",
    jwt.InvalidSignatureError: "its signature is not the issuer's",
}
#: What reading hostile text may raise besides the library's own errors.
_GARBAGE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)

_NO_KEYS: Final = (OSError, httpx.HTTPError, LookupError, TypeError, ValueError, AttributeError)

Keys = Mapping[str, dict[str, Any]]
"""Public keys of an issuer, by id."""


class Keyring:
    """The issuer's public keys, fetched when they are needed. Threads may share it."""

    def __init__(self, place: str | Path, monotonic: Callable[[], float]) -> None:
        """Keep where the keys are; nothing is fetched yet."""
        self._place = place
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._asked_at: float | None = None
        self._got_at: float | None = None

    def key(self, key_id: str | None) -> dict[str, Any]:
        """Give a key by its id; without an id, the only one there is.

        Raises
        ------
        Refused
            There is no such key, or no keys at all can be had now.
        """
        if self._must_fetch(key_id):
            self._fetch()
        with self._lock:
            if self._got_at is None:
                raise Refused(ISSUER, "the keys of the issuer cannot be had now")
            found = self._find(key_id)
        if found is None:
            raise Refused(BAD_TOKEN, "the token: it is signed with a key that the issuer has not")
        return found

    def _must_fetch(self, key_id: str | None) -> bool:
        """Tell whether this caller is to fetch; all others go on with what there is."""
        with self._lock:
            now = self._monotonic()
            fresh = self._got_at is not None and now - self._got_at < _FRESH_S
            if fresh and self._find(key_id) is not None:
                return False
            least_s = _AGAIN_S if self._got_at is None else _LEAST_S
            if self._asked_at is not None and now - self._asked_at < least_s:
                return False
            self._asked_at = now
            return True

    def _find(self, key_id: str | None) -> dict[str, Any] | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _fetch(self) -> None:
        """Take in the keys as they are now; those there were stay when that fails."""
        try:
            found = json.loads(self._read())["keys"]
            # A key without id can be meant only by tokens without one.
            keys = {str(one.get("kid", "")): one for one in found if _is_for_signing(one)}
        except _NO_KEYS as error:
            _LOG.warning("event=no-keys place=%s problem=%r", self._place, str(error))
            return
        with self._lock:
            self._keys, self._got_at = keys, self._monotonic()

    def _read(self) -> bytes:
        if isinstance(self._place, Path):
            return self._place.read_bytes()
        with httpx.stream("GET", self._place, timeout=_PATIENCE_S) as answer:
            answer.raise_for_status()
            text = b""
            for piece in answer.iter_bytes():
                text += piece
                if len(text) > _LARGEST_ANSWER:
                    raise ValueError("too many keys")
        return text


def _is_for_signing(key: Mapping[str, Any]) -> bool:
    return key.get("use", "sig") == "sig" and key.get("kty") in {"RSA", "EC", "OKP"}


class Oidc:
    """Knows callers by the tokens of one issuer. Threads may share it."""

    def __init__(self, issuer: Issuer, monotonic: Callable[[], float]) -> None:
        """Keep what the access file says of the issuer."""
        self._issuer = issuer
        self._keyring = Keyring(issuer.jwks, monotonic)

    def identify(self, text: str) -> tuple[Identity, float]:
        """Give whose token it is, and until when that holds (UTC epoch [s]).

        Raises
        ------
        Refused
            It does not count, or the issuer's keys cannot be had now.
        """
        try:
            claims = self._claims(text)
            return self._identity(claims), float(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise Refused(EXPIRED_TOKEN, "the token has expired; get a new one") from None
        except _GARBAGE as error:
            raise Refused(BAD_TOKEN, f"the token: {_words(error)}") from None

    def _claims(self, text: str) -> dict[str, Any]:
        issuer = self._issuer
        header = jwt.get_unverified_header(text)
        algorithm = header.get("alg")
        if algorithm not in issuer.algorithms:
            allowed = ", ".join(issuer.algorithms)
            raise jwt.InvalidAlgorithmError(f"signed by no allowed algorithm ({allowed})")
        key = self._keyring.key(header.get("kid"))
        if key.get("alg", algorithm) != algorithm:
            raise jwt.InvalidAlgorithmError("signed by another algorithm than its key is for")
        claims: dict[str, Any] = jwt.decode(
            text,
            jwt.PyJWK(key, algorithm),
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=issuer.leeway_s,
            options={"require": ["exp", "iat", "iss", "aud"], "enforce_minimum_key_length": True},
        )
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        issuer = self._issuer
        name = _claim(claims, issuer.name_claim)
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise jwt.MissingRequiredClaimError(issuer.name_claim)
        given = _claim(claims, issuer.role_claim)
        values = given if isinstance(given, list) else [given]
        texts = [value for value in values if isinstance(value, str)]
        meant = {issuer.roles.get(text) if issuer.roles else text for text in texts}
        role = next((role for role in _GREATEST_FIRST if role in meant), None)
        if role is None:
            raise jwt.InvalidTokenError(f"its claim {issuer.role_claim} gives it no role here")
        if role is not Role.MEMBER:
            return Identity(name[:_LONGEST_NAME], role)
        tenant = _claim(claims, issuer.tenant_claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise jwt.InvalidTokenError(
                f"a member needs a tenant, and its claim {issuer.tenant_claim} gives none"
            )
        return Identity(name[:_LONGEST_NAME], role, tenant)


_GREATEST_FIRST: Final = (Role.OPERATOR, Role.AUDITOR, Role.MEMBER)


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """Give a claim; a name with dots leads into claims inside claims."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _words(error: Exception) -> str:
    for kind, words in _WRONG.items():
        if isinstance(error, kind):
            return words
    return str(error) if isinstance(error, jwt.InvalidTokenError) else "it cannot be read"

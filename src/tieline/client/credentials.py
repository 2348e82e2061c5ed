"""By what the client is known, and by what it knows the control plane: a token, an authority.

A token is never an argument of a command, where every user of the machine could read it.
"""

import os
import re
import ssl
import stat
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import httpx

from tieline.model.errors import InputError

#: The environment variables with a token, and with the file of an authority.
TOKEN_VARIABLE: Final = "TIELINE_TOKEN"  # noqa: S105 - the name of one
CA_VARIABLE: Final = "TIELINE_CA"

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")
_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def find_token(given: str | None = None) -> str | None:
    """Give the token to show: as told, else from the environment, else from the user's file.

    Raises
    ------
    InputError
        It is no token, or others may read its file.
    """
    for found, where in ((given, "the token"), (os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE)):
        if found:
            return _checked(found, where)
    file = token_file()
    text = _private_text(file)
    return None if text is None else _checked(text, f"token file {file}")


def token_file() -> Path:
    """Give the file in which a user may keep a token; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "tieline/token"


def trusted(url: httpx.URL, ca: str | None = None) -> ssl.SSLContext:
    """Give whom to believe that it is the host: this machine's authorities, or only `ca`.

    Raises
    ------
    InputError
        The file of the authority cannot be used.
    """
    if url.scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused, and quick to make
    file = ca or os.environ.get(CA_VARIABLE) or None
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise InputError(f"certificate authority {file}: {reason}; needed: a PEM file") from None


def demand_privacy(url: httpx.URL) -> None:
    """Refuse to show a token to an address on the way to which others can read it.

    Raises
    ------
    InputError
        It is not encrypted and leads away from this machine.
    """
    if url.scheme != "https" and not _is_loopback(url.host):
        raise InputError(
            f"the token would travel to {url} for all to read: use https://, or reach that "
            "machine through an SSH tunnel"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise InputError(f"{where} holds no token; one is letters, digits and ._~+/=-")
    return token


def _private_text(file: Path) -> str | None:
    """Give what stands in a file that its owner alone can read; None where there is none."""
    try:
        with file.open("rb") as stream:
            about = os.fstat(stream.fileno())
            if about.st_mode & _OF_OTHERS or about.st_uid not in {os.geteuid(), 0}:
                raise InputError(f"token file {file} is not yours alone: chmod 600 {file}")
            return stream.read(1 << 16).decode("ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"token file {file}: {error.strerror}") from None

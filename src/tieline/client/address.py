"""Where the control plane is: as told, else from the environment, else the last one started here.

`tieline up` leaves its address in a note among the user's own state (`XDG_STATE_HOME`, by
default `~/.local/state`) and takes it away when it stops.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Where `tieline up` listens unless told otherwise.
DEFAULT_URL: Final = "http://127.0.0.1:8421"
#: The environment variable that names a control plane.
VARIABLE: Final = "TIELINE_URL"

_NOTE: Final = "address"


def find_url(given: str | None = None) -> str:
    """Give the address of the control plane to talk to."""
    return given or os.environ.get(VARIABLE) or _noted() or DEFAULT_URL


def state_home() -> Path:
    """Give the folder in which Tieline keeps what belongs to this user; it need not exist."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "tieline"


def leave_note(url: str) -> None:
    """Let later commands of this user find the control plane at the address."""
    note = state_home() / _NOTE
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = note.with_name(f"{_NOTE}.{os.getpid()}.tmp")
    temporary.write_text(f"{url}\n", encoding="utf-8")
    temporary.rename(note)


def take_note_away(url: str) -> None:
    """Undo `leave_note`, unless another control plane has left its address since."""
    if _noted() == url:
        (state_home() / _NOTE).unlink(missing_ok=True)


def _noted() -> str:
    with suppress(OSError, UnicodeDecodeError):
        return (state_home() / _NOTE).read_text(encoding="utf-8").strip()
    return ""

"""Where the control plane is: as told, else from the environment, else the usual place."""

import os
from typing import Final

#: Where `tieline up` listens unless told otherwise.
DEFAULT_URL: Final = "http://127.0.0.1:8421"
#: The environment variable that names a control plane.
VARIABLE: Final = "TIELINE_URL"


def find_url(given: str | None = None) -> str:
    """Give the address of the control plane to talk to."""
    return given or os.environ.get(VARIABLE) or DEFAULT_URL

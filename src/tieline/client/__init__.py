"""The Python client of a running control plane; the command line is built on it.

with Client("http://127.0.0.1:8421") as client:
    jobs = client.submit([spec], count=10)
    done = client.wait(jobs)

docs/how-to/use-the-python-client.md has more. Job specifications come from `tieline.files.job`.
"""

from typing import Final

from tieline.client.address import find_url
from tieline.client.errors import NoControlPlane, RateLimited, Refusal, Unauthorised
from tieline.client.following import Sighting
from tieline.client.http import Client

__all__: Final = [
    "Client",
    "NoControlPlane",
    "RateLimited",
    "Refusal",
    "Sighting",
    "Unauthorised",
    "find_url",
]

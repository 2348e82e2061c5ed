"""The Python client of a running control plane; the command line is built on it.

with Client("http://127.0.0.1:8421") as client:
    jobs = client.submit([spec], count=10)
    done = client.wait(jobs)
"""

from typing import Final

from tieline.client.address import find_url
from tieline.client.http import Client, NoControlPlane, Refusal

__all__: Final = ["Client", "NoControlPlane", "Refusal", "find_url"]

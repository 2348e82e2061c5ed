"""Fetches public traces from where their authors keep them; nothing of them ships with us."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tieline.model.errors import InputError, TielineError

#: Where the files lie; a mirror has the same paths below another address.
BASE_URL: Final = "https://raw.githubusercontent.com"
#: Wait for a connection or for the next piece of the file at most [s].
TIMEOUT_S: Final = 30.0
#: The whole file has to be here after [s].
DEADLINE_S: Final = 600.0


@dataclass(frozen=True)
class PublicTrace:
    """A file somebody published, fixed to one revision."""

    path: str
    """Owner, repository, commit and path, as the address ends."""
    file: str
    """Name to save it under."""
    bytes: int
    sha256: str
    format: str
    about: str
    licence: str
    cite: str


PUBLIC: Final[Mapping[str, PublicTrace]] = {
    "helios-venus": PublicTrace(
        path="mystous/gpu_scheduler/e432905d20fe6d73ff4d3c88f51881eb3d95feef/sim/helios_trace.csv",
        file="helios_trace.csv",
        bytes=4_165_579,
        sha256="dd044eace2854471dbb87b59d31efd7bba652cb782c039b5166e8a3ef2aaeae2",
        format="helios",
        about="125,303 GPU jobs of SenseTime's Venus cluster, 194 days of 2020; run times are cut"
        " at 48 h",
        licence="CC-BY-4.0 (S-Lab-System-Group/HeliosData); the repository of this converted copy"
        " states none",
        cite="Hu et al., Characterization and Prediction of Deep Learning Workloads in Large-Scale"
        " GPU Datacenters, SC '21, doi 10.1145/3458817.3476223",
    ),
    "philly": PublicTrace(
        path="petuum/adaptdl/de25dcc90c350b8ade3a710e437a651a8d2efae6/simulator/traces/philly.csv",
        file="philly.csv",
        bytes=3_444_496,
        sha256="ebffb3dd1589bdf4e7bcd74496201c5ded1d557d498ee14f560463f37ec353da",
        format="philly",
        about="82,247 jobs of 15 virtual clusters of Microsoft's Philly, 109 days of 2017; about"
        " half of the GPU time of the published trace",
        licence="CC-BY-4.0 (msr-fiddle/philly-traces); cut by the authors of Pollux (Apache-2.0)",
        cite="Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training"
        " Workloads, USENIX ATC '19",
    ),
    "openb": PublicTrace(
        path="alibaba/clusterdata/50a91c7c74abe3b658188dc78ac1dd302970d40c"
        "/cluster-trace-gpu-v2023/csv/openb_pod_list_default.csv",
        file="openb_pod_list_default.csv",
        bytes=575_468,
        sha256="1ee7ed79c27a3b0861cda8ddba86a004c6aba904caafa329a76ae93ca63834a8",
        format="openb",
        about="8,152 pods of an Alibaba cluster with GPU sharing, 2023",
        licence="Apache-2.0 (hkust-adsl/kubernetes-scheduler-simulator holds the same file);"
        " alibaba/clusterdata states none",
        cite="Weng et al., Beware of Fragmentation, USENIX ATC '23",
    ),
    "openb-gpuspec33": PublicTrace(
        path="alibaba/clusterdata/b937928cf81f0edb6fe33634d01f2069a8d6ab17"
        "/cluster-trace-gpu-v2023/csv/openb_pod_list_gpuspec33.csv",
        file="openb_pod_list_gpuspec33.csv",
        bytes=587_467,
        sha256="eca4f746db1e5b25864ad021b55ece3943e101a3ebd4574d09dcb95c46117652",
        format="openb",
        about="the same pods as openb, a third of them with the GPU types they accept",
        licence="Apache-2.0 (hkust-adsl/kubernetes-scheduler-simulator holds the same file);"
        " alibaba/clusterdata states none",
        cite="Weng et al., Beware of Fragmentation, USENIX ATC '23",
    ),
}


class DownloadError(TielineError):
    """The file could not be fetched; nothing was left behind."""

    code = "download"


def download(
    name: str,
    folder: str | Path,
    *,
    base_url: str = BASE_URL,
    on_bytes: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch a public trace into a folder and give its path.

    A file that is already there with the right checksum is kept. The file appears under its
    name only when it is whole and its checksum is right.

    Parameters
    ----------
    name
        A key of `PUBLIC`.
    folder
        Made if missing.
    base_url
        Address before the path, to use a mirror.
    on_bytes
        Told how many bytes there are so far, and how many there will be.

    Raises
    ------
    InputError
        No such trace, or a folder that cannot be written.
    DownloadError
        The server cannot be reached, answers with an error, is too slow, or sends something
        else.
    """
    if name not in PUBLIC:
        raise InputError(f"unknown public trace {name!r}; known are {', '.join(PUBLIC)}")
    trace = PUBLIC[name]
    target = Path(folder) / trace.file
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == trace.sha256:
        return target
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    url = f"{base_url.rstrip('/')}/{trace.path}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            found = _fetch(url, trace.bytes, out.write, on_bytes)
        if found != trace.sha256:
            raise DownloadError(
                f"{url}: is not the file it was (sha256 {found}, expected {trace.sha256})"
            )
        temporary.replace(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{target}: cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def _fetch(
    url: str,
    expected: int,
    write: Callable[[bytes], object],
    on_bytes: Callable[[int, int], None] | None,
) -> str:
    """Write what lies at an address and give its checksum."""
    digest = hashlib.sha256()
    done = 0
    for piece in _pieces(url):
        done += len(piece)
        if done > expected:
            raise DownloadError(f"{url}: sends more than the {expected:,} bytes it should have")
        digest.update(piece)
        write(piece)
        if on_bytes is not None:
            on_bytes(done, expected)
    if done < expected:
        raise DownloadError(f"{url}: sent {done:,} of {expected:,} bytes; try again")
    return digest.hexdigest()


def _pieces(url: str) -> Iterator[bytes]:
    """Give the body of an answer piece by piece, within the time limits."""
    limit = time.monotonic() + DEADLINE_S
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT_S, follow_redirects=True) as answer:
            if not answer.is_success:
                raise DownloadError(f"{url}: the server answers {answer.status_code}")
            for piece in answer.iter_bytes():
                if time.monotonic() > limit:
                    raise DownloadError(f"{url}: not here after {DEADLINE_S:.0f} s; try again")
                yield piece
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise DownloadError(
            f"{url}: cannot be reached ({reason}); check the network, or name a mirror with"
            " --mirror"
        ) from error

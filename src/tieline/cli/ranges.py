"""Jobs named by id or by range: `job-000010..job-000109` is all from the first to the last."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from tieline.client import Client
from tieline.control.lifecycle import Status
from tieline.model.errors import InputError
from tieline.wire.schemas import Job

#: How the ids of an argument are shown in a usage line.
METAVAR: Final = "ID|ID..ID"

_RANGE: Final = re.compile(r"job-([0-9]{1,18})\.\.job-([0-9]{1,18})")


def is_range(text: str) -> bool:
    """Tell whether a text names several jobs."""
    return text.startswith("job-") and ".." in text


def jobs_of_range(
    client: Client,
    text: str,
    *,
    status: Sequence[Status] = (),
    tenant: str | None = None,
) -> Iterator[Job]:
    """Give the jobs of a range, the newest first.

    Raises
    ------
    InputError
        The text is no range.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is no range of jobs; such as job-000010..job-000109")
    # The number in a job's id is its place in the order of acknowledgement.
    first, last = map(int, match.groups())
    if last < first:
        raise InputError(f"{text} runs backwards; such as job-000010..job-000109")
    found = client.each_job(status=status, tenant=tenant, before=last + 1)
    return takewhile(lambda job: job.seq >= first, found)

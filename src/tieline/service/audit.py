"""The audit of a store that may be in use: its log verified, its promises checked."""

from collections.abc import Iterator

from tieline.control.audit import Finding, LogAudit, job_findings
from tieline.control.chain import Break, Head, verify
from tieline.model.network import Network
from tieline.store import Evidence, evidence


def verify_log(url: str, anchor: Head | None = None) -> Head | Break:
    """Give the head of the event log, or the first line that is not what was written.

    Parameters
    ----------
    anchor
        A head that was noted earlier, which the log must still have.

    Raises
    ------
    InputError
        There is no store of this version behind the URL.
    StoreUnavailable
        It does not answer.
    """
    with evidence(url) as found:
        return verify(found.lines(), anchor)


def audit(url: str, network: Network | None = None) -> tuple[Head, list[Finding]]:
    """Give the head of the event log and all that is wrong with the store, at one moment.

    Parameters
    ----------
    network
        With it, what pools hold is checked against their sizes.

    Raises
    ------
    InputError
        There is no store of this version behind the URL.
    StoreUnavailable
        It does not answer.
    """
    capacity = {pool.id: pool.capacity for pool in network.pools} if network else {}
    with evidence(url) as found:
        log = LogAudit(capacity, found.size)
        findings = list(_findings(found, log))
        return log.head, findings


def _findings(found: Evidence, log: LogAudit) -> Iterator[Finding]:
    for line in found.lines():
        yield from log.take(line)
    yield from log.end(found.registers())
    for kept, lines in found.jobs():
        yield from job_findings(kept, lines)

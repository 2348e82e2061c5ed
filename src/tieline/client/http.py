"""The client: one method per route, over HTTP; errors come back as the types of the model."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Self, TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError

from tieline.client import following
from tieline.client.following import Sighting, Watcher
from tieline.client.transport import Transport
from tieline.control.lifecycle import Status
from tieline.files.array import JobArray
from tieline.files.job import entry_to_dict
from tieline.model.errors import NotFoundError
from tieline.model.job import JobSpec
from tieline.wire.schemas import (
    KEY_HEADER,
    MAX_PAGE,
    Event,
    Events,
    Health,
    Identity,
    Job,
    JobDetail,
    Jobs,
    Message,
    NewToken,
    Pools,
    Prices,
    Site,
    Sites,
    Token,
    Tokens,
    Why,
    named,
)

#: Time for an answer [s]; every route answers far sooner.
TIMEOUT_S: Final = 30.0
#: How long a request is made again that cannot be met at the moment [s].
PATIENCE_S: Final = 10.0

_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

Answer = TypeVar("Answer", bound=Message)


class Client:
    """Talks to one control plane. Threads may share it.

    Every call may be repeated without harm: a submission has a key, by which the control
    plane knows it again. So a call whose answer was lost on the way is made once more, and one
    that came too often, or at a moment without a leader, is made again for some seconds.

    Raises, in every method
    -----------------------
    NoControlPlane
        Nothing answers at the address.
    Unauthorised
        It wants a token that counts.
    AccessDenied
        Whoever the token belongs to may not do that.
    Refusal
        The request is wrong, an `InputError`; the message names the field.
    NotFoundError
        There is no such job or site, or not for the caller.
    ConflictError
        The state does not allow it, such as a key that was used for other jobs.
    RateLimited, NotLeader, StoreUnavailable, EngineUnavailable
        Try again later.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: str | None = None,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Keep the address, such as `http://127.0.0.1:8421`; nothing is sent yet.

        Parameters
        ----------
        token
            By which the control plane knows the caller. When None, that in `TIELINE_TOKEN`, else
            that in the file `tieline/token` under `XDG_CONFIG_HOME` (`~/.config`).
        ca
            File with the certificate of the authority that vouches for the control plane. When
            None, that in `TIELINE_CA`, else those that the machine trusts.
        timeout_s
            Time for each answer.
        patience_s
            How long a request is made again that cannot be met at the moment.

        Raises
        ------
        InputError
            The address, the token or the authority cannot be used.
        """
        self._wire: Final = Transport(
            url, token=token, ca=ca, timeout_s=timeout_s, patience_s=patience_s
        )
        self.url: Final = self._wire.url

    def __enter__(self) -> Self:
        """Give the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._wire.close()

    def submit(
        self, specs: Sequence[JobSpec | JobArray], *, count: int = 1, key: str | None = None
    ) -> list[Job]:
        """Add jobs and arrays, each `count` times, and give them as stored: all or none.

        They are in order, those of an array one by one.

        Parameters
        ----------
        key
            A second call with the same key adds nothing and gives the jobs of the first;
            when None, every call adds jobs of its own.
        """
        body = {"jobs": [entry_to_dict(spec) for spec in specs]}
        answer = self._ask(
            Jobs,
            "POST",
            "/jobs",
            json=body,
            params={"count": count},
            headers={KEY_HEADER: key or uuid4().hex},
        )
        return answer.jobs

    def jobs(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Job]:
        """Give at most `limit` jobs, newest first, with `seq` below `before` where given."""
        pages = self._job_pages(status, tenant, before, most=limit)
        return list(islice(pages, limit))

    def each_job(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        before: int | None = None,
    ) -> Iterator[Job]:
        """Give all jobs, newest first, asking for a page at a time."""
        return self._job_pages(status, tenant, before, most=MAX_PAGE)

    def _job_pages(
        self, status: Sequence[Status], tenant: str | None, before: int | None, *, most: int
    ) -> Iterator[Job]:
        asked: dict[str, str | int | list[str]] = {
            "limit": max(1, min(most, MAX_PAGE)),
            "status": [named(one) for one in status],
        }
        asked |= {} if tenant is None else {"tenant": tenant}
        while True:
            page = self._ask(
                Jobs, "GET", "/jobs", params=asked | ({} if before is None else {"before": before})
            )
            yield from page.jobs
            before = page.next
            if before is None:
                return

    def job(self, job_id: str) -> JobDetail:
        """Give one job."""
        return self._ask(JobDetail, "GET", _job(job_id))

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job and give it as it is now. Idempotent."""
        return self._ask(Job, "POST", _job(job_id, "cancel"))

    def log(self, job_id: str, offset: int = 0) -> bytes:
        """Give the next piece of a job's output from `offset` on; empty when there is none yet."""
        return self._send("GET", _job(job_id, "log"), params={"offset": offset}).content

    def output(self, job_id: str, *, follow: bool = False) -> Iterator[bytes]:
        """Give a job's output piece by piece: all there is now, or all until the job's end.

        That of its present or last attempt; one that is followed goes on with those after it,
        and bears a control plane that is away for half a minute.
        """
        if follow:
            for sighting in following.follow(self, [self.job(job_id)]):
                if sighting.problem:
                    raise NotFoundError(sighting.problem)
                if sighting.output:
                    yield sighting.output
            return
        offset = 0
        while piece := self.log(job_id, offset):
            offset += len(piece)
            yield piece

    def events(self, job_id: str, *, after: int = 0) -> Events:
        """Give the history of a job, all of it or what came after the event `after`."""
        return Events(events=list(self._event_pages(_job(job_id, "events"), after)))

    def each_event(self, *, after: int = 0) -> Iterator[Event]:
        """Give the event log of everything from an event on, asking for a page at a time.

        For operators and auditors.
        """
        return self._event_pages("/events", after)

    def _event_pages(self, path: str, after: int) -> Iterator[Event]:
        position: int | None = after
        while position is not None:
            asked = {"after": position, "limit": MAX_PAGE}
            page = self._ask(Events, "GET", path, params=asked)
            yield from page.events
            position = page.next

    def follow(self, jobs: Sequence[Job]) -> Iterator[Sighting]:
        """Give what happens to the jobs and what they write, until all have ended.

        From their submission on: first what was already to be seen. Output comes after the event
        with which its run began and before the one that ends it. A control plane that is away is
        waited for, up to half a minute. To stop following changes nothing for the jobs.

        Parameters
        ----------
        jobs
            As `submit`, `job` or `jobs` gave them.
        """
        return following.follow(self, jobs)

    def wait(
        self,
        jobs: Sequence[Job],
        *,
        timeout_s: float | None = None,
        watch: Watcher | None = None,
    ) -> list[Job]:
        """Wait until all the jobs have ended, and give them as they are then, in order.

        Parameters
        ----------
        jobs
            As `submit` gave them.
        timeout_s
            After this time the jobs are given as they are; None waits for ever.
        watch
            Called with all the jobs after every look.

        Raises
        ------
        NoControlPlane
            It did not answer for half a minute: a restart is waited for.
        """
        return following.wait(self, jobs, timeout_s=timeout_s, watch=watch)

    def why(self, job_id: str) -> Why:
        """Give why a job is where it is: every pool's answer while it waits."""
        return self._ask(Why, "GET", _job(job_id, "why"))

    def pools(self) -> Pools:
        """Give all pools as they are now."""
        return self._ask(Pools, "GET", "/pools")

    def prices(self, *, history: bool = False) -> Prices:
        """Give the prices of the last cycle, on request with those of the last ten minutes."""
        return self._ask(Prices, "GET", "/prices", params={"history": history})

    def health(self) -> Health:
        """Give whether the service works."""
        return self._ask(Health, "GET", "/health")

    def whoami(self) -> Identity:
        """Give whom the control plane takes the caller for."""
        return self._ask(Identity, "GET", "/whoami")

    def sites(self) -> Sites:
        """Give all sites as they are now."""
        return self._ask(Sites, "GET", "/sites")

    def drain(self, site_id: str, *, reason: str = "") -> Site:
        """Close a site to new work; what runs there goes on. Idempotent: as drained first."""
        return self._ask(Site, "POST", _site(site_id, "drain"), json={"reason": reason})

    def resume(self, site_id: str) -> Site:
        """Open a drained site to new work again. Idempotent."""
        return self._ask(Site, "POST", _site(site_id, "resume"))

    def create_token(
        self, name: str, role: str, *, tenant: str | None = None, life_s: float | None = None
    ) -> NewToken:
        """Make a token and give it with its text, which is told only this once.

        For operators. Where the answer is lost on the way there is a token that nobody knows.

        Parameters
        ----------
        name
            Whose it is.
        role
            `operator`, `member` or `auditor`.
        tenant
            Of a member.
        life_s
            How long it counts; None: as long as the control plane gives.
        """
        body: dict[str, object] = {"name": name, "role": role, "tenant": tenant}
        body |= {} if life_s is None else {"life_s": life_s}
        return self._ask(NewToken, "POST", "/tokens", json=body)

    def tokens(self) -> list[Token]:
        """Give all tokens without their texts, the newest first. For operators."""
        found: list[Token] = []
        asked: dict[str, str | int] = {"limit": MAX_PAGE}
        while True:
            page = self._ask(Tokens, "GET", "/tokens", params=asked)
            found += page.tokens
            if page.next is None:
                return found
            asked["after"] = page.next

    def revoke_token(self, token_id: str) -> Token:
        """Make a token useless from now on. For operators. Idempotent."""
        return self._ask(Token, "DELETE", f"/tokens/{_part(token_id, 'token')}")

    def _ask(self, kind: type[Answer], method: str, path: str, **options: object) -> Answer:
        answer = self._send(method, path, **options)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError:
            raise self._wire.stranger() from None

    def _send(self, method: str, path: str, **options: object) -> httpx.Response:
        return self._wire.send(method, path, **options)


def _job(job_id: str, *what: str) -> str:
    return "/".join(("/jobs", _part(job_id, "job"), *what))


def _site(site_id: str, what: str) -> str:
    return f"/sites/{_part(site_id, 'site')}/{what}"


def _part(name: str, kind: str) -> str:
    """Give an id as one part of a path; what cannot be one belongs to nothing."""
    if not _ID.fullmatch(name):
        raise NotFoundError(f"there is no {kind} {name!r}")
    return name

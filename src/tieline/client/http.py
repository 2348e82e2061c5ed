"""The client: one method per route, over HTTP; errors come back as the types of the model."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError

from tieline.client.address import DEFAULT_URL
from tieline.control.lifecycle import Status
from tieline.files.job import job_to_dict
from tieline.model.errors import (
    ConflictError,
    EngineUnavailable,
    InputError,
    NotFoundError,
    StoreUnavailable,
    TielineError,
)
from tieline.model.job import JobSpec
from tieline.wire.schemas import (
    KEY_HEADER,
    MAX_PAGE,
    Events,
    Failure,
    Health,
    Job,
    JobDetail,
    Jobs,
    Message,
    Pools,
    Prices,
    Why,
    named,
)

#: Time for an answer [s]; every route answers far sooner.
TIMEOUT_S: Final = 30.0
#: The answer was lost on the way; the request may have been carried out.
_BROKEN_OFF: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
#: While waiting for jobs: between two looks, from the first to the later ones [s].
_POLL_S: Final = (0.1, 1.0)
#: While following a job's output: between two looks [s].
_FOLLOW_S: Final = 0.3
#: How long `wait` bears a control plane that does not answer, as during a restart [s].
_PATIENCE_S: Final = 30.0

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")

#: The errors that a caller tells apart, by the code of the answer.
_ERRORS: Final[dict[str, type[TielineError]]] = {
    error.code: error
    for error in (ConflictError, EngineUnavailable, NotFoundError, StoreUnavailable)
}

Answer = TypeVar("Answer", bound=Message)
Watcher = Callable[[Sequence[Job]], None]


class NoControlPlane(TielineError):  # noqa: N818 - a condition, not a fault of ours
    """Nothing answers at the address, or what answers is no control plane."""

    code = "no-control-plane"


class Refusal(InputError):  # noqa: N818 - it holds several
    """The control plane found mistakes in what was sent."""

    def __init__(self, failure: Failure) -> None:
        """Keep the mistakes with their fields."""
        super().__init__(failure.message)
        self.problems: Final = tuple(failure.problems)


class Client:
    """Talks to one control plane. Threads may share it.

    Every call may be repeated without harm: a submission has a key, by which the control
    plane knows it again. So a call whose answer was lost on the way is made once more.

    Raises, in every method
    -----------------------
    NoControlPlane
        Nothing answers at the address.
    Refusal
        The request is wrong, an `InputError`; the message names the field.
    NotFoundError
        There is no such job.
    ConflictError
        The state does not allow it, such as a key that was used for other jobs.
    StoreUnavailable, EngineUnavailable
        Try again later.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Keep the address, such as `http://127.0.0.1:8421`; nothing is sent yet.

        Raises
        ------
        InputError
            It is no address.
        """
        self.url: Final = _address(url)
        # Proxies of the environment are for the outer world, not for a control plane nearby.
        self._http = httpx.Client(base_url=f"{self.url}/v1", timeout=timeout_s, trust_env=False)

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
        self._http.close()

    def submit(
        self, specs: Sequence[JobSpec], *, count: int = 1, key: str | None = None
    ) -> list[Job]:
        """Add jobs, each `count` times, and give them as stored, in order: all or none.

        Parameters
        ----------
        key
            A second call with the same key adds nothing and gives the jobs of the first;
            when None, every call adds jobs of its own.
        """
        body = {"jobs": [job_to_dict(spec) for spec in specs]}
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
        found: list[Job] = []
        while len(found) < limit:
            asked: dict[str, str | int | list[str]] = {
                "limit": min(limit - len(found), MAX_PAGE),
                "status": [named(one) for one in status],
            }
            asked |= {} if tenant is None else {"tenant": tenant}
            asked |= {} if before is None else {"before": before}
            page = self._ask(Jobs, "GET", "/jobs", params=asked)
            found += page.jobs
            before = page.next
            if before is None:
                break
        return found

    def job(self, job_id: str) -> JobDetail:
        """Give one job."""
        return self._ask(JobDetail, "GET", f"/jobs/{_part(job_id)}")

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job and give it as it is now. Idempotent."""
        return self._ask(Job, "POST", f"/jobs/{_part(job_id)}/cancel")

    def log(self, job_id: str, offset: int = 0) -> bytes:
        """Give the next piece of a job's output from `offset` on; empty when there is none yet."""
        answer = self._send("GET", f"/jobs/{_part(job_id)}/log", params={"offset": offset})
        return answer.content

    def output(self, job_id: str, *, follow: bool = False) -> Iterator[bytes]:
        """Give a job's output piece by piece: all there is now, or all until the job's end.

        That of its present or last attempt; one that is followed goes on with those after it.
        """
        attempt = offset = 0
        while True:
            # Looked at before the output is read: nothing is missed.
            found = self.job(job_id)
            last = not follow or found.status.ended
            if found.attempt != attempt:
                attempt, offset = found.attempt, 0
            while piece := self.log(job_id, offset):
                offset += len(piece)
                yield piece
            if last:
                return
            time.sleep(_FOLLOW_S)

    def events(self, job_id: str) -> Events:
        """Give the history of a job."""
        return self._ask(Events, "GET", f"/jobs/{_part(job_id)}/events")

    def why(self, job_id: str) -> Why:
        """Give why a job is where it is: every pool's answer while it waits."""
        return self._ask(Why, "GET", f"/jobs/{_part(job_id)}/why")

    def pools(self) -> Pools:
        """Give all pools as they are now."""
        return self._ask(Pools, "GET", "/pools")

    def prices(self, *, history: bool = False) -> Prices:
        """Give the prices of the last cycle, on request with those of the last ten minutes."""
        return self._ask(Prices, "GET", "/prices", params={"history": history})

    def health(self) -> Health:
        """Give whether the service works."""
        return self._ask(Health, "GET", "/health")

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
        give_up = None if timeout_s is None else time.monotonic() + timeout_s
        latest = {job.seq: job for job in jobs}
        order = [job.seq for job in jobs]
        pause_s, last_answer = _POLL_S[0], time.monotonic()
        while True:
            try:
                latest |= self._look_again(latest)
                last_answer = time.monotonic()
            except (NoControlPlane, StoreUnavailable):
                if time.monotonic() - last_answer > _PATIENCE_S:
                    raise
            now = [latest[seq] for seq in order]
            if watch is not None:
                watch(now)
            if all(job.status.ended for job in now):
                return now
            if give_up is not None and time.monotonic() >= give_up:
                return now
            time.sleep(pause_s)
            pause_s = min(1.2 * pause_s, _POLL_S[1])

    def _look_again(self, latest: dict[int, Job]) -> dict[int, Job]:
        """Give the jobs that had not ended, as they are now.

        Jobs of one submission follow one another, so few pages hold all of them.
        """
        open_seqs = {seq for seq, job in latest.items() if not job.status.ended}
        found: dict[int, Job] = {}
        while left := open_seqs - found.keys():
            before = max(left) + 1
            page = self.jobs(before=before, limit=min(before - min(left), MAX_PAGE))
            found |= {job.seq: job for job in page if job.seq in open_seqs}
            if max(left) not in found:
                raise NotFoundError(f"{self.url} does not know {latest[max(left)].id} any more")
        return found

    def _ask(self, kind: type[Answer], method: str, path: str, **options: object) -> Answer:
        answer = self._send(method, path, **options)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError:
            raise self._stranger() from None

    def _send(self, method: str, path: str, **options: object) -> httpx.Response:
        request = self._http.build_request(method, path, **options)  # type: ignore[arg-type] # as given
        try:
            try:
                answer = self._http.send(request)
            except _BROKEN_OFF:
                answer = self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise NoControlPlane(
                f"no control plane answers at {self.url}: start one with `tieline up NETWORK.yaml`"
            ) from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise NoControlPlane(f"the control plane at {self.url} broke off: {reason}") from None
        if answer.is_success:
            return answer
        raise self._error(answer)

    def _error(self, answer: httpx.Response) -> TielineError:
        try:
            failure = Failure.model_validate_json(answer.content)
        except ValidationError:
            return self._stranger()
        if failure.code in _ERRORS:
            return _ERRORS[failure.code](failure.message)
        return Refusal(failure) if answer.is_client_error else TielineError(failure.message)

    def _stranger(self) -> NoControlPlane:
        return NoControlPlane(f"what answers at {self.url} is no control plane of this version")


def _address(url: str) -> str:
    try:
        parts = httpx.URL(url)
        if parts.scheme in {"http", "https"} and parts.host:
            return url.rstrip("/")
    except httpx.InvalidURL:
        pass
    raise InputError(f"{url!r} is no address of a control plane; such as {DEFAULT_URL}")


def _part(job_id: str) -> str:
    """Give a job id as one part of a path; what cannot be one is no job's."""
    if not _ID.fullmatch(job_id):
        raise NotFoundError(f"there is no job {job_id!r}")
    return job_id

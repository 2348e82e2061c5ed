"""What an engine remembers between two looks; nothing of it matters after a restart."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tieline.control.ports import RunReport
from tieline.engines.slurm.jobs import Row
from tieline.engines.slurm.runs import Run

#: A run that nobody has claimed for longer may have a reason that Slurm knows [s].
_UNCLAIMED_S: Final = 2.0
#: A run that the site ended is given up to Slurm's reasons for so long [s].
_REASON_S: Final = 30.0
#: After its end a run's job is looked at once more: it may wait in the queue again [s].
_GHOST_S: Final = 5.0
#: After no answer Slurm is left alone for so long [s].
_QUIET_S: Final = 5.0
_MOST_GHOSTS: Final = 1000
_MOST_FAILURES: Final = 3


@dataclass
class Memory:
    """The memory of one engine. Times are of the monotonic clock."""

    runs: dict[str, Run] = field(default_factory=dict)
    """Runs that have not ended, as last seen or submitted since."""
    ended: dict[str, tuple[str, RunReport]] = field(default_factory=dict)
    """User and report of those that have."""
    _since: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, set[int]] = field(default_factory=dict)
    _ghosts: deque[tuple[float, Run]] = field(default_factory=lambda: deque(maxlen=_MOST_GHOSTS))
    _released: deque[tuple[float, Run]] = field(default_factory=deque)
    _quiet_until: float = 0.0
    _problem: str = ""

    def user_of(self, token: str) -> str | None:
        """Give the account that a token is known under."""
        if run := self.runs.get(token):
            return run.user
        return self.ended.get(token, (None,))[0]

    def see(self, runs: Sequence[Run]) -> None:
        """Take in all runs that have not ended, or whose end is news."""
        now = time.monotonic()
        seen = {run.token for run in runs}
        for token in self._since.keys() - seen:
            del self._since[token]
            self._failures.pop(token, None)
        for run in runs:
            self._since.setdefault(run.token, now)
        self.runs = {run.token: run for run in runs if not run.settled}

    def one_each(self, runs: Sequence[Run]) -> list[Run]:
        """Give one run of each token.

        One that was cancelled before it was known is marked under every account.
        """
        chosen: dict[str, Run] = {}
        for run in runs:
            if self.ended.get(run.token, (run.user,))[0] != run.user:
                continue
            if run.token not in chosen or run.claimed or run.ended is not None:
                chosen[run.token] = run
        return list(chosen.values())

    def end(self, run: Run, report: RunReport) -> None:
        """Note an end that is news."""
        if run.token not in self.ended:
            now = time.monotonic()
            self._ghosts.append((now + _GHOST_S, run))
            self._released.append((now + _GHOST_S, run))
        self.ended[run.token] = (run.user, report)
        self.runs.pop(run.token, None)

    def drop(self, token: str) -> None:
        """Forget a run."""
        self.ended.pop(token, None)
        self.runs.pop(token, None)

    def questions(self, lapse_s: float, ghosts: Sequence[Run]) -> dict[str, dict[str, int | None]]:
        """Give the runs that Slurm is to be asked about, by account, with the ids it gave."""
        now = time.monotonic()
        found: dict[str, dict[str, int | None]] = {}
        for run in ghosts:
            found.setdefault(run.user, {})[run.token] = run.job
        for token, run in self.runs.items():
            waits = not run.claimed and run.asked and not run.cancelled
            late = now - self._since.get(token, now) > _UNCLAIMED_S
            if run.undecided or (waits and late) or (run.claimed and run.silent_s >= lapse_s):
                found.setdefault(run.user, {})[token] = run.job
        return found

    def has_waited(self, run: Run) -> bool:
        """Tell whether Slurm has had its time to say why it ended a run."""
        now = time.monotonic()
        return now - self._since.get(run.token, now) > _REASON_S

    def may_try_again(self, run: Run, rows: Sequence[Row]) -> bool:
        """Tell whether a run that nobody claimed may be submitted again, though its job is over.

        A controller that was killed gives the ids of jobs that it forgot to others, and takes
        the end of the one for the end of the other. Only what ends like this several times has
        a reason of its own.
        """
        over = self._failures.setdefault(run.token, set())
        over.update(row.id for row in rows if not row.live and not row.refused)
        return len(over) < _MOST_FAILURES

    def ghosts(self, most: int) -> list[Run]:
        """Give some ended runs whose jobs are to be looked at once more."""
        found: list[Run] = []
        while self._ghosts and self._ghosts[0][0] <= time.monotonic() and len(found) < most:
            run = self._ghosts.popleft()[1]
            if run.asked:
                found.append(run)
        return found

    def look_again(self, run: Run) -> None:
        """Have the job of an ended run looked at once more."""
        self._ghosts.append((time.monotonic() + _GHOST_S, run))

    def asked(self) -> Sequence[Run]:
        """Give the runs that Slurm may have a job for, and that have not ended."""
        return [
            run
            for run in list(self.runs.values())
            if run.claimed or (run.asked and not run.cancelled)
        ]

    def releasing(self) -> Sequence[Run]:
        """Give runs that have ended just now: Slurm may still count what they held."""
        while self._released and self._released[0][0] <= time.monotonic():
            self._released.popleft()
        return [run for _, run in self._released]

    def quiet(self) -> str:
        """Give why Slurm is left alone at the moment; empty when it is not."""
        return self._problem if time.monotonic() < self._quiet_until else ""

    def leave_alone(self, problem: str) -> None:
        """Note that Slurm did not answer."""
        self._problem, self._quiet_until = problem, time.monotonic() + _QUIET_S

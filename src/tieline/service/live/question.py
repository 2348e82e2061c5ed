"""What one site is asked again and again: less and less often while it does not answer."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tieline.model.errors import EngineUnavailable, NotLeader

_LOG: Final = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: To the next question after the first failure; twice as long after each further one [s].
_FIRST_PAUSE_S: Final = 1.0
_MOST_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How often it is asked [s]."""

    every_s: float
    """From question to question while it answers."""
    late_s: float
    """An answer that is owed for so long is a failure."""
    longest_s: float
    """From question to question at most."""


class Question(Generic[Answer]):
    """One question and its last answer. For one thread."""

    def __init__(self, site: str, put: Callable[[], Future[Answer]], pace: Pace) -> None:
        """Ask nothing yet.

        Parameters
        ----------
        put
            Asks, without waiting for the answer.
        """
        self._site = site
        self._put = put
        self._pace = pace
        self._owed: Future[Answer] | None = None
        self._failures = 0
        self._next_at = -1e300
        self.asked_at: float | None = None
        """When it was asked last."""
        self.first_at: float | None = None
        """When it was asked first."""
        self.answered_at: float | None = None
        """When the last answer was heard."""
        self.answer: Answer | None = None
        self.problem = ""
        """Why there is no answer now; empty when there is."""

    def ask(self, now: float) -> Future[Answer] | None:
        """Ask, unless an answer is owed or it is too early; give the answer that is owed."""
        if self._owed is None and now >= self._next_at:
            self.first_at = now if self.first_at is None else self.first_at
            self.asked_at = now
            self._owed = self._put()
        return self._owed

    def hear(self, now: float) -> bool:
        """Take in the answer, if there is one by now; tell whether it was a good one."""
        owed, asked_at = self._owed, self.asked_at
        if owed is None or asked_at is None:
            return False
        if not owed.done():
            if now - asked_at >= self._pace.late_s:
                self.problem = f"no answer for {now - asked_at:.0f} s"
            return False
        self._owed = None
        error = owed.exception()
        if error is not None:
            self._fail(error, now)
            return False
        self.answer, self.answered_at, self.problem = owed.result(), now, ""
        self._failures, self._next_at = 0, asked_at + self._pace.every_s
        return True

    def silent_for(self, now: float) -> float:
        """Give the time since the last answer, or the first question [s]; 0 while it answers."""
        since = self.first_at if self.answered_at is None else self.answered_at
        return now - since if self.problem and since is not None else 0.0

    def _fail(self, error: BaseException, now: float) -> None:
        if isinstance(error, EngineUnavailable | NotLeader):
            self.problem = str(error)
        else:
            _LOG.error("event=engine-fault site=%s", self._site, exc_info=error)
            self.problem = f"its engine failed: {error}"
        pause_s = _FIRST_PAUSE_S * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        self._next_at = now + min(pause_s, self._pace.longest_s)

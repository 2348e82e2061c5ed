"""One site as the loop sees it: what it said last, whether it answers, what it was told.

Engines are called in the site's own thread, one call after the other. So a site that hangs
holds up nobody else, and what a site reports was seen after all it had been told before.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Final, TypeVar

from tieline.control.ports import Engine, RunOrder, RunReport
from tieline.model.errors import EngineUnavailable, OrderRefused

_LOG: Final = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the loop bears with a site [s]."""

    in_tick_s: float = 0.5
    """One tick waits so long for a site's answer; not at all for one that is closed."""
    closed_after_s: float = 3.0
    """A question open for so long closes the site to new work, until it answers."""
    unknown_after_s: float = 30.0
    """After so long without any answer the state of its jobs is unknown."""
    telling_s: float = 1.0
    """What cannot be told within this time is told after the next answer."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of telling a site what to do."""

    ended: list[str] = field(default_factory=list)
    """Tokens whose end it was asked for."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Tokens that it will never run, and why."""
    problems: list[str] = field(default_factory=list)
    """Why it was not told all; empty when it was, or when only time was short."""


class SiteLink:
    """The loop's line to one site. For one thread, that of the loop; `reports` for all."""

    def __init__(self, site_id: str, engine: Engine, patience: Patience) -> None:
        """Start a thread for the site; nothing is asked yet."""
        self.id: Final = site_id
        self.engine: Final = engine
        self._patience = patience
        self.reports: Mapping[str, RunReport] = {}
        """What it knew when it answered last."""
        self.fresh = False
        """Whether it answered in this tick."""
        self.problem = "it has not answered yet"
        """Why it takes no new work; empty when it does."""
        self.told_to_end: set[str] = set()
        """Tokens whose end it was asked for before it answered last; the loop takes out those
        that are of no interest any more."""
        self.refused: deque[tuple[str, str]] = deque()
        """Tokens that it will never run, and why; the loop takes them out."""
        self._untold = ""
        self._heard_at: float | None = None
        self._asked_at = 0.0
        self._question: Future[Mapping[str, RunReport]] | None = None
        self._errands: deque[Future[Told]] = deque()
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"site {site_id}", daemon=True)
        self._thread.start()

    @property
    def complaint(self) -> str:
        """What is wrong with the site, in plain words; empty when nothing is."""
        return self.problem or self._untold

    def ask(self, now: float) -> Future[Mapping[str, RunReport]] | None:
        """Ask the site for all it knows, unless it still owes an answer.

        Gives what to wait for: nothing when the site takes no new work, but for the first time.
        """
        self.fresh = False
        worth_waiting = not self.problem or self._heard_at is None
        if self._heard_at is None:
            self._heard_at = now
        if self._question is None:
            self._asked_at = now
            self._question = self._call(self.engine.observe)
        return self._question if worth_waiting else None

    def hear(self, now: float) -> None:
        """Take in the answer, if there is one by now."""
        while self._errands and self._errands[0].done():
            self._note(self._errands.popleft().result())
        question = self._question
        if question is None or not question.done():
            if now - self._asked_at >= self._patience.closed_after_s:
                self._set_problem(f"no answer for {now - self._asked_at:.0f} s")
            return
        self._question = None
        error = question.exception()
        if error is None:
            self.reports, self.fresh, self._heard_at = question.result(), True, now
            self._set_problem("")
        elif isinstance(error, EngineUnavailable):
            self._set_problem(str(error))
        else:
            _LOG.error("event=engine-fault site=%s", self.id, exc_info=error)
            self._set_problem(f"its engine failed: {error}")

    def silent_for(self, now: float) -> float:
        """Give the time since the last answer [s]; 0 while it takes new work."""
        return now - self._heard_at if self.problem and self._heard_at is not None else 0.0

    def tell(self, *, end: Sequence[str], run: Sequence[RunOrder], forget: Sequence[str]) -> None:
        """Have runs ended, started and forgotten, without waiting. Call it after an answer.

        What could not be told shows in the next answer: the site does not know the token.
        """
        if end or run or forget:
            self._errands.append(self._call(partial(self._tell, end, run, forget)))

    def close(self) -> None:
        """Let the thread end once it has done what it was asked; wait for that a moment."""
        self._calls.put(None)
        if not self.problem:
            self._thread.join(self._patience.telling_s)

    def _tell(self, end: Sequence[str], run: Sequence[RunOrder], forget: Sequence[str]) -> Told:
        told = Told()
        give_up = time.monotonic() + self._patience.telling_s
        try:
            for token in end:
                if self._tried(told, partial(self.engine.cancel, token)):
                    told.ended.append(token)
            for order in run:
                if time.monotonic() >= give_up:
                    break
                self._tried(told, partial(self._submit, order, told))
            self._tried(told, partial(self.engine.forget, forget))
        except EngineUnavailable as error:  # nor would it take the rest
            told.problems.append(str(error))
        return told

    def _submit(self, order: RunOrder, told: Told) -> None:
        try:
            self.engine.submit(order)
        except OrderRefused as refusal:
            told.refused.append((order.token, str(refusal)))

    def _tried(self, told: Told, call: Callable[[], None]) -> bool:
        """Make one call; a fault of the engine in it must not keep the others from being made."""
        try:
            call()
        except EngineUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an engine may do wrong
            _LOG.exception("event=engine-fault site=%s", self.id)
            told.problems.append(f"its engine failed: {error}")
            return False
        return True

    def _note(self, told: Told) -> None:
        self.told_to_end.update(told.ended)
        self.refused.extend(told.refused)
        untold = "; ".join(dict.fromkeys(told.problems))
        if untold and untold != self._untold:
            _LOG.warning("event=not-told site=%s problem=%r", self.id, untold)
        self._untold = untold

    def _set_problem(self, problem: str) -> None:
        if bool(problem) != bool(self.problem):
            level, event = (logging.WARNING, "closed") if problem else (logging.INFO, "open")
            _LOG.log(level, "event=site-%s site=%s problem=%r", event, self.id, problem)
        self.problem = problem

    def _call(self, function: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                future.set_exception(error)

        self._calls.put(work)
        return future

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

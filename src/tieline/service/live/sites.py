"""One site as the loop sees it: what it said last, whether it answers, what it was told.

Engines are called in the site's own threads: one for what it runs and what it is told, one call
after the other, one for its capacity, and others for output. So a site that hangs holds up nobody
else, and what a site reports was seen after all it had been told before.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tieline.control.flapping import Caution, Mode, Standing, answered, failed, vouched
from tieline.control.ports import Engine, RunOrder, RunReport
from tieline.model.errors import EngineUnavailable, NotLeader, OrderRefused
from tieline.model.units import format_duration
from tieline.service.leadership import Term
from tieline.service.live.line import Line
from tieline.service.live.question import Pace, Question

_LOG: Final = logging.getLogger(__name__)
_UNHEARD: Final = "it has not answered yet"

#: Outputs that are read from one site at the same time.
_READERS: Final = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the loop bears with a site [s]."""

    in_tick_s: float = 0.5
    """One tick waits so long for a site's answer; not at all for one that is closed."""
    closed_after_s: float = 3.0
    """A question open for so long closes the site to new work, until it answers."""
    unknown_after_s: float = 30.0
    """After so long without any answer the state of its jobs is unknown."""
    elsewhere_after_s: float = 300.0
    """After so long idempotent jobs run elsewhere, whatever became of their runs."""
    telling_s: float = 1.0
    """What cannot be told within this time is told after the next answer."""
    capacity_every_s: float = 5.0
    capacity_late_s: float = 15.0
    """One that does not tell its capacity for so long takes no new work, until it does."""
    longest_pause_s: float = 30.0
    """One that does not answer is asked less and less often, but at least so often."""
    output_s: float = 15.0
    """Whoever reads output waits so long at most."""
    caution: Caution = field(default_factory=Caution)
    """When one that comes and goes is trusted again."""


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
    """The loop's line to one site. For one thread, that of the loop; `reports` for all.

    Times are those of a clock that nobody sets, as `seconds_running` gives them.
    """

    def __init__(self, site_id: str, engine: Engine, patience: Patience, term: Term) -> None:
        """Start the site's threads; nothing is asked yet.

        Parameters
        ----------
        term
            Nothing is asked or told when it does not hold.
        """
        self.id: Final = site_id
        self.engine: Final = engine
        self._patience = patience
        self._term = term
        self._line = Line(f"site {site_id}")
        self._side_line = Line(f"capacity {site_id}")
        longest_s = patience.longest_pause_s
        self._look = Question(
            site_id, self._put_look, Pace(0.0, patience.closed_after_s, longest_s)
        )
        self._capacity = Question(
            site_id,
            lambda: self._side_line.call(self._ask_capacity),
            Pace(patience.capacity_every_s, patience.capacity_late_s, longest_s),
        )
        self.reports: Mapping[str, RunReport] = {}
        """What it knew when it answered last."""
        self.fresh = False
        """Whether it answered in this tick."""
        self.barred = ""
        """Why nothing it says is believed, in words; empty when it is believed."""
        self.problem = _UNHEARD
        """Why it takes no new work; empty when it does."""
        self.told_to_end: set[str] = set()
        """Tokens whose end it was asked for before it answered last; the loop takes out those
        that are of no interest any more."""
        self.refused: deque[tuple[str, str]] = deque()
        """Tokens that it will never run, and why; the loop takes them out."""
        self._owed: tuple[str, ...] = ()
        self._owed_when_asked: tuple[str, ...] = ()
        self._standing = Standing()
        self._untold = ""
        self._last_trouble = ""
        self._errands: deque[Future[Told]] = deque()
        self._readers: Line | None = None

    @property
    def complaint(self) -> str:
        """What is wrong with the site, in plain words; empty when nothing is."""
        return self.problem or self._untold

    @property
    def mode(self) -> Mode:
        """Whether it is trusted with new work."""
        closed = self.problem and self._standing.mode is Mode.OPEN
        return Mode.CLOSED if closed else self._standing.mode

    @property
    def capacity(self) -> Mapping[str, int] | None:
        """What it said last of the accelerators that can be used; None before that."""
        return self._capacity.answer

    def ask(self, now: float) -> list[Future[Any]]:
        """Ask the site for all it knows, unless it still owes an answer.

        Gives what to wait for: nothing when the site takes no new work, but for the first time.
        """
        self.fresh = False
        first = self._look.first_at is None
        look, capacity = self._look.ask(now), self._capacity.ask(now)
        if self.problem and not first:
            return []
        needed = (look, capacity if self._capacity.answer is None else None)
        return [answer for answer in needed if answer is not None]

    def hear(self, now: float) -> None:
        """Take in the answers, if there are some by now."""
        while self._errands and self._errands[0].done():
            self._note(self._errands.popleft().result())
        self._capacity.hear(now)
        if self._look.hear(now):
            self.reports = self._look.answer or {}
            self.fresh = not self.barred
            self._owed = tuple(one for one in self._owed if one not in self._owed_when_asked)
        self._judge(now)

    def silent_for(self, now: float) -> float:
        """Give the time since it told of its runs, or was first asked [s]; 0 while it does."""
        return self._look.silent_for(now)

    def unled_for(self, now: float) -> float:
        """Give the time for which no control plane has surely heard of its runs [s].

        A leader that was overtaken may have gone on to ask it until its term had run out.
        """
        earlier_s = 0.0
        if self._look.answered_at is None and self._term.epoch:
            earlier_s = self._term.lease_s
        return max(0.0, self._look.silent_for(now) - earlier_s)

    def heard_ago(self, now: float) -> float | None:
        """Give the time since it told of its runs [s]; None when it never has."""
        at = self._look.answered_at
        return None if at is None else max(0.0, now - at)

    def bar(self, why: str) -> None:
        """Believe nothing that it says from now on, and give it no work."""
        self.barred, self.fresh = why, False
        self._set_problem(why)

    def vouch(self) -> None:
        """Forget that it came and went: an operator says that it is well."""
        if self._standing.mode is Mode.QUARANTINED:
            self._set_problem(self.barred)
        self._standing = vouched(self._standing)

    def owe(self, tokens: Iterable[str]) -> None:
        """Have runs ended before it is asked or told anything else: none of them is to go on.

        Asking may prolong a lease under which such a run would begin, and so may an order.
        """
        self._owed = tuple(dict.fromkeys((*self._owed, *tokens)))

    def tell(self, *, end: Sequence[str], run: Sequence[RunOrder], forget: Sequence[str]) -> None:
        """Have runs ended, started and forgotten, without waiting. Call it after an answer.

        What could not be told shows in the next answer: the site does not know the token. One
        that takes no new work now is told of none.
        """
        run = () if self._capacity.problem else run
        if self._owed or end or run or forget:
            tell = partial(self._tell, self._owed, end, run, forget)
            self._errands.append(self._line.call(tell))

    def output(self, token: str, offset: int, limit: int) -> bytes:
        """Give a piece of a run's output; for all threads.

        Raises
        ------
        EngineUnavailable
            The site does not answer in time.
        """
        if self._readers is None:
            self._readers = Line(f"output {self.id}", _READERS)
        call = self._readers.call(lambda: self.engine.log(token, offset, limit))
        try:
            return call.result(self._patience.output_s)
        except TimeoutError:
            late = f"no answer for {self._patience.output_s:.0f} s"
            raise EngineUnavailable(f"site {self.id}: {late}; try again later") from None

    def close(self) -> None:
        """Let the threads end once they have done what they were asked; wait for that a moment."""
        for line in (self._side_line, self._readers):
            if line is not None:
                line.close()
        self._line.close(0.0 if self.problem else self._patience.telling_s)

    def _put_look(self) -> Future[Mapping[str, RunReport]]:
        self._owed_when_asked = self._owed
        return self._line.call(partial(self._observe, self._owed))

    def _observe(self, owed: Sequence[str]) -> Mapping[str, RunReport]:
        for token in owed:
            self._term.check()
            self.engine.cancel(token)
        self._term.check()
        return self.engine.observe()

    def _ask_capacity(self) -> Mapping[str, int]:
        self._term.check()
        return self.engine.capacity()

    def _judge(self, now: float) -> None:
        """Find out whether it may be given new work."""
        trouble = self._look.problem or self._capacity.problem
        standing, caution = self._standing, self._patience.caution
        if trouble:
            self._last_trouble = trouble
            standing = failed(standing, now, caution)
        elif self._look.answer is None or self._capacity.answer is None:
            trouble = _UNHEARD
        else:
            standing = answered(standing, now, caution)
        if not trouble and standing.mode is Mode.QUARANTINED:
            rest = format_duration(max(1.0, standing.until - now))
            last = self._last_trouble
            trouble = f"it comes and goes (last: {last}): no new work for another {rest}"
        # In this order: whoever looks in between is not told that one that opens is closed.
        self._set_problem(self.barred or trouble)
        self._standing = standing

    def _tell(
        self,
        owed: Sequence[str],
        end: Sequence[str],
        run: Sequence[RunOrder],
        forget: Sequence[str],
    ) -> Told:
        told = Told()
        give_up = time.monotonic() + self._patience.telling_s
        try:
            for token in owed:
                if not self._tried(told, partial(self.engine.cancel, token)):
                    return told
                told.ended.append(token)
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
        except NotLeader as error:
            _LOG.warning("event=not-told site=%s problem=%r", self.id, str(error))
        return told

    def _submit(self, order: RunOrder, told: Told) -> None:
        try:
            self.engine.submit(order)
        except OrderRefused as refusal:
            told.refused.append((order.token, str(refusal)))

    def _tried(self, told: Told, call: "partial[None]") -> bool:
        """Make one call; a fault of the engine in it must not keep the others from being made."""
        self._term.check()
        try:
            call()
        except (EngineUnavailable, NotLeader):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an engine may do wrong
            _LOG.exception("event=engine-fault site=%s", self.id)
            told.problems.append(f"its engine failed: {error}")
            return False
        return True

    def _note(self, told: Told) -> None:
        self.told_to_end.update(told.ended)
        self._owed = tuple(one for one in self._owed if one not in self.told_to_end)
        self.refused.extend(told.refused)
        untold = "; ".join(dict.fromkeys(told.problems))
        if untold and untold != self._untold:
            _LOG.warning("event=not-told site=%s problem=%r", self.id, untold)
        self._untold = untold

    def _set_problem(self, problem: str) -> None:
        first = self.problem == _UNHEARD and problem != _UNHEARD
        if first or bool(problem) != bool(self.problem):
            level, event = (logging.WARNING, "closed") if problem else (logging.INFO, "open")
            _LOG.log(level, "event=site-%s site=%s problem=%r", event, self.id, problem)
        self.problem = problem

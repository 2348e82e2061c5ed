"""Who leads, when several control planes share a store: one runs the loop and the engines.

    candidate --the store says so--> leader --NotLeader, or told to stop--> candidate

The store gives every leader a later epoch than the one before. Who was overtaken learns of it
when it renews or records, both refused by the store. One that cannot reach the store, or was
stopped for a while, does not know: a `Term` holds for `lease_s` after the store last confirmed it,
by a clock that nobody sets, and whatever is told to a site is told within a term that holds.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, TypeVar

from tieline.control.ports import Store
from tieline.model.errors import NotLeader, StoreUnavailable, TielineError
from tieline.service.steady import seconds_running

_LOG: Final = logging.getLogger(__name__)

Office = TypeVar("Office")

#: A leader that the store has not heard of for so long is overtaken [s].
LEASE_S: Final = 10.0
#: From try to try of a candidate [s].
_EVERY_S: Final = 1.0
#: A leader renews so many times within its lease.
_RENEWALS: Final = 5
#: To the next try of one that became the leader and could not take office [s].
_AFTER_FAILURE_S: Final = 15.0


class Term:
    """The right of this process to act as the leader, as far as it knows; for all threads."""

    def __init__(
        self,
        epoch: int = 0,
        *,
        lease_s: float = inf,
        running: Callable[[], float] = seconds_running,
        asked_at: float | None = None,
    ) -> None:
        """Begin; without arguments it holds for ever, for a store that nobody shares.

        Parameters
        ----------
        asked_at
            When the store was asked for it; None: now.
        """
        self.epoch: Final = epoch
        self.lease_s: Final = lease_s
        self._running = running
        self._confirmed_at = running() if asked_at is None else asked_at
        self._ended = threading.Event()
        self._why = ""

    def confirm(self, asked_at: float) -> None:
        """Note that the store has said so in answer to a question of that time."""
        self._confirmed_at = max(self._confirmed_at, asked_at)

    def lose(self, why: str) -> None:
        """End it for good."""
        if not self._ended.is_set():
            self._why = why
            self._ended.set()

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over, at most so long; tell whether it is."""
        return self._ended.wait(seconds)

    def check(self) -> None:
        """Do nothing while it holds.

        Raises
        ------
        NotLeader
            It is over, or the store has not confirmed it for too long.
        """
        if self.over:
            raise NotLeader(self._why)
        silent_s = self._running() - self._confirmed_at
        if silent_s >= self.lease_s:
            raise NotLeader(
                f"the store has not confirmed for {silent_s:.0f} s that this one leads"
            )


@dataclass(frozen=True, slots=True)
class Candidacy:
    """Under which name a control plane stands, and for how long it leads unheard."""

    name: str
    url: str = ""
    """Address of its API; the others pass requests on to it."""
    lease_s: float = LEASE_S


class Leadership(Generic[Office]):
    """Tries to lead, leads and steps down. `step` is for one thread, the rest for all."""

    def __init__(
        self,
        store: Store,
        candidacy: Candidacy,
        take_office: Callable[[Term], AbstractContextManager[Office]],
        *,
        running: Callable[[], float] = seconds_running,
    ) -> None:
        """Stand by; nothing is asked before the first step.

        Parameters
        ----------
        take_office
            What a leader does, from when it leads until it does no more.
        """
        self._store = store
        self._candidacy = candidacy
        self._take_office = take_office
        self._running = running
        self._held: _Held[Office] | None = None
        self._stopping = threading.Event()

    @property
    def office(self) -> Office | None:
        """What there is while this process leads."""
        held = self._held
        return None if held is None or held.term.over else held.office

    @property
    def epoch(self) -> int | None:
        """The epoch while this process leads."""
        held = self._held
        return None if held is None or held.term.over else held.term.epoch

    def run(self) -> None:
        """Step after step until `stop`. No failure ends it: it is logged, and tried again."""
        while not self._stopping.is_set():
            pause_s = _EVERY_S
            try:
                self.step()
            except StoreUnavailable as error:
                _LOG.warning("event=leader-unknown problem=%r", str(error))
            except Exception as error:  # noqa: BLE001 - a later try may fare better
                known = isinstance(error, TielineError)
                _LOG.error(
                    "event=cannot-lead problem=%r", str(error), exc_info=None if known else error
                )
                pause_s = _AFTER_FAILURE_S
            self._stopping.wait(pause_s)

    def step(self) -> None:
        """Step down where another one leads; where nobody does, lead.

        Raises
        ------
        TielineError
            The store did not answer; or this process cannot lead, and has resigned.
        """
        if self._held is not None:
            if not self._held.term.over:
                return
            self._step_down(self._held)
        asked_at, lease_s = self._running(), self._candidacy.lease_s
        epoch = self._store.lead(self._candidacy.name, self._candidacy.url, lease_s=lease_s)
        if epoch is not None:
            self._begin(Term(epoch, lease_s=lease_s, running=self._running, asked_at=asked_at))

    def stop(self) -> None:
        """Let `run` end after the present step."""
        self._stopping.set()

    def close(self) -> None:
        """Step down and let the next one lead at once; call it after `run` has ended."""
        if self._held is not None:
            self._step_down(self._held)

    def _begin(self, term: Term) -> None:
        _LOG.info("event=leads epoch=%d", term.epoch)
        with ExitStack() as stack:
            stack.callback(self._resign, term)
            # In a thread of its own: neither a slow tick nor a slow start loses the lead.
            renewal = threading.Thread(
                target=self._renew, args=(term,), name=f"renewal {term.epoch}", daemon=True
            )
            renewal.start()
            office = stack.enter_context(self._take_office(term))
            self._held = _Held(term, office, stack.pop_all())

    def _renew(self, term: Term) -> None:
        """Renew until the term is over."""
        while not term.wait(term.lease_s / _RENEWALS):
            asked_at = self._running()
            try:
                self._store.renew(term.epoch)
            except NotLeader as error:
                term.lose(str(error))
            except Exception as error:  # noqa: BLE001 - the term itself says how long that is borne
                _LOG.warning("event=not-renewed epoch=%d problem=%r", term.epoch, str(error))
            else:
                term.confirm(asked_at)

    def _step_down(self, held: "_Held[Office]") -> None:
        _LOG.info("event=leads-no-more epoch=%d", held.term.epoch)
        self._held = None
        held.duty.close()

    def _resign(self, term: Term) -> None:
        term.lose("this control plane has resigned")
        try:
            self._store.resign(term.epoch)
        except StoreUnavailable as error:
            _LOG.warning("event=not-resigned epoch=%d problem=%r", term.epoch, str(error))


@dataclass(frozen=True, slots=True)
class _Held(Generic[Office]):
    """The office that is held, and what ends it."""

    term: Term
    office: Office
    duty: ExitStack

"""Group commit: the writes of all threads that wait are made in one transaction.

The disk, or the server, is waited for once for all of them, so that many callers at once are
about as quick as one. There is no thread for it: the first in the queue writes for all that
stand behind it, then the first of those that came meanwhile does the same.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from tieline.model.errors import StoreUnavailable, TielineError
from tieline.store.database import Database
from tieline.store.ledger import Ledger

Result = TypeVar("Result")

#: Writes in one transaction at most, so that the first is not kept waiting by the last.
_MOST: Final = 100
#: Errors of one write, for which the others of its transaction do not suffer.
_ITS_OWN: Final = (TielineError, ValueError, OverflowError, IntegrityError, DataError)


class _Call:
    """One write that waits for its turn, then for its result."""

    def __init__(self, work: Callable[[Ledger], Any]) -> None:
        self.work = work
        self.woken = threading.Event()
        self.taken = False
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Fail with all others of the transaction: each raises an error of its own."""
        if isinstance(error, StoreUnavailable) or not isinstance(error, Exception):
            self.error = StoreUnavailable(*error.args)
            self.error.__cause__ = error.__cause__
        else:
            self.error = error


class GroupCommit:
    """Makes writes durable, in the order in which they came, several at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[_Call] = deque()
        self._queueing = threading.Lock()

    def __call__(self, work: Callable[[Ledger], Result]) -> Result:
        """Do the work in a transaction that others may share; give its result once it is durable.

        When the work raises, all that it did is undone, and nothing of the others.
        """
        call = _Call(work)
        with self._queueing:
            self._queue.append(call)
            if self._queue[0] is call:
                call.woken.set()
        try:
            call.woken.wait()
            if not call.done:
                self._write_for_all()
        except BaseException:
            self._leave(call)
            raise
        if call.error is not None:
            raise call.error
        result: Result = call.result
        return result

    def _write_for_all(self) -> None:
        """Write what waits, being the first of the queue, and wake whose turn it is then."""
        with self._queueing:
            batch = [self._queue[i] for i in range(min(_MOST, len(self._queue)))]
            for call in batch:
                call.taken = True
        try:
            self._write(batch)
        except BaseException as error:
            for call in batch:
                call.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            with self._queueing:
                for call in batch:
                    self._queue.popleft()
                    call.done = True
                    call.woken.set()
                self._wake_first()

    def _write(self, batch: Sequence[_Call]) -> None:
        with self._database.writing() as connection:
            shared = len(batch) > 1
            ledger = Ledger(connection, self._database, shared=shared)
            for call in batch:
                try:
                    call.result = call.work(ledger)
                except _ITS_OWN as error:
                    if not shared:
                        raise
                    ledger.undo()
                    call.error = error
                else:
                    ledger.keep()
            ledger.flush()

    def _leave(self, call: _Call) -> None:
        """Take a caller out of the queue that was interrupted while it waited."""
        with self._queueing:
            if not call.taken:
                self._queue.remove(call)
                self._wake_first()

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].woken.set()

"""A line to a site: calls that may hang are made in threads of its own, in order."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

Result = TypeVar("Result")


class Line:
    """Makes calls in daemon threads, the first asked first; whoever asks need not wait."""

    def __init__(self, name: str, threads: int = 1) -> None:
        """Start the threads; with one of them, each call begins when the one before has ended."""
        self._calls: Final[SimpleQueue[Callable[[], None] | None]] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def call(self, function: Callable[[], Result]) -> Future[Result]:
        """Have the call made, and give what will hold its result or its error."""
        future: Future[Result] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                future.set_exception(error)

        self._calls.put(work)
        return future

    def close(self, wait_s: float = 0.0) -> None:
        """Let the threads end once all that was asked has been done; wait for that a moment."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(wait_s)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

"""What breaks: each fault is one function that breaks a thing and gives how to mend it.

    kill      SIGKILL of a control plane, slurmctld, slurmrestd, PostgreSQL, an agent, a wrapper
    fresh     SIGKILL of slurmctld within a second of a submission: it forgets the job, and gives
              its id to another one
    hang      SIGSTOP of the same, the peer that neither answers nor hangs up
    cut       the link to a site whose machines are in a network of their own
    full      no room left where the claims of a site are made
    clock     the clock of a control plane jumps

A thing that is broken is left alone until it is mended.
"""

import heapq
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from storm.town import Town

Mend = Callable[[], object]

#: Between two faults [s].
_PAUSE_S: Final = (0.2, 1.6)
#: How often each kind is drawn, relative to the others.
WEIGHTS: Final = {
    "kill-leader": 4,
    "kill-standby": 1,
    "hang-leader": 3,
    "kill-slurmctld": 3,
    "kill-slurmctld-fresh": 4,
    "hang-slurmctld": 2,
    "kill-slurmrestd": 2,
    "hang-slurmrestd": 2,
    "kill-postgres": 2,
    "hang-postgres": 2,
    "cut-network": 3,
    "full-disk": 3,
    "clock-jump": 3,
    "kill-agent": 2,
    "kill-wrapper": 2,
}


class Storm:
    """Breaks things one after the other, several at a time, until it has had enough."""

    def __init__(self, town: "Town", seed: int) -> None:
        """Prepare; nothing is broken yet."""
        self.town = town
        self.rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.done: Counter[str] = Counter()
        self.story: list[str] = []
        """One line per fault, for whoever has to find out what went wrong."""
        self._broken: dict[str, None] = {}
        self._mends: list[tuple[float, int, str, Mend]] = []
        self._began = time.monotonic()

    def blow(self, faults: int) -> None:
        """Do so many faults, each kind at least twice, and leave the last ones unmended."""
        due = [kind for kind in WEIGHTS for _ in range(2)]
        while self.done.total() < faults or due:
            self._mend_due()
            self.town.supervise()
            kind = due[0] if due and self.rng.random() < 0.5 else self._drawn()
            target = self._target(kind)
            if target is not None and target not in self._broken:
                if self._break(kind, target) and kind in due:
                    due.remove(kind)
                time.sleep(self.rng.uniform(*_PAUSE_S))
            else:
                time.sleep(0.05)
            self.rng.shuffle(due)

    def calm(self) -> None:
        """Mend all that is broken."""
        while self._mends:
            self._mend(heapq.heappop(self._mends))

    def _drawn(self) -> str:
        return self.rng.choices([*WEIGHTS], [*WEIGHTS.values()])[0]

    def _break(self, kind: str, target: str) -> bool:
        """Break it; tell whether there was something to be broken."""
        at = time.monotonic() - self._began
        mend, lasts_s = _FAULTS[kind](self, target)
        if mend is None:
            return False
        self.story.append(f"{at:6.1f} s {kind} {target} for {lasts_s:.1f} s")
        self.done[kind] += 1
        self._broken[target] = None
        number = self.done.total()
        heapq.heappush(self._mends, (time.monotonic() + lasts_s, number, target, mend))
        return True

    def _mend_due(self) -> None:
        while self._mends and self._mends[0][0] <= time.monotonic():
            self._mend(heapq.heappop(self._mends))

    def _mend(self, entry: tuple[float, int, str, Mend]) -> None:
        _, _, target, mend = entry
        mend()
        del self._broken[target]

    def _target(self, kind: str) -> str | None:
        """Give what a fault of this kind would break now; None when there is nothing."""
        if "leader" in kind:
            return self.town.leading()
        if "standby" in kind or kind == "clock-jump":
            return self.rng.choice(sorted(self.town.planes))
        if "postgres" in kind or "agent" in kind:
            return kind.partition("-")[2]
        if "slurmrestd" in kind:
            return f"{self.town.with_rest} slurmrestd"
        site = self.rng.choice(sorted(self.town.clusters))
        daemon = {"cut-network": "network", "full-disk": "disk"}.get(kind, kind.split("-")[1])
        place = {"cut-network": self.town.behind_link, "full-disk": self.town.on_small_disk}
        return f"{place.get(kind, site)} {daemon}"

    # --------------------------------------------------------------- control planes

    def kill_plane(self, name: str) -> tuple[Mend | None, float]:
        plane = self.town.planes[name]
        plane.signal(signal.SIGKILL)
        return plane.start, self.rng.uniform(0.0, 2.0)

    def hang_plane(self, name: str) -> tuple[Mend | None, float]:
        """Longer than its lease now and then: it wakes up deposed."""
        plane = self.town.planes[name]
        plane.signal(signal.SIGSTOP)
        return (lambda: plane.signal(signal.SIGCONT)), self.rng.uniform(1.0, 14.0)

    def clock(self, name: str) -> tuple[Mend | None, float]:
        plane = self.town.planes[name]
        plane.set_clock(self.rng.choice([-3600.0, -40.0, 40.0, 3600.0]))
        return (lambda: plane.set_clock(0.0)), self.rng.uniform(1.0, 6.0)

    # ------------------------------------------------------------------------ sites

    def kill_daemon(self, target: str) -> tuple[Mend | None, float]:
        site, daemon = target.split()
        cluster = self.town.clusters[site]
        cluster.kill(daemon, signal.SIGKILL)
        return (lambda: cluster.start(daemon)), self.rng.uniform(0.0, 3.0)

    def kill_fresh(self, target: str) -> tuple[Mend | None, float]:
        site = _site(target)
        if not self.town.wait_for_submission(site, timeout_s=2.0):
            return None, 0.0
        time.sleep(self.rng.uniform(0.1, 0.9))
        return self.kill_daemon(target)

    def hang_daemon(self, target: str) -> tuple[Mend | None, float]:
        site, daemon = target.split()
        cluster = self.town.clusters[site]
        cluster.kill(daemon, signal.SIGSTOP)
        return (lambda: cluster.kill(daemon, signal.SIGCONT)), self.rng.uniform(1.0, 8.0)

    def cut(self, target: str) -> tuple[Mend | None, float]:
        cluster = self.town.clusters[_site(target)]
        cluster.cut()
        return cluster.mend, self.rng.uniform(1.0, 10.0)

    def fill(self, target: str) -> tuple[Mend | None, float]:
        ballast = self.town.folder_of(_site(target)) / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        return ballast.unlink, self.rng.uniform(1.0, 5.0)

    def kill_agent(self, _target: str) -> tuple[Mend | None, float]:
        return self._kill_one(self.town.agents())

    def kill_wrapper(self, target: str) -> tuple[Mend | None, float]:
        return self._kill_one(self.town.wrappers(_site(target)))

    def _kill_one(self, pids: list[int]) -> tuple[Mend | None, float]:
        if not pids:
            return None, 0.0
        with suppress(ProcessLookupError):
            os.kill(self.rng.choice(pids), signal.SIGKILL)
        return (lambda: None), 0.0

    # -------------------------------------------------------------------- the store

    def kill_store(self, _target: str) -> tuple[Mend | None, float]:
        self.town.postgres.kill(signal.SIGKILL)
        return self.town.postgres.start, self.rng.uniform(0.0, 3.0)

    def hang_store(self, _target: str) -> tuple[Mend | None, float]:
        self.town.postgres.hang()
        return self.town.postgres.go_on, self.rng.uniform(1.0, 6.0)


_FAULTS: Final[dict[str, Callable[[Storm, str], tuple[Mend | None, float]]]] = {
    "kill-leader": Storm.kill_plane,
    "kill-standby": Storm.kill_plane,
    "hang-leader": Storm.hang_plane,
    "kill-slurmctld": Storm.kill_daemon,
    "kill-slurmctld-fresh": Storm.kill_fresh,
    "hang-slurmctld": Storm.hang_daemon,
    "kill-slurmrestd": Storm.kill_daemon,
    "hang-slurmrestd": Storm.hang_daemon,
    "kill-postgres": Storm.kill_store,
    "hang-postgres": Storm.hang_store,
    "cut-network": Storm.cut,
    "full-disk": Storm.fill,
    "clock-jump": Storm.clock,
    "kill-agent": Storm.kill_agent,
    "kill-wrapper": Storm.kill_wrapper,
}


def _site(target: str) -> str:
    return target.partition(" ")[0]


def processes_with(mark: bytes) -> list[int]:
    """Give the processes that have the mark in their command, by id."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return sorted(found)

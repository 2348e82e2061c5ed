"""What became of a run at a Slurm site: its files first, then what Slurm says.

The files say what happened on the node and outlive Slurm's memory. Slurm is asked where they
are silent: the run has not begun, or its sign of life has stopped. See the table in
`engines/README.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tieline.control.ports import RunPhase, RunReport
from tieline.engines.slurm.jobs import Row
from tieline.engines.wrapper.files import TRY_AGAIN
from tieline.engines.wrapper.rundir import ended_report, number, printable

#: Not even begun, and no fault of the job: it may be submitted once more.
_AGAIN: Final = frozenset({"NODE_FAIL", "BOOT_FAIL", "PREEMPTED"})
_WORDS: Final = {
    "PREEMPTED": "preempted at the site",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "cancelled at the site",
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit of the site's partition",
    "DEADLINE": "the site's deadline has passed",
}
_WRAPPER_KILLED: Final = "its wrapper was killed"


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its account's helper sees it, read with distrust."""

    token: str
    user: str
    ended: Mapping[str, object] | None = None
    claimed: bool = False
    started_at: float | None = None
    silent_s: float = 0.0
    """Time without a sign of life, once claimed."""
    cancelled: bool = False
    asked: bool = True
    """Whether Slurm may have been asked for it."""
    job: int | None = None
    """The id that Slurm gave last."""
    pool: str = ""
    count: int = 0
    evicting: bool = False
    restarts: int = 0

    @property
    def settled(self) -> bool:
        """Whether its end record is the last word."""
        return self.ended is not None and not self.undecided

    @property
    def undecided(self) -> bool:
        """Whether the site ended it, and only Slurm knows why."""
        ended = self.ended
        return ended is not None and ended.get("phase") == "evicted" and not ended.get("final")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is reported of a run, and what is to be done about it."""

    report: RunReport | None
    """None: it was not started and will not be; it may be submitted again."""
    end: Row | None = None
    """A job of Slurm that must not go on."""
    conclude: bool = False
    """Whether the report is to be written down as the end of the run."""


def read_run(token: str, user: str, found: object) -> Run:
    """Give a run from what a helper says, whatever that is."""
    fields: Mapping[str, object] = found if isinstance(found, dict) else {}
    ended, job, count, silent_s = (
        fields.get(key) for key in ("ended", "job", "count", "silent_s")
    )
    pool, restarts = fields.get("pool"), str(fields.get("restarts"))
    return Run(
        token=token,
        user=user,
        ended=ended if isinstance(ended, dict) else None,
        claimed=fields.get("claimed") is True,
        started_at=number(fields, "started_at"),
        silent_s=silent_s if isinstance(silent_s, float) else 0.0,
        cancelled=fields.get("cancelled") is True,
        asked=fields.get("asked") is True,
        job=job if isinstance(job, int) and job > 0 else None,
        pool=pool if isinstance(pool, str) else "",
        count=count if isinstance(count, int) and count > 0 else 0,
        evicting=fields.get("evicting") is True,
        restarts=int(restarts) if restarts.isdecimal() and len(restarts) < 6 else 0,  # noqa: PLR2004 - more is nonsense
    )


def judge(run: Run, rows: Sequence[Row] | None, lapse_s: float) -> Verdict:
    """Give what became of a run.

    Parameters
    ----------
    rows
        The jobs of that name; None when Slurm was not asked, or does not answer.
    lapse_s
        After so long without a sign of life nothing of a run is alive.
    """
    if run.undecided:
        return _evicted(run, rows)
    if run.ended is not None:
        return Verdict(ended_report(run.token, run.ended))
    if run.claimed:
        return _claimed(run, rows, lapse_s)
    if run.cancelled:
        detail = "cancelled before it started"
        return Verdict(RunReport(run.token, RunPhase.STOPPED, detail=detail))
    if not run.asked:
        return Verdict(None)
    return _waiting(run, rows)


def _claimed(run: Run, rows: Sequence[Row] | None, lapse_s: float) -> Verdict:
    going = Verdict(_going(run))
    if run.silent_s < lapse_s or rows is None:
        return going
    for row in rows:
        if row.state == "SUSPENDED":
            return Verdict(_going(run, "suspended at the site"))
        if row.live:
            # Its wrapper is stopped or cut off. Slurm can reach what a lease cannot: steps on
            # other nodes, processes under a stopped guard.
            return Verdict(going.report, end=row)
    if run.evicting:
        detail = "the site ended it before it could record its end"
        phase = RunPhase.EVICTED
    else:
        detail, phase = _WRAPPER_KILLED, RunPhase.VANISHED
    return Verdict(RunReport(run.token, phase, run.started_at, detail=detail), conclude=True)


def _going(run: Run, detail: str = "") -> RunReport:
    phase = RunPhase.ACCEPTED if run.started_at is None else RunPhase.RUNNING
    again = f"restarted by the site {run.restarts} times" if run.restarts else ""
    return RunReport(run.token, phase, run.started_at, detail=detail or again)


def _waiting(run: Run, rows: Sequence[Row] | None) -> Verdict:
    """Judge a run that nobody has claimed."""
    if rows is None:
        return Verdict(RunReport(run.token, RunPhase.ACCEPTED))
    stuck = next((row for row in rows if row.stuck), None)
    live = next((row for row in rows if row.live and not row.stuck), None)
    if live is not None:
        reason = live.reason if live.waits and live.reason not in {"", "None"} else ""
        detail = printable(f"waits at the site: {reason}") if reason else ""
        return Verdict(RunReport(run.token, RunPhase.ACCEPTED, detail=detail), end=stuck)
    last = _latest(run, [row for row in rows if not row.live and not row.refused])
    if stuck or last is None or last.state in _AGAIN or last.exit_code == TRY_AGAIN:
        return Verdict(None, end=stuck)
    words = _WORDS.get(last.state, f"Slurm says {last.state.lower()}")
    detail = printable(f"{words} before it started")
    return Verdict(RunReport(run.token, RunPhase.FAILED, detail=detail), conclude=True)


def _evicted(run: Run, rows: Sequence[Row] | None) -> Verdict:
    """Judge a run that the site has ended, for a reason that Slurm may know."""
    report = ended_report(run.token, run.ended or {})
    if run.cancelled:
        return Verdict(_changed(report, RunPhase.STOPPED, "cancelled"), conclude=True)
    if rows is None or any(row.holds for row in rows):
        return Verdict(_going(run))
    back = next((row for row in rows if row.waits), None)
    if back is not None:
        words = "the site put it back into its queue"
        return Verdict(_changed(report, RunPhase.EVICTED, words), end=back, conclude=True)
    last = _latest(run, rows)
    state = last.state if last else ""
    phase = RunPhase.FAILED if state == "TIMEOUT" else RunPhase.EVICTED
    return Verdict(_changed(report, phase, _WORDS.get(state, report.detail)), conclude=True)


def _latest(run: Run, rows: Sequence[Row]) -> Row | None:
    """Give the job that was submitted last; Slurm may show earlier ones of the same name."""
    return next((row for row in rows if row.id == run.job), rows[-1] if rows else None)


def _changed(report: RunReport, phase: RunPhase, detail: str) -> RunReport:
    return RunReport(
        report.token, phase, report.started_at, report.ended_at, report.exit_code, detail
    )

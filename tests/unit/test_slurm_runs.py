"""What is made of a run's files and of Slurm's jobs: one row of the table per case."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.ports import RunPhase
from tieline.engines.slurm.commands import read_row
from tieline.engines.slurm.dialect import DIALECTS
from tieline.engines.slurm.jobs import Row
from tieline.engines.slurm.runs import Run, judge, read_run
from tieline.engines.wrapper.files import TRY_AGAIN

LAPSE_S = 100.0
WAITING = Run("job.1", "alice", job=7)
GOING = replace(WAITING, claimed=True, started_at=5.0)
LAPSED = replace(GOING, silent_s=LAPSE_S)
ENDED = {"phase": "evicted", "detail": "SIGTERM", "started_at": 5.0, "ended_at": 6.0}
EVICTED = replace(GOING, ended=ENDED)


def row(state: str, reason: str = "None", code: int | None = None, number: int = 7) -> Row:
    """Give a job of Slurm."""
    return Row(number, "job.1", state, reason, code)


@pytest.mark.parametrize(
    ("run", "rows", "phase", "detail"),
    [
        # files decide
        (GOING, None, "running", ""),
        (GOING, [], "running", ""),
        (GOING, [row("FAILED")], "running", ""),
        (replace(GOING, started_at=None), None, "accepted", ""),
        (replace(GOING, restarts=2), None, "running", "restarted by the site 2 times"),
        (replace(GOING, ended={"phase": "failed", "detail": "x"}), None, "failed", "x"),
        (replace(WAITING, cancelled=True), None, "stopped", "cancelled before it started"),
        (replace(WAITING, asked=False), None, None, ""),
        # nobody has claimed it
        (WAITING, None, "accepted", ""),
        (WAITING, [row("PENDING", "Resources")], "accepted", "waits at the site: Resources"),
        (WAITING, [row("RUNNING")], "accepted", ""),
        (WAITING, [], None, ""),
        (WAITING, [row("NODE_FAIL")], None, ""),
        (WAITING, [row("PREEMPTED")], None, ""),
        (WAITING, [row("FAILED", "NonZeroExitCode", TRY_AGAIN)], None, ""),
        (WAITING, [row("FAILED", "BadConstraints")], None, ""),
        (WAITING, [row("PENDING", "launch failed requeued held")], None, ""),
        (WAITING, [row("FAILED", "x", 1)], "failed", "Slurm says failed before it started"),
        (WAITING, [row("CANCELLED")], "failed", "cancelled at the site before it started"),
        (WAITING, [row("FAILED", "x", 1), row("PENDING", "", None, 8)], "accepted", ""),
        # no sign of life
        (LAPSED, None, "running", ""),
        (LAPSED, [row("RUNNING")], "running", ""),
        (LAPSED, [row("SUSPENDED")], "running", "suspended at the site"),
        (LAPSED, [row("NODE_FAIL")], "vanished", "its wrapper was killed"),
        (LAPSED, [], "vanished", "its wrapper was killed"),
        (
            replace(LAPSED, evicting=True),
            [],
            "evicted",
            "the site ended it before it could record its end",
        ),
        # the site ended it
        (EVICTED, None, "running", ""),
        (EVICTED, [row("COMPLETING")], "running", ""),
        (EVICTED, [row("TIMEOUT")], "failed", "time limit of the site's partition"),
        (EVICTED, [row("PREEMPTED")], "evicted", "preempted at the site"),
        (EVICTED, [row("CANCELLED")], "evicted", "cancelled at the site"),
        (EVICTED, [row("NODE_FAIL")], "evicted", "its node failed"),
        (EVICTED, [row("PENDING")], "evicted", "the site put it back into its queue"),
        (EVICTED, [row("COMPLETED")], "evicted", "SIGTERM"),
        (EVICTED, [], "evicted", "SIGTERM"),
        (replace(EVICTED, cancelled=True), None, "stopped", "cancelled"),
        (replace(EVICTED, ended={**ENDED, "final": True}), None, "evicted", "SIGTERM"),
    ],
)
def test_what_became_of_a_run(
    run: Run, rows: list[Row] | None, phase: str | None, detail: str
) -> None:
    """Files come first, then Slurm; a run that cannot have begun is absent."""
    report = judge(run, rows, LAPSE_S).report
    assert (report and report.phase, report.detail if report else "") == (phase, detail)


@pytest.mark.parametrize(
    ("run", "rows", "ends", "concludes"),
    [
        (WAITING, [row("PENDING", "launch failed requeued held")], True, False),
        (WAITING, [row("PENDING", "Resources")], False, False),
        (WAITING, [row("FAILED", "x", 1)], False, True),
        (LAPSED, [row("RUNNING")], True, False),
        (LAPSED, [row("SUSPENDED")], False, False),
        (LAPSED, [], False, True),
        (EVICTED, [row("PENDING")], True, True),
        (EVICTED, [row("COMPLETING")], False, False),
    ],
)
def test_what_is_done_about_a_run(
    run: Run,
    rows: list[Row],
    ends: bool,
    concludes: bool,
) -> None:
    """A job that must not go on is ended, and an end that only we know is written down."""
    verdict = judge(run, rows, LAPSE_S)
    assert (verdict.end is not None, verdict.conclude) == (ends, concludes)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
FIELDS = [
    "ended",
    "claimed",
    "restarts",
    "started_at",
    "silent_s",
    "cancelled",
    "asked",
    "job",
    "pool",
    "count",
    "evicting",
    "phase",
    "detail",
    "exit_code",
    "job_id",
    "name",
    "job_state",
    "state_reason",
    "comment",
    "state",
    "state_flags",
    "partitions",
    "gres",
    "gres_used",
    "flags",
    "max_time_limit",
]
ANSWER = st.dictionaries(st.sampled_from(FIELDS), ANYTHING) | ANYTHING
ROWS = st.none() | st.lists(
    st.builds(Row, st.integers(), st.just("job.1"), st.text(max_size=10), st.text(max_size=10))
)


@given(answer=ANSWER, rows=ROWS)
def test_a_helper_may_say_anything(answer: object, rows: list[Row] | None) -> None:
    """Whatever comes from a site, a report comes out that can be shown, or none."""
    report = judge(read_run("job.1", "alice", answer), rows, LAPSE_S).report
    if report is not None:
        assert report.token == WAITING.token
        assert isinstance(report.phase, RunPhase)
        assert report.detail.isprintable()
        assert report.exit_code in {None, *range(256)}


@given(answer=st.dictionaries(st.sampled_from(FIELDS), ANYTHING), line=st.text(max_size=400))
def test_slurm_may_say_anything(answer: dict[str, object], line: str) -> None:
    """Whatever Slurm says of a job, a node or a partition is understood or passed over."""
    for dialect in DIALECTS.values():
        for read in (dialect.row, dialect.node, dialect.partition):
            read(answer)
    read_row(line)


def test_a_line_of_squeue() -> None:
    """Columns are known by their places, so that no text in one of them shifts the others."""
    line = f"{12:<16}{'FAILED':<16}{19200:<8}{'NonZero|Exit':<60}{'tieline-ab':<32}{'job.1':<201}"
    assert read_row(line) == Row(12, "job.1", "FAILED", "NonZero|Exit", 75, "tieline-ab")


def test_answers_are_json() -> None:
    """A run of which nothing odd is said comes out as it was said."""
    said = {"claimed": True, "asked": True, "job": 7, "silent_s": 1.5, "pool": "s/p", "count": 2}
    run = read_run("job.1", "alice", json.loads(json.dumps(said)))
    assert run == Run("job.1", "alice", claimed=True, silent_s=1.5, job=7, pool="s/p", count=2)

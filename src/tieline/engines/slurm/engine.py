"""The Slurm engine: every run is a job of a cluster, in a run directory that its nodes share.

What is done at the site is done by a helper per account, which runs as that user (`agent`,
`link`); Slurm itself is reached by REST (`rest`) or by its commands (`commands`). The engine
keeps nothing that matters in memory.
"""

import base64
import binascii
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tieline.control.ports import RunOrder, RunPhase, RunReport
from tieline.engines.slurm.accounts import account_of, check_accounts
from tieline.engines.slurm.batch import (
    is_mark,
    make_batch,
    mark,
    partition_of,
    shape,
    wrapper_order,
)
from tieline.engines.slurm.commands import Commands
from tieline.engines.slurm.jobs import Node, Partition, Row, Slurm
from tieline.engines.slurm.link import Link
from tieline.engines.slurm.options import Options, parse_options
from tieline.engines.slurm.rest import Rest
from tieline.engines.slurm.room import agrees, room
from tieline.engines.slurm.runs import Run, Verdict, judge, read_run
from tieline.engines.slurm.watch import Memory
from tieline.engines.wrapper.order import check_order, is_token
from tieline.engines.wrapper.rundir import ENDED_PHASES, printable
from tieline.model.errors import EngineUnavailable, InputError, OrderRefused
from tieline.model.network import Pool, Site

#: What the clocks of a site may differ by [s].
_CLOCKS_S: Final = 60.0
#: Partitions are asked for anew after so long [s].
_PARTITIONS_S: Final = 30.0
_MOST_GHOSTS: Final = 10
_SAME_TRIES: Final = 4
_TURNS: Final = 32
_TAIL_BYTES: Final = 1 << 14


class SlurmEngine:
    """Runs orders of one site as jobs of its Slurm cluster; they outlive this object."""

    def __init__(self, site: Site, *, epoch: int = 0) -> None:
        """Read the site's options; nothing is asked yet.

        Parameters
        ----------
        site
            The site whose pools can be used; its `engine_options` are those of `Options`.
        epoch
            Of the leadership that this engine acts for.

        Raises
        ------
        InputError
            An option, an account or a pool of the site is wrong.
        """
        self._site = site
        self._options: Options = parse_options(site)
        for pool in site.pools:
            if pool.gres is None:
                raise InputError(
                    f"site {site.id}: pool {pool.id}: say what Slurm calls its accelerators, "
                    f"such as `gres: gpu:h200`"
                )
        users = check_accounts(site, self._options)
        self._pools: Mapping[str, Pool] = {pool.id: pool for pool in site.pools}
        self._links = {user: Link(site.id, user, self._options, epoch) for user in users}
        kind = Rest if self._options.url or self._options.socket else Commands
        self._slurm: Slurm = kind(site.id, self._links, self._options)
        self._epoch = epoch
        self._memory = Memory()
        self._heard: dict[str, float] = {}
        self._places: dict[str, object] = {}
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._partitions: tuple[float, Sequence[Partition]] = (0.0, ())

    @property
    def lease_s(self) -> float | None:
        """Give the site's lease, with what a look may come late and clocks may differ."""
        options = self._options
        return None if options.lease is None else options.lease + options.heartbeat + _CLOCKS_S

    def submit(self, order: RunOrder) -> None:
        """Have Slurm run the order unless its token is known. See `Engine.submit`."""
        pool = check_order(order, self._pools)
        user = account_of(order, self._site.id, self._site.accounts)
        shape(order, pool)
        partition = partition_of(order, pool, self._get_partitions())
        with self._turns[hash(order.token) % _TURNS]:
            if self._memory.user_of(order.token) in {None, user}:
                self._submit(order, pool, user, partition)

    def observe(self) -> Mapping[str, RunReport]:
        """Give a report for every known token. See `Engine.observe`.

        Slurm is asked only for runs of which the files do not tell enough, and left alone for
        a while when it does not answer. About 60 us for each run that has not ended.
        """
        runs, heard = self._look()
        self._memory.see(runs)
        ghosts = self._memory.ghosts(_MOST_GHOSTS)
        rows: dict[str, Sequence[Row]] = {}
        for user, tokens in self._memory.questions(self._lapse_s, ghosts).items():
            rows.update(self._ask_rows(user, tokens))
        reports = {}
        for run in runs:
            verdict = self._judge(run, rows.get(run.token))
            report = self._carry_out(run, verdict, heard.get(run.user))
            if report is None:
                continue
            reports[run.token] = report
            if run.settled or (verdict.conclude and report.phase in ENDED_PHASES):
                self._memory.end(run, report)
        for run in ghosts:
            self._end_ghost(run, rows.get(run.token))
        # Only now: as long as nothing comes of looking, the site's lease runs out.
        self._heard = heard
        return {**{token: report for token, (_, report) in self._memory.ended.items()}, **reports}

    def capacity(self) -> Mapping[str, int]:
        """Give what works and no stranger holds, by pool. See `Engine.capacity`."""
        if problem := self._memory.quiet():
            raise EngineUnavailable(problem)
        user, within_s = next(iter(self._links)), self._options.timeout / 4
        try:
            partitions = self._slurm.partitions(user, within_s)
            self._partitions = (time.monotonic(), partitions)
            nodes, amounts = self._sample(user, within_s, partitions)
        except EngineUnavailable as error:
            self._memory.leave_alone(str(error))
            raise
        return room(self._site.pools, partitions, nodes, amounts)

    def cancel(self, token: str) -> None:
        """Ask for the end of a run. See `Engine.cancel`.

        The wrapper looks for the mark once a second. A token that is not known yet is known,
        and stopped, from here on.
        """
        if not is_token(token):
            return
        for link in self._links_of(token):
            job = link.ask("cancel", token=token).get("job")
            if isinstance(job, int) and not self._memory.quiet():
                self._end(link.user, token, job, waiting=True)

    def log(self, token: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """Give a piece of a run's output; empty when there is none."""
        if not is_token(token):
            return b""
        for link in self._links_of(token):
            piece = self._read(link, token, max(offset, 0), max(limit, 0))
            if piece:
                return piece
        return b""

    def forget(self, tokens: Sequence[str]) -> None:
        """Remove the directories of ended runs, their output included. Idempotent."""
        known = [token for token in tokens if is_token(token)]
        for user, link in self._links.items():
            own = [token for token in known if self._memory.user_of(token) in {None, user}]
            if own:
                link.ask("forget", tokens=own)
        for token in known:
            if token in self._memory.ended:
                self._memory.drop(token)

    def close(self) -> None:
        """End the helpers; the runs go on."""
        for link in self._links.values():
            link.close()
        self._slurm.close()

    @property
    def _lapse_s(self) -> float:
        heartbeat = self._options.heartbeat
        return heartbeat + min(10.0, heartbeat / 2)

    def _links_of(self, token: str) -> Iterable[Link]:
        user = self._memory.user_of(token)
        return self._links.values() if user is None else (self._links[user],)

    def _until(self, user: str) -> float | None:
        """Give until when the site may take us to be there: counted from what it said last.

        So a request that is delivered late does not make it longer.
        """
        heard = self._heard.get(user)
        return (
            None if self._options.lease is None or heard is None else heard + self._options.lease
        )

    def _look(self) -> tuple[list[Run], dict[str, float]]:
        """Give what is new under every account, and the time that the site said, by account."""
        runs: list[Run] = []
        heard: dict[str, float] = {}
        for user, link in self._links.items():
            answer = link.ask("look", epoch=self._epoch, until=self._until(user))
            if self._places.get(user) is not link.place:  # a new helper tells all once more
                self._places[user] = link.place
                ended = self._memory.ended
                for token in [token for token in ended if ended[token][0] == user]:
                    self._memory.drop(token)
            now, found, gone = (answer.get(key) for key in ("now", "runs", "gone"))
            for token in gone if isinstance(gone, list) else ():
                self._memory.drop(str(token))
            for token, fields in (found if isinstance(found, dict) else {}).items():
                if is_token(token):
                    runs.append(read_run(token, user, fields))
            if isinstance(now, float):
                heard[user] = now
        return self._memory.one_each(runs), heard

    def _judge(self, run: Run, rows: Sequence[Row] | None) -> Verdict:
        if rows is None and run.undecided and self._memory.has_waited(run):
            rows = ()
        if rows and not run.claimed and self._memory.may_try_again(run, rows):
            rows = [row for row in rows if row.live]
        return judge(run, rows, self._lapse_s)

    def _carry_out(self, run: Run, verdict: Verdict, now: float | None) -> RunReport | None:
        """Do what a verdict demands; give what is to be reported."""
        if verdict.end is not None:
            self._end(run.user, run.token, verdict.end.id)
        report = verdict.report
        if report is None or not verdict.conclude:
            return report
        link, unclaimed = self._links[run.user], not run.claimed
        if report.phase is RunPhase.FAILED and unclaimed and run.ended is None:
            report = replace(report, detail=self._complaint(link, run.token) or report.detail)
        record = {
            "phase": report.phase,
            "detail": report.detail,
            "started_at": report.started_at,
            "ended_at": report.ended_at or now,
            "exit_code": report.exit_code,
        }
        try:
            done = link.ask("conclude", token=run.token, record=record, unclaimed=unclaimed)
        except EngineUnavailable:  # a later control plane leads, and writes it
            return report
        # Else it was claimed meanwhile, or has ended by itself: the next look tells.
        return report if done.get("done") is True else RunReport(run.token, RunPhase.ACCEPTED)

    def _ask_rows(
        self, user: str, tokens: Mapping[str, int | None]
    ) -> Mapping[str, Sequence[Row]]:
        """Give Slurm's jobs of some tokens; of none when it does not answer."""
        if self._memory.quiet():
            return {}
        try:
            return self._rows(user, tokens, self._options.timeout / 4)
        except EngineUnavailable as error:
            self._memory.leave_alone(str(error))
            return {}

    def _end(self, user: str, token: str, job: int, *, waiting: bool = False) -> None:
        """Ask Slurm for the end of a job; it is tried again when it is seen again."""
        try:
            self._slurm.end(user, token, job, self._options.timeout / 4, waiting=waiting)
        except EngineUnavailable as error:
            self._memory.leave_alone(str(error))

    def _end_ghost(self, run: Run, rows: Sequence[Row] | None) -> None:
        """End what Slurm takes for a job of a run that has ended; None: it has not said.

        It may have put the job back into its queue, or have missed its end while it was down:
        then it would hold the accelerators for a long time.
        """
        live = [row for row in rows or () if row.live and row.state != "COMPLETING"]
        for row in live:
            self._end(run.user, run.token, row.id)
        if live or rows is None:
            self._memory.look_again(run)

    def _sample(
        self, user: str, within_s: float, partitions: Sequence[Partition]
    ) -> tuple[Sequence[Node], Mapping[str, int]]:
        """Give nodes, and what our runs hold of them by pool, as at one moment."""
        nodes: Sequence[Node] = ()
        amounts: dict[str, int] = {}
        held = self._holding()
        for _ in range(_SAME_TRIES):
            nodes, before = self._slurm.nodes(user, within_s), held
            held, amounts = self._holding(), {}
            for run in held.values():
                amounts[run.pool] = amounts.get(run.pool, 0) + run.count
            if held.keys() == before.keys() and agrees(
                self._site.pools, partitions, nodes, amounts
            ):
                break  # else a job of ours began or ended in between
        return nodes, amounts

    def _holding(self) -> dict[str, Run]:
        """Give our runs that hold accelerators, by token."""
        runs, released = self._memory.asked(), self._memory.releasing()
        wanted: dict[str, dict[str, int | None]] = {}
        for run in [*runs, *released]:
            wanted.setdefault(run.user, {})[run.token] = run.job
        rows: dict[str, Sequence[Row]] = {}
        for user, tokens in wanted.items():
            rows.update(self._rows(user, tokens, self._options.timeout / 4))
        held = {run.token: run for run in runs if run.token not in rows}
        for run in [*runs, *released]:
            if any(row.holds for row in rows.get(run.token, ())):
                held[run.token] = run
        return held

    def _get_partitions(self) -> Sequence[Partition]:
        at, partitions = self._partitions
        if not partitions or time.monotonic() - at > _PARTITIONS_S:
            user = next(iter(self._links))
            partitions = self._slurm.partitions(user, self._options.timeout)
            if not partitions:
                raise EngineUnavailable(f"site {self._site.id}: Slurm shows no partition")
            self._partitions = (time.monotonic(), partitions)
        return partitions

    def _submit(self, order: RunOrder, pool: Pool, user: str, partition: Partition) -> None:
        """Write the order, then ask Slurm: a crash between the two is seen by the next one."""
        link = self._links[user]
        place = link.reach()
        until = self._until(user)
        if until is None and self._options.lease is not None:
            until = place.now and place.now + self._options.lease
        written = wrapper_order(order, pool, self._options, place)
        prepared = link.ask("prepare", token=order.token, order=written, until=until)
        if prepared.get("known") is True:
            return
        number = None
        if prepared.get("asked") is True:
            number = self._adopted(user, order.token, prepared.get("job"))
        if number is None:
            batch = make_batch(order, pool, self._options, partition, place)
            try:
                number = self._slurm.submit(user, batch)
            except OrderRefused:
                link.ask("withdraw", token=order.token)
                raise
        link.ask("acknowledge", token=order.token, job=number)
        self._memory.runs[order.token] = Run(
            order.token, user, job=number, pool=pool.id, count=order.count
        )

    def _adopted(self, user: str, token: str, job: object) -> int | None:
        """Give a job that Slurm has for a token it may have been asked for before.

        Submitting twice would do no harm, as only one can claim the token.
        """
        if isinstance(job, int):
            rows = self._rows(user, {token: job}, self._options.timeout).get(token, ())
        else:
            rows = self._marked(user, self._slurm.named(user, token))
        return next((row.id for row in rows if row.live and not row.stuck), None)

    def _rows(
        self, user: str, tokens: Mapping[str, int | None], within_s: float
    ) -> Mapping[str, Sequence[Row]]:
        found = self._slurm.rows(user, tokens, within_s)
        return {token: self._marked(user, rows) for token, rows in found.items()}

    def _marked(self, user: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Give those that are not another network's, whose tokens may have the same names.

        A site may put a comment of its own into the place of the mark.
        """
        own = mark(self._options.directory, user)
        return [row for row in rows if row.mark == own or not is_mark(row.mark)]

    def _complaint(self, link: Link, token: str) -> str:
        """Give the last line that Slurm, or a wrapper that could not start, has left."""
        try:
            said = self._read(link, token, 0, _TAIL_BYTES, slurm=True).decode(errors="replace")
        except EngineUnavailable:
            return ""
        lines = [line for line in said.splitlines() if line.strip()]
        return printable(lines[-1].strip()) if lines else ""

    def _read(
        self, link: Link, token: str, offset: int, limit: int, *, slurm: bool = False
    ) -> bytes:
        found = link.ask("read", token=token, offset=offset, limit=limit, slurm=slurm).get("data")
        try:
            return base64.b64decode(str(found), validate=True)[:limit]
        except binascii.Error:
            raise EngineUnavailable(f"site {self._site.id}: odd output of {token}") from None

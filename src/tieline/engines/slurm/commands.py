"""Slurm by its commands, which each account's helper gives at the site."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tieline.engines.slurm.jobs import (
    Batch,
    Node,
    Partition,
    Row,
    exit_code,
    node_works,
    read_gres,
    refusal,
)
from tieline.engines.slurm.link import Link
from tieline.engines.slurm.options import Options
from tieline.model.errors import EngineUnavailable

#: Columns of squeue and their widths; the name, which may hold anything, comes last.
_COLUMNS: Final = {
    "JobID": 16,
    "State": 16,
    "exit_code": 8,
    "Reason": 60,
    "Comment": 32,
    "Name": 201,
}
_FORMAT: Final = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
_CLOCK: Final = re.compile(r"(?:(\d{1,6})-)?(\d{1,6}):(\d{2})(?::(\d{2}))?")


class Commands:
    """`sbatch`, `squeue`, `scancel` and `scontrol` of one cluster."""

    def __init__(self, site: str, links: Mapping[str, Link], options: Options) -> None:
        """Give commands through the links, by account."""
        self._site = site
        self._links = links
        self._options = options

    def submit(self, user: str, batch: Batch) -> int:
        """See `Slurm.submit`; about 45 a second, what is written at the site included."""
        given = {
            "--job-name": batch.token,
            "--comment": batch.mark,
            "--chdir": batch.directory,
            "--output": batch.output,
            "--nodes": batch.nodes,
            "--ntasks-per-node": 1,
            "--gres": batch.gres,
            "--gpus": batch.gpus,
            "--partition": batch.partition,
            "--time": "UNLIMITED" if batch.minutes is None else batch.minutes,
            "--account": batch.account,
            "--qos": batch.qos,
            "--cpus-per-task": batch.cpus,
            "--mem": f"{batch.memory}M" if batch.memory else None,
        }
        words = [f"{name}={value}" for name, value in given.items() if value is not None]
        code, out, err = self._run(
            user, ["sbatch", "--parsable", "--no-requeue", *words], batch.script
        )
        match = re.fullmatch(r"(\d{1,15})(;.*)?", (out.strip().splitlines() or [""])[-1])
        if code == 0 and match:
            return int(match[1])
        reason = (err.strip().splitlines() or ["sbatch gives no job id"])[-1]
        reason = reason.removeprefix("sbatch: ").removeprefix("error: ")
        raise refusal(self._site, batch.token, _shown(reason))

    def named(self, user: str, token: str) -> Sequence[Row]:
        """See `Slurm.named`."""
        rows = self._list(user, self._options.timeout, [f"--name={token}"])
        return [row for row in rows if row.name == token]

    def rows(
        self, user: str, wanted: Mapping[str, int | None], within_s: float
    ) -> Mapping[str, Sequence[Row]]:
        """See `Slurm.rows`; one list of all jobs of the account."""
        rows = self._list(user, within_s, [])
        return {token: [row for row in rows if row.name == token] for token in wanted}

    def end(
        self, user: str, token: str, number: int, within_s: float, *, waiting: bool = False
    ) -> None:
        """See `Slurm.end`."""
        only = ["--state=PENDING"] if waiting else []
        self._run(user, ["scancel", f"--name={token}", *only, str(number)], within_s=within_s)

    def nodes(self, user: str, within_s: float) -> Sequence[Node]:
        """See `Slurm.nodes`."""
        lines = self._show(user, "nodes", within_s)
        return [
            Node(
                name=_field(line, "NodeName"),
                partitions=frozenset(_field(line, "Partitions").split(",")) - {""},
                works=_works(_field(line, "State")),
                gres=read_gres(_field(line, "Gres")),
                used=read_gres(_field(line, "GresUsed")),
            )
            for line in lines
            if _field(line, "NodeName")
        ]

    def partitions(self, user: str, within_s: float) -> Sequence[Partition]:
        """See `Slurm.partitions`."""
        return [
            Partition(
                name=_field(line, "PartitionName"),
                default=_field(line, "Default") == "YES",
                up=_field(line, "State") == "UP",
                most_minutes=_minutes(_field(line, "MaxTime")),
            )
            for line in self._show(user, "partitions", within_s)
            if _field(line, "PartitionName")
        ]

    def close(self) -> None:
        """Do nothing: the links belong to the engine."""

    def _list(self, user: str, within_s: float, more: Sequence[str]) -> Sequence[Row]:
        command = ["squeue", "-h", "-t", "all", f"--user={user}", "-O", _FORMAT, *more]
        code, out, err = self._run(user, command, within_s=within_s)
        if code != 0:
            raise self._trouble(f"squeue: {_shown(err)}")
        return [row for line in out.splitlines() if (row := read_row(line))]

    def _show(self, user: str, what: str, within_s: float) -> Sequence[str]:
        code, out, err = self._run(user, ["scontrol", "-d", "-o", "show", what], within_s=within_s)
        if code != 0:
            raise self._trouble(f"scontrol: {_shown(err or out)}")
        return out.splitlines()

    def _run(
        self, user: str, command: Sequence[str], text: str = "", *, within_s: float | None = None
    ) -> tuple[int, str, str]:
        program, *words = command
        folder = self._options.bin
        timeout_s = self._options.timeout if within_s is None else within_s
        done = self._links[user].ask(
            "execute",
            timeout_s,
            command=[f"{folder}/{program}" if folder else program, *words],
            text=text,
            variables={"SLURM_CONF": self._options.conf} if self._options.conf else {},
            timeout_s=0.9 * timeout_s,  # so that it is the command that is given up, not the link
        )
        code, out, err = (done.get(name) for name in ("code", "out", "err"))
        if not isinstance(code, int) or not isinstance(out, str) or not isinstance(err, str):
            raise self._trouble(f"{program} does not answer")
        return code, out, err

    def _trouble(self, what: str) -> EngineUnavailable:
        return EngineUnavailable(f"site {self._site}: {what}")


def read_row(line: str) -> Row | None:
    """Give the job of one line of squeue; None when it is not ours to read."""
    parts, at = [], 0
    for width in _COLUMNS.values():
        parts.append(line[at : at + width].strip())
        at += width
    number, state, status, reason, mark, name = parts
    if not re.fullmatch(r"\d{1,15}", number) or not re.fullmatch(r"\d{1,6}", status):
        return None
    return Row(int(number), name, state, reason, exit_code(int(status)), mark)


def _works(state: str) -> bool:
    return "*" not in state and node_works(re.split(r"[+]", state))


def _field(line: str, name: str) -> str:
    match = re.search(rf"(?:^|\s){name}=(\S*)", line)
    return match[1] if match else ""


def _minutes(text: str) -> int | None:
    match = _CLOCK.fullmatch(text)
    if not match:
        return None
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[4] is None and match[1] is None:  # MM:SS
        return first
    return days * 1440 + first * 60 + second + (third > 0)


def _shown(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text.strip())[:300]

"""What works at a site for one account: keeps its run directories and gives Slurm's commands.

Runs as the tenant's user, so it can do no more than the tenant, whatever it is told. It comes
over standard input (`Link`), and speaks one line of JSON per request and per answer. A bundle
of this module needs nothing but Python 3.9 on Linux.

    DIRECTORY/USER/wrapper-HASH.py   what sees runs through
    DIRECTORY/USER/site-lease        until when the site may take the control plane to be there
    DIRECTORY/USER/epochs/N          a control plane of epoch N has been here
    DIRECTORY/USER/trash/            runs that are being removed
    DIRECTORY/USER/runs/TOKEN/       one run: see `tieline.engines.wrapper`, and beside that
        asked                        Slurm may have been asked; an answer may have been lost
        slurm.json                   the job id that Slurm gave
        slurm.out                    what Slurm and a wrapper that could not start have to say
"""
# Part of what is sent to sites (`bundle`): neither pathlib nor typing is imported here.
# ruff: noqa: PTH102, PTH104, PTH110, PTH112, PTH118, PTH123, PTH208

import base64
import errno
import hashlib
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress

from tieline.engines.wrapper.files import (
    CANCEL,
    CLAIM,
    ENDED,
    EVICTING,
    LOG,
    ORDER,
    PULSE,
    STARTED,
    read_file,
    read_record,
    write_json,
)

ASKED = "asked"
ACKNOWLEDGED = "slurm.json"
OUTPUT = "slurm.out"

_OUTPUT_LIMIT = 32 << 20


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The request is refused; the message says why."""


class Known:
    """What is remembered of a run that has not ended, so that looking at it stays cheap."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.claim: dict[str, object] | None = None
        self.started_at: object = None
        self.order: dict[str, object] | None = None
        self.job: object = None
        self.stamp = 0
        self.stamped_at = 0.0


class Agent:
    """Answers requests; one method for each."""

    def __init__(self) -> None:
        """Wait for `hello`."""
        self.folder = ""
        self.told: set[str] = set()
        self.known: dict[str, Known] = {}
        self.epoch = 0

    def hello(self, directory: str, wrapper: str, epoch: int) -> dict[str, object]:
        """Prepare the account's folder; give who and where this is, and the site's time."""
        user = pwd.getpwuid(os.geteuid())
        if user.pw_uid == 0:
            raise Refused("the account is root: no command of a job runs with its rights")
        os.umask(0o077)
        names = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        os.environ.update(names)
        self.folder = os.path.join(directory, user.pw_name)
        with suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
        status = os.lstat(self.folder)
        mine = status.st_uid == user.pw_uid and stat.S_ISDIR(status.st_mode)
        if not mine or status.st_mode & 0o077:
            raise Refused(f"{self.folder} must be a directory of {user.pw_name} with mode 700")
        for name in ("runs", "trash", "epochs"):
            with suppress(FileExistsError):
                os.mkdir(self.path(name), 0o700)
        for waste in os.listdir(self.path("trash")):  # of a removal that was cut short
            shutil.rmtree(self.path("trash", waste), ignore_errors=True)
        digest = hashlib.sha256(wrapper.encode()).hexdigest()[:16]
        program = self.path(f"wrapper-{digest}.py")
        if not os.path.exists(program):
            temporary = f"{program}.{os.urandom(8).hex()}"
            with open(temporary, "x", encoding="utf-8") as file:
                file.write(wrapper)
            os.rename(temporary, program)
        self.lead(epoch)
        return {
            "user": user.pw_name,
            "home": user.pw_dir if os.path.isdir(user.pw_dir) else self.folder,
            "environment": {
                **names,
                "PATH": os.environ.get("PATH", os.defpath),
                "SHELL": user.pw_shell,
            },
            "folder": self.folder,
            "wrapper": program,
            "now": time.time(),
        }

    def hear(self) -> "dict[str, object]":
        """Do nothing: whoever asks wants to know that somebody is here."""
        return {}

    def path(self, *names: str) -> str:
        """Give a path in the account's folder."""
        return os.path.join(self.folder, *names)

    def run_path(self, token: str, *names: str) -> str:
        """Give the path of a run, or of a file of it."""
        if not token or "/" in token or token.startswith("."):
            raise Refused("no such token")
        return self.path("runs", token, *names)

    def lead(self, epoch: int) -> None:
        """Note that a control plane of that epoch is here."""
        self.epoch = epoch
        if epoch > self.highest():
            os.close(os.open(self.path("epochs", str(epoch)), os.O_CREAT, 0o600))

    def highest(self) -> int:
        """Give the latest epoch that was here."""
        return max((int(name) for name in os.listdir(self.path("epochs"))), default=0)

    def must_lead(self) -> None:
        """Refuse what only the latest control plane may do."""
        if (highest := self.highest()) > self.epoch:
            raise Refused(f"a later control plane leads (epoch {highest}, this is {self.epoch})")

    def renew(self, until: "float | None") -> None:
        """Tell the wrappers how long the control plane may be taken to be there."""
        if until is not None and self.highest() == self.epoch:
            write_json(self.path("site-lease"), {"until": until})

    def prepare(
        self, token: str, order: "dict[str, object]", until: "float | None"
    ) -> "dict[str, object]":
        """Write an order unless its token is known; give what Slurm was asked before."""
        self.must_lead()
        with suppress(FileExistsError):
            os.mkdir(self.run_path(token), 0o700)
        if self.is_settled(token):
            return {"known": True}
        self.renew(until)
        asked = os.path.exists(self.run_path(token, ASKED))
        write_json(self.run_path(token, ORDER), order)
        os.close(os.open(self.run_path(token, ASKED), os.O_WRONLY | os.O_CREAT, 0o600))
        # Whoever came meanwhile has seen the run or is seen here.
        self.must_lead()
        job = (read_record(self.run_path(token, ACKNOWLEDGED)) or {}).get("job")
        return {"known": False, "asked": asked, "job": job}

    def is_settled(self, token: str) -> bool:
        """Tell whether the run is claimed, cancelled or ended."""
        return any(os.path.exists(self.run_path(token, name)) for name in (CLAIM, CANCEL, ENDED))

    def acknowledge(self, token: str, job: int) -> "dict[str, object]":
        """Note the job id that Slurm gave."""
        write_json(self.run_path(token, ACKNOWLEDGED), {"job": job})
        return {}

    def withdraw(self, token: str) -> "dict[str, object]":
        """Take an order back that Slurm refused."""
        if not self.is_settled(token):
            self.remove(token)
        return {}

    def remove(self, token: str) -> None:
        """Remove a run; renamed first, as one that is removed halfway must not look like one."""
        waste = self.path("trash", os.urandom(8).hex())
        with suppress(FileNotFoundError):
            os.rename(self.run_path(token), waste)
            shutil.rmtree(waste, ignore_errors=True)

    def look(self, epoch: int, until: "float | None") -> "dict[str, object]":
        """Give what is new: every run that has not ended, and ended ones once."""
        self.lead(epoch)
        now = time.time()  # before the runs are looked at: what they are told lasts no longer
        self.renew(until)
        tokens = {name for name in os.listdir(self.path("runs")) if not name.startswith(".")}
        gone = self.told - tokens
        self.told -= gone
        for token in self.known.keys() - tokens:
            del self.known[token]
        runs = {}
        for token in sorted(tokens - self.told):
            with suppress(NotADirectoryError):
                runs[token] = self.look_at(token)
        return {"now": now, "runs": runs, "gone": sorted(gone)}

    def look_at(self, token: str) -> "dict[str, object]":
        """Give what is known of one run."""
        known = self.known.setdefault(token, Known())
        if known.job is None or known.claim is None:  # it may be submitted again until then
            known.job = (read_record(self.run_path(token, ACKNOWLEDGED)) or {}).get("job")
        if known.order is None:
            known.order = read_record(self.run_path(token, ORDER))
        ended = read_record(self.run_path(token, ENDED))
        if known.claim is None:
            known.claim = read_record(self.run_path(token, CLAIM))
        order, claimed = known.order or {}, known.claim is not None
        marks = {CANCEL: False, ASKED: True, EVICTING: False}
        if ended is not None or not claimed:
            marks[CANCEL] = os.path.exists(self.run_path(token, CANCEL))
            marks[ASKED] = os.path.exists(self.run_path(token, ASKED))
        if ended is not None and (ended.get("phase") != "evicted" or ended.get("final")):
            self.told.add(token)
            del self.known[token]
        elif claimed:
            if known.started_at is None:
                known.started_at = (read_record(self.run_path(token, STARTED)) or {}).get("at")
            marks[EVICTING] = os.path.exists(self.run_path(token, EVICTING))
        return {
            "ended": ended,
            "claimed": claimed,
            "restarts": (known.claim or {}).get("restarts"),
            "started_at": known.started_at,
            "silent_s": self.silence(token, known),
            "cancelled": marks[CANCEL],
            "asked": marks[ASKED],
            "evicting": marks[EVICTING],
            "job": known.job,
            "pool": order.get("pool"),
            "count": order.get("count"),
        }

    def silence(self, token: str, known: Known) -> float:
        """Give how long the run has been without a sign of life, as seen from here [s]."""
        if known.claim is None:
            return 0.0
        stamp = 1
        with suppress(FileNotFoundError):
            # Opened, not only looked at: NFS then asks its server.
            fd = os.open(self.run_path(token, PULSE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            stamp = os.fstat(fd).st_mtime_ns
            os.close(fd)
        now = time.monotonic()
        if stamp != known.stamp:
            known.stamp, known.stamped_at = stamp, now
        return now - known.stamped_at

    def conclude(
        self, token: str, record: "dict[str, object]", *, unclaimed: bool
    ) -> "dict[str, object]":
        """Write the end record of a run whose wrapper will not, or did not know the reason.

        `unclaimed` demands that it has not started, and never will. Gives whether it is so.
        """
        self.must_lead()
        if unclaimed:
            # The mark comes before the look at the claim; see `Keeper`.
            os.close(os.open(self.run_path(token, CANCEL), os.O_WRONLY | os.O_CREAT, 0o600))
            if os.path.exists(self.run_path(token, CLAIM)):
                return {"done": False}
        ended = read_record(self.run_path(token, ENDED))
        again = ended is not None and ended.get("phase") == "evicted"
        done = write_json(
            self.run_path(token, ENDED),
            {**(ended or {}), **record, "final": True},
            durable=True,
            exclusive=not again,
        )
        return {"done": done}

    def cancel(self, token: str) -> "dict[str, object]":
        """Mark a run as cancelled; give what is to be done about it at Slurm."""
        self.must_lead()
        with suppress(FileExistsError):
            os.mkdir(self.run_path(token), 0o700)
        if os.path.exists(self.run_path(token, ENDED)):
            return {"ended": True}
        os.close(os.open(self.run_path(token, CANCEL), os.O_WRONLY | os.O_CREAT, 0o600))
        job = (read_record(self.run_path(token, ACKNOWLEDGED)) or {}).get("job")
        return {"ended": False, "job": job}

    def read(self, token: str, offset: int, limit: int, *, slurm: bool) -> "dict[str, object]":
        """Give a piece of a run's output, or of what Slurm had to say."""
        path = self.run_path(token, OUTPUT if slurm else LOG)
        return {"data": base64.b64encode(read_file(path, limit, offset) or b"").decode()}

    def forget(self, tokens: "list[str]") -> "dict[str, object]":
        """Remove runs that have ended."""
        self.must_lead()
        for token in tokens:
            ended = os.path.exists(self.run_path(token, ENDED))
            claimed = os.path.exists(self.run_path(token, CLAIM))
            if ended or (not claimed and os.path.exists(self.run_path(token, CANCEL))):
                self.remove(token)
        return {}

    def execute(
        self, command: "list[str]", text: str, variables: "dict[str, str]", timeout_s: float
    ) -> "dict[str, object]":
        """Run one of Slurm's commands."""
        with subprocess.Popen(  # noqa: S603 - the engine's own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**os.environ, **variables},
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(text.encode(), timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return {"code": None, "out": "", "err": ""}
        return {
            "code": process.returncode,
            "out": out[:_OUTPUT_LIMIT].decode(errors="replace"),
            "err": err[:4096].decode(errors="replace"),
        }


def answer(agent: Agent, line: bytes) -> "dict[str, object]":
    """Give the answer to one request."""
    request = json.loads(line)
    try:
        result: dict[str, object] = getattr(agent, request.pop("do"))(**request)
    except Refused as refusal:
        return {"refused": str(refusal)}
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        known = error.errno is not None and error.errno in errno.errorcode
        return {"failed": f"{error.strerror if known else error}{place}"}
    return {"done": result}


def serve() -> None:
    """Answer until nobody asks any more."""
    agent = Agent()
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(answer(agent, line)).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()

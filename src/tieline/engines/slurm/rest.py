"""Slurm by slurmrestd: with a JSON web token per account, or at a Unix socket."""

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_IROTH
from typing import Final

from tieline.engines.slurm.dialect import DIALECTS, Dialect
from tieline.engines.slurm.exchange import NoAnswer, Server, Until
from tieline.engines.slurm.jobs import Batch, Node, Partition, Row, refusal
from tieline.engines.slurm.link import Link
from tieline.engines.slurm.options import Options
from tieline.engines.wrapper.rundir import printable
from tieline.model.errors import EngineUnavailable, InputError

#: Jobs that are asked for one by one in one look.
_MOST_ROWS: Final = 20
#: The list of all jobs, 3 KB for each, is asked for no more often [s].
_LIST_S: Final = 10.0
_UNKNOWN_JOB: Final = 2017
#: What slurmrestd says to a token that is wrong or has expired. It is not alone in that.
_DOUBTFUL: Final = ("authentication", "unspecified error", "protocol authentication error")


class Rest:
    """The REST interface of one cluster."""

    def __init__(self, site: str, links: Mapping[str, Link], options: Options) -> None:
        """Speak for the accounts of the links; nothing is asked yet.

        Raises
        ------
        InputError
            The version is not known.
        """
        if options.version not in DIALECTS:
            known = ", ".join(DIALECTS)
            raise InputError(f"site {site}: version {options.version} is unknown; known: {known}")
        self._site = site
        self._links = links
        self._options = options
        self._dialect: Dialect = DIALECTS[options.version]
        self._servers = {
            user: Server(str(options.url or options.socket).replace("{user}", user))
            for user in links
        }
        self._tokens: dict[str, str] = {}
        self._listed_at = -_LIST_S
        self._asked_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def submit(self, user: str, batch: Batch) -> int:
        """See `Slurm.submit`; about 90 a second, what is written at the site included."""
        environment = self._links[user].reach().environment
        body = json.dumps(self._dialect.submission(batch, environment)).encode()
        answer = self._ask(user, "POST", "job/submit", self._options.timeout, body)
        number = answer.get("job_id")
        if isinstance(number, int) and number > 0:
            return number  # with or without an error: that of a job that has to wait is a warning
        if reason := _first_error(answer):
            raise refusal(self._site, batch.token, reason)
        raise self._trouble("gives no job id")

    def named(self, user: str, token: str) -> Sequence[Row]:
        """See `Slurm.named`; asks for all jobs there are, as there is no filter."""
        rows = self._all(user, self._options.timeout)
        return [row for row in rows if row.name == token]

    def rows(
        self, user: str, wanted: Mapping[str, int | None], within_s: float
    ) -> Mapping[str, Sequence[Row]]:
        """See `Slurm.rows`; at most 20 in a call, those first that were not asked for longest."""
        give_up = time.monotonic() + within_s
        found: dict[str, Sequence[Row]] = {}
        everything: Sequence[Row] = ()
        may_list = time.monotonic() - self._listed_at >= _LIST_S
        self._asked_at = {token: self._asked_at.get(token, 0.0) for token in wanted}
        for token in sorted(wanted, key=self._asked_at.__getitem__)[:_MOST_ROWS]:
            number, left_s = wanted[token], give_up - time.monotonic()
            if left_s <= 0:
                break
            if number is not None:
                rows = self._one(user, number, left_s)
            elif may_list:
                rows = everything = everything or self._all(user, left_s)
            else:
                continue
            self._asked_at[token] = time.monotonic()
            found[token] = [row for row in rows if row.name == token]
        return found

    def end(
        self, user: str, token: str, number: int, within_s: float, *, waiting: bool = False
    ) -> None:
        """See `Slurm.end`; one question and, if there is such a job, another."""
        rows = self._one(user, number, within_s)
        if any(row.name == token and (row.waits if waiting else row.live) for row in rows):
            self._ask(user, "DELETE", f"job/{number}", within_s)

    def nodes(self, user: str, within_s: float) -> Sequence[Node]:
        """See `Slurm.nodes`."""
        answer = self._ask(user, "GET", "nodes", within_s)
        found = map(self._dialect.node, _records(answer, "nodes"))
        return [node for node in found if node is not None]

    def partitions(self, user: str, within_s: float) -> Sequence[Partition]:
        """See `Slurm.partitions`."""
        answer = self._ask(user, "GET", "partitions", within_s)
        found = map(self._dialect.partition, _records(answer, "partitions"))
        return [partition for partition in found if partition is not None]

    def close(self) -> None:
        """Close connections."""
        for server in self._servers.values():
            server.close()

    def _one(self, user: str, number: int, within_s: float) -> Sequence[Row]:
        return self._rows(self._ask(user, "GET", f"job/{number}", within_s))

    def _all(self, user: str, within_s: float) -> Sequence[Row]:
        self._listed_at = time.monotonic()
        return self._rows(self._ask(user, "GET", "jobs", within_s))

    def _rows(self, answer: Mapping[str, object]) -> Sequence[Row]:
        found = map(self._dialect.row, _records(answer, "jobs"))
        return [row for row in found if row is not None]

    def _ask(
        self, user: str, method: str, path: str, within_s: float, body: bytes | None = None
    ) -> Mapping[str, object]:
        """Give an answer; with a new token where the old one may have expired."""
        until = Until(time.monotonic() + within_s)
        answer = self._once(user, method, path, until, body)
        if _is_refused(answer) and self._forget_token(user):
            answer = self._once(user, method, path, until, body)
        if _is_refused(answer):
            raise self._trouble(f"does not let user {user} in: {_first_error(answer)}")
        if _first_error(answer) and method == "GET" and not _is_unknown(answer):
            raise self._trouble(f"says: {_first_error(answer)}")
        return answer

    def _once(
        self, user: str, method: str, path: str, until: Until, body: bytes | None
    ) -> Mapping[str, object]:
        headers = {"Content-Type": "application/json"}
        if token := self._token(user, until):
            headers |= {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": token}
        full = f"/slurm/{self._options.version}/{path}"
        try:
            status, content = self._servers[user].ask(method, full, headers, body, until)
        except NoAnswer as error:
            raise self._trouble(str(error)) from None
        if status in {401, 403}:
            return {"errors": [{"error": "authentication failed"}]}
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("errors"), list):
            raise self._trouble(f"answers nonsense (HTTP {status})")
        return answer

    def _token(self, user: str, until: Until) -> str:
        with self._lock:
            if user not in self._tokens:
                self._tokens[user] = self._read_token(user, until)
            return self._tokens[user]

    def _forget_token(self, user: str) -> bool:
        with self._lock:
            return bool(self._tokens.pop(user, ""))

    def _read_token(self, user: str, until: Until) -> str:
        options = self._options
        if options.jwt_file:
            file = Path(options.jwt_file.replace("{user}", user))
            try:
                if file.stat().st_mode & S_IROTH:
                    raise self._trouble(f"others can read the token in {file}: chmod o-r it")
                text = file.read_text(encoding="ascii")
            except (OSError, UnicodeError) as error:
                raise self._trouble(f"the token cannot be read: {error}") from None
        elif options.jwt_command:
            words = shlex.split(options.jwt_command.replace("{user}", user))
            try:
                text = subprocess.run(  # noqa: S603 - the operator's own
                    words, check=True, capture_output=True, text=True, timeout=until.left_s()
                ).stdout
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                what = type(error).__name__
                raise self._trouble(f"jwt_command {words[0]} gives no token: {what}") from None
        else:
            return ""
        token = text.strip().removeprefix("SLURM_JWT=")
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise self._trouble("the token is no JSON web token")
        return token

    def _trouble(self, what: str) -> EngineUnavailable:
        return EngineUnavailable(f"site {self._site}: slurmrestd: {what}")


def _records(answer: Mapping[str, object], name: str) -> Sequence[Mapping[str, object]]:
    found = answer.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _first_error(answer: Mapping[str, object]) -> str:
    for error in _records(answer, "errors"):
        for key in ("error", "description"):
            if isinstance(words := error.get(key), str) and words:
                return printable(words)[:300]
        return "an error without words"
    return ""


def _is_unknown(answer: Mapping[str, object]) -> bool:
    return any(error.get("error_number") == _UNKNOWN_JOB for error in _records(answer, "errors"))


def _is_refused(answer: Mapping[str, object]) -> bool:
    return _first_error(answer).lower().startswith(_DOUBTFUL)

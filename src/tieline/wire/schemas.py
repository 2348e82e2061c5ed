"""The bodies of requests and answers, as pydantic models.

A submission is not among them: its body is what a job file holds (`tieline.files`), in JSON.
"""

from enum import Enum
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from tieline.control.lifecycle import Status
from tieline.model.reasons import Reason

#: Most jobs that one request adds, and that one page of an answer holds.
MAX_JOBS: Final = 10_000
MAX_PAGE: Final = 1_000
#: Name of the header that makes a submission idempotent, and the longest value it takes.
KEY_HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 200
#: How long a token counts unless told otherwise, and at most [s].
DEFAULT_LIFE_S: Final = 90 * 86_400.0
LONGEST_LIFE_S: Final = 2 * 365 * 86_400.0
#: Text on one line.
ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

Name = TypeVar("Name", bound=Enum)


def named(member: Enum) -> str:
    """Give the name of a member as it goes over the wire: `queued`, `quota-used`."""
    return str(member.name).lower().replace("_", "-")


def _by_name(members: type[Name]) -> BeforeValidator:
    """Read a member by its name on the wire, or take the member itself."""
    table = {named(member): member for member in members}

    def read(value: object) -> object:
        if isinstance(value, members):
            return value
        if not isinstance(value, str) or value not in table:
            raise PydanticCustomError("name", "allowed: {names}", {"names": ", ".join(table)})
        return table[value]

    return BeforeValidator(read)


def _names(members: type[Enum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [named(member) for member in members]})


StatusName = Annotated[Status, _by_name(Status), PlainSerializer(named), _names(Status)]
ReasonName = Annotated[Reason, _by_name(Reason), PlainSerializer(named), _names(Reason)]


class Message(BaseModel):
    """What every body shares: it never changes, and an older reader skips newer fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Job(Message):
    """One job, without its commands."""

    id: str
    seq: int = Field(description="order of acknowledgement; `before` of the next page")
    name: str
    tenant: str
    workload: str = Field(description="`class` or `class/model`")
    count: int = Field(description="accelerators that it holds or, before, asks for")
    status: StatusName
    submitted_at: float
    attempt: int = Field(description="0 before the first placement")
    stops: int = Field(default=0, description="how often it was told to stop, and goes on")
    pool: str | None
    placed_at: float | None
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    detail: str = Field(description="plain words where the status is not enough")


class Estimate(Message):
    """How long a job is taken to run, without moving data."""

    run_s: float
    on: str = Field(description="the accelerator it holds for")
    basis: str = Field(
        description="`user`: as the job file says; `history`: from ended jobs like it; "
        "`default`: nobody knows"
    )


class Rate(Message):
    """How fast a job runs on an accelerator, and how that is known."""

    value: float = Field(description="relative to nvidia-h200-sxm (1); 0 cannot run")
    low: float | None
    high: float | None
    basis: str = Field(description="`measured`, `inferred` or `assumed`")
    source: str


class JobDetail(Job):
    """One job with all that was submitted."""

    spec: dict[str, object] = Field(description="in the shape of a job file, defaults left out")
    rates: dict[str, Rate] = Field(default={}, description="by accelerator of the network")
    estimate: Estimate | None = Field(default=None, description="none for an ended job")


class Jobs(Message):
    """One page of jobs."""

    jobs: list[Job]
    next: int | None = Field(
        default=None, description="pass it as `before` for the next page; none when this is all"
    )


class Event(Message):
    """One line of the event log."""

    seq: int
    at: float
    job: str = Field(default="", description="empty when it is not about a job")
    event: str
    data: dict[str, object]
    hash: str = Field(default="", description="of this line and the hash of the one before")


class Events(Message):
    """Lines of the event log, oldest first."""

    events: list[Event]
    next: int | None = Field(
        default=None, description="pass it as `after` for the next page; none when this is all"
    )


class Rival(Message):
    """A job that a waiting one would have to beat at a pool."""

    job: str = Field(description="empty when it is another tenant's, which the caller cannot see")
    running: bool = Field(description="whether it runs there; else it waits and comes first")
    count: int = Field(description="accelerators of the gang")
    worth_per_h: float = Field(description="finished jobs per accelerator-hour")
    ends_at: float | None = Field(description="estimated; none for one that waits")


class PoolReasons(Message):
    """One pool's answer to a waiting job."""

    pool: str
    reasons: list[ReasonName]
    words: list[str] = Field(description="the reasons in plain words, in the same order")
    never: bool = Field(description="whether no waiting cures it")
    free: int = Field(description="accelerators free now")
    largest: int = Field(description="the most free accelerators on one node")
    price_per_h: float = Field(description="finished jobs per accelerator-hour")
    worth_per_h: float = Field(description="what the job is worth there, in the same unit")
    running: int = Field(default=0, description="jobs that run there")
    ahead: int = Field(default=0, description="waiting jobs that come first there")
    to_beat_per_h: float | None = Field(
        default=None,
        description="worth that would put the job first of those that wait; none under policies "
        "that go by turn, and where it can never run",
    )
    rivals: list[Rival] = Field(default=[], description="the first three of both")


class StartForecast(Message):
    """When a waiting job will start."""

    at: float = Field(description="the moment of the forecast")
    start_at: float | None = Field(description="the median; none when later than `until_at`")
    low_at: float | None
    high_at: float | None
    chance: float = Field(description="how likely the start is between low and high")
    until_at: float | None = Field(description="how far it was looked ahead; none: to the end")
    never: bool = Field(description="whether it does not start unless something is changed")
    pool: str | None = Field(description="where it most probably starts")
    runs: int = Field(description="simulated futures in which it started")
    sentence: str
    grounds: list[str] = Field(description="what the futures were drawn from")


class Change(Message):
    """A change that would start a waiting job sooner."""

    words: str = Field(description="such as `built for cann as well`")
    by: Literal["user", "operator"] = Field(description="whose rule it changes")
    start_at: float | None = Field(description="none when later than can be told")
    pool: str | None
    sentence: str


class Why(Message):
    """Why a job is where it is."""

    job: Job
    sentence: str
    estimate: Estimate | None = Field(default=None, description="none for an ended job")
    never: bool = Field(description="whether no pool will ever run the job as it is")
    pools: list[PoolReasons] = Field(description="empty unless the job waits")
    forecast: StartForecast | None = Field(default=None, description="none unless the job waits")
    changes: list[Change] = Field(
        default=[],
        description="that would start it sooner: the cheapest first, each sooner than the last",
    )
    changes_untried: int = Field(default=0, description="that there was no time to try")


class Pool(Message):
    """One pool as it is now."""

    id: str
    site: str
    region: str
    accelerator: str
    trust: list[str]
    nodes: int
    capacity: int = Field(description="accelerators")
    usable: int = Field(
        default=0, description="of these, those that work now and that no stranger holds"
    )
    free: int = Field(description="below 0 when more is held than can be used now")
    largest: int = Field(description="the most free accelerators on one node")
    running: int = Field(description="jobs that hold accelerators")
    waiting: int = Field(description="waiting jobs that may run there")
    price_per_h: float = Field(description="finished jobs per accelerator-hour")
    open: bool = Field(description="whether new work may start there")
    problem: str = Field(description="why it is closed, in plain words")


class Pools(Message):
    """All pools, in the order of the network file, or one page of them."""

    pools: list[Pool]
    next: str | None = Field(
        default=None, description="pass it as `after` for the next page; none when this is all"
    )


class Site(Message):
    """One site as it is now."""

    id: str
    region: str
    engine: str
    state: Literal["open", "drained", "closed", "quarantined"] = Field(
        description="`drained` by an operator; `closed`: it does not answer or takes no new work; "
        "`quarantined`: it failed so often that it gets no new work for a while"
    )
    problem: str = Field(description="why it gets no new work, in plain words")
    running: int = Field(description="jobs that hold accelerators there")
    capacity: int = Field(description="accelerators, as the network file says")
    capacity_now: int | None = Field(
        description="of these, those that work and that no stranger holds; none before it has told"
    )
    silent_s: float | None = Field(description="time since its last answer; none before the first")


class Sites(Message):
    """All sites, in the order of the network file, or one page of them."""

    sites: list[Site]
    next: str | None = Field(
        default=None, description="pass it as `after` for the next page; none when this is all"
    )


class DrainRequest(Message):
    """Why a site is closed to new work."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=200, pattern=ONE_LINE)


class Identity(Message):
    """Whom the control plane takes the caller for."""

    name: str
    role: str = Field(description="`operator`, `member` or `auditor`")
    tenant: str | None = Field(description="the tenant of a member; none for the other roles")


class TokenRequest(Message):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=ONE_LINE, description="whose it is")
    role: Literal["operator", "member", "auditor"]
    tenant: str | None = Field(
        default=None, max_length=64, description="of a member; the other roles have none"
    )
    life_s: float = Field(
        default=DEFAULT_LIFE_S, gt=0, le=LONGEST_LIFE_S, description="how long it counts"
    )


class Token(Message):
    """A token without its secret."""

    id: str
    name: str
    role: str = Field(description="`operator`, `member` or `auditor`")
    tenant: str | None
    created_at: float
    expires_at: float
    revoked_at: float | None


class NewToken(Token):
    """A token that was just made."""

    token: str = Field(description="its text, which is shown only now")


class Tokens(Message):
    """One page of tokens, the newest first."""

    tokens: list[Token]
    next: str | None = Field(
        default=None, description="pass it as `after` for the next page; none when this is all"
    )


class State(Message):
    """That all is well, without details."""

    ok: bool


class PriceReading(Message):
    """The prices of one cycle."""

    at: float
    gap: float | None = Field(
        description="certified: what was placed is worth at most this share less than the best "
        "possible; none for policies without prices"
    )
    prices_per_h: dict[str, float] = Field(
        description="by pool: finished jobs that one more accelerator-hour would bring"
    )


class Prices(Message):
    """The prices of the last cycle, and on request those before it."""

    policy: str
    age_s: float = Field(description="time since the last cycle; 0 before the first")
    latest: PriceReading | None = Field(description="none before the first cycle")
    history: list[PriceReading] = Field(description="oldest first; empty unless asked for")


class Health(Message):
    """Whether the control plane works, and what does not."""

    ok: bool = Field(description="whether the loop runs and every site answers")
    version: str
    network: str
    policy: str
    detail: str = Field(description="what is wrong, in plain words")
    last_tick_at: float | None = Field(description="none before the first")
    sites: dict[str, str] = Field(
        description="what is wrong with each site; empty when it answers"
    )


class Problem(Message):
    """One mistake in a request."""

    field: str = Field(description="such as `accelerators.count`; empty for the whole")
    found: str
    allowed: str


class Failure(Message):
    """Why a request was refused."""

    code: str = Field(description="stable, for programs")
    message: str = Field(description="for people; may change")
    problems: list[Problem] = Field(default=[], description="each mistake with its field")

"""From what the control plane tells to what goes over the wire."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from tieline import __version__
from tieline.control.governance import Token
from tieline.control.history import Estimate
from tieline.control.ports import JobRecord, StoredEvent
from tieline.files.job import job_to_dict
from tieline.model.accelerator import REFERENCE, Rate
from tieline.model.reasons import WORDS
from tieline.scheduling.explain import PoolAnswer
from tieline.service import views
from tieline.service.prospects import changes_of, forecast_of
from tieline.wire import schemas

_SECONDS_PER_HOUR: Final = 3600.0

T = TypeVar("T")


def job(record: JobRecord) -> schemas.Job:
    """Give a job without its commands."""
    return schemas.Job(**_job_fields(record))


def job_detail(
    record: JobRecord,
    expected: Estimate | None,
    rates: Mapping[str, Rate],
    *,
    with_commands: bool = True,
) -> schemas.JobDetail:
    """Give a job with all that was submitted, how long it is taken to run, and how fast.

    Without commands it has no environment either.
    """
    spec = job_to_dict(record.spec)
    if not with_commands:
        spec.pop("env", None)
        spec["stacks"] = {stack: {} for stack in spec["stacks"]}
    return schemas.JobDetail(
        **_job_fields(record),
        spec=spec,
        estimate=_estimate(expected),
        rates={name: schemas.Rate(**asdict(rate)) for name, rate in rates.items()},
    )


def jobs(records: list[JobRecord], *, limit: int | None = None) -> schemas.Jobs:
    """Give jobs; a page that is full says where the next one begins."""
    following = records[-1].seq if limit is not None and len(records) == limit else None
    return schemas.Jobs(jobs=[job(record) for record in records], next=following)


def events(found: list[StoredEvent], *, limit: int) -> schemas.Events:
    """Give lines of the event log; a page that is full says where the next one begins."""
    return schemas.Events(
        events=[
            schemas.Event(
                seq=one.seq,
                at=one.at,
                job=one.job_id,
                event=one.event,
                data=dict(one.data),
                hash=one.hash,
            )
            for one in found
        ],
        next=found[-1].seq if len(found) == limit else None,
    )


def why(found: views.Why, exists: Callable[[str], bool] = lambda _: True) -> schemas.Why:
    """Give why a job is where it is; jobs that do not exist for the caller go without id."""
    told = found.explanation
    return schemas.Why(
        job=job(found.job),
        sentence=found.sentence,
        estimate=_estimate(found.estimate),
        never=told is not None and told.never,
        pools=[_pool_reasons(one, found.names, exists) for one in told.answers] if told else [],
        forecast=None if found.outlook is None else forecast_of(found.outlook, found.pools),
        changes=[] if found.outlook is None else changes_of(found.outlook, found.pools),
        changes_untried=0 if found.outlook is None else found.outlook.remedies.untried,
    )


def pools(
    found: list[views.PoolView], *, limit: int | None = None, after: str | None = None
) -> schemas.Pools:
    """Give all pools as they are now, or a page of them."""
    page, following = _page(found, lambda one: one.pool.id, limit, after)
    return schemas.Pools(pools=[_pool(one) for one in page], next=following)


def sites(
    found: list[views.SiteView], *, limit: int | None = None, after: str | None = None
) -> schemas.Sites:
    """Give all sites as they are now, or a page of them."""
    page, following = _page(found, lambda one: one.id, limit, after)
    return schemas.Sites(sites=[site(one) for one in page], next=following)


def site(found: views.SiteView) -> schemas.Site:
    """Give one site as it is now."""
    return schemas.Site(
        id=found.id,
        region=found.region,
        engine=found.engine,
        state=found.state,
        problem=found.problem,
        running=found.running,
        capacity=found.capacity,
        capacity_now=found.usable,
        silent_s=found.heard_ago_s,
    )


def tokens(found: list[Token], *, limit: int, after: str | None = None) -> schemas.Tokens:
    """Give a page of tokens, without their secrets."""
    page, following = _page(found, lambda one: one.id, limit, after)
    return schemas.Tokens(tokens=[token(one) for one in page], next=following)


def token(found: Token) -> schemas.Token:
    """Give one token without its secret."""
    return schemas.Token(**_token_fields(found))


def new_token(made: Token, text: str) -> schemas.NewToken:
    """Give a token with its secret, once."""
    return schemas.NewToken(**_token_fields(made), token=text)


def prices(found: views.Prices, *, history: bool) -> schemas.Prices:
    """Give the prices of the last cycle, and those before it where asked for."""
    return schemas.Prices(
        policy=found.policy,
        age_s=found.age_s,
        latest=None if found.latest is None else _reading(found.latest),
        history=[_reading(one) for one in found.history] if history else [],
    )


def health(found: views.Health) -> schemas.Health:
    """Give whether the control plane works."""
    return schemas.Health(
        ok=found.ok,
        version=__version__,
        network=found.network,
        policy=found.policy,
        detail=found.detail,
        last_tick_at=found.last_tick_at,
        sites=dict(found.sites),
    )


def _job_fields(record: JobRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "seq": record.seq,
        "name": record.spec.name,
        "tenant": record.spec.tenant,
        "workload": str(record.spec.workload),
        "count": record.size,
        "status": record.status,
        "submitted_at": record.submitted_at,
        "attempt": record.attempt,
        "stops": record.stops,
        "pool": record.pool,
        "placed_at": record.placed_at,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "exit_code": record.exit_code,
        "detail": record.detail,
    }


def _estimate(found: Estimate | None) -> schemas.Estimate | None:
    if found is None:
        return None
    return schemas.Estimate(run_s=found.work_s, on=REFERENCE, basis=found.basis)


def _token_fields(found: Token) -> dict[str, Any]:
    fields = asdict(found)
    del fields["digest"]
    return fields


def _page(
    found: Sequence[T], name: Callable[[T], str], limit: int | None, after: str | None
) -> tuple[Sequence[T], str | None]:
    """Give the entries behind the one of that name, and where the next page begins.

    There is none behind a name that is gone.
    """
    if after is not None:
        names = [name(one) for one in found]
        found = found[names.index(after) + 1 :] if after in names else ()
    page = found if limit is None else found[:limit]
    return page, name(page[-1]) if len(page) < len(found) else None


def _pool_reasons(
    one: PoolAnswer, names: Sequence[str], exists: Callable[[str], bool]
) -> schemas.PoolReasons:
    to_beat = one.contest.to_beat
    return schemas.PoolReasons(
        pool=one.pool,
        reasons=list(one.reasons),
        words=[WORDS[reason] for reason in one.reasons],
        never=one.never,
        free=one.free,
        largest=one.largest,
        price_per_h=one.price * _SECONDS_PER_HOUR,
        worth_per_h=one.worth * _SECONDS_PER_HOUR,
        running=one.contest.running,
        ahead=one.contest.ahead,
        to_beat_per_h=None if to_beat is None else to_beat * _SECONDS_PER_HOUR,
        rivals=[
            schemas.Rival(
                job=names[rival.row] if exists(names[rival.row]) else "",
                running=rival.running,
                count=rival.count,
                worth_per_h=rival.worth * _SECONDS_PER_HOUR,
                ends_at=rival.ends_s if rival.running else None,
            )
            for rival in one.contest.top
        ],
    )


def _pool(one: views.PoolView) -> schemas.Pool:
    return schemas.Pool(
        id=one.pool.id,
        site=one.pool.site,
        region=one.region,
        accelerator=one.pool.accelerator,
        trust=sorted(one.pool.trust),
        nodes=one.pool.nodes,
        capacity=one.pool.capacity,
        usable=one.usable,
        free=one.free,
        largest=one.largest,
        running=one.running,
        waiting=one.waiting,
        price_per_h=one.price * _SECONDS_PER_HOUR,
        open=one.open,
        problem=one.problem,
    )


def _reading(one: views.PriceReading) -> schemas.PriceReading:
    per_h = {pool: price * _SECONDS_PER_HOUR for pool, price in one.prices.items()}
    return schemas.PriceReading(at=one.at, gap=one.gap, prices_per_h=per_h)

"""`tieline check`: says what is wrong in network, job and plan files, line by line."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from tieline.files.access import access_from
from tieline.files.array import JobArray
from tieline.files.document import Document
from tieline.files.fit import Offer, job_faults, nowhere, usable_pools
from tieline.files.job import JobFields, entries_from, entry_to_dict
from tieline.files.network import network_from, network_to_dict, read_network
from tieline.files.network_fields import NetworkFields
from tieline.files.plan import plan_from, plan_to_dict
from tieline.files.plan_futures import futures
from tieline.files.problems import Fault, FileErrors
from tieline.files.schema import fields
from tieline.files.syntax import read_document
from tieline.model.job import JobSpec
from tieline.model.network import Network
from tieline.model.plan import PlanSpec, quarter_name
from tieline.model.units import format_duration

#: Exit code when a file has mistakes.
_WRONG: Final = 2
#: Accelerator models that a line names.
_NAMED: Final = 4
#: The fields that a plan needs and no other file has.
_OF_PLANS: Final = {"quarters", "demand"}
#: The fields that an access file has and no other.
_OF_ACCESS: Final = {"tokens", "oidc", "hosts", "proxies", "public_metrics"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file without mistakes holds."""

    kind: str
    summary: tuple[str, ...]
    """One line per network, job or plan."""
    data: object
    """The same in the shape of the file, defaults left out."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--network", "network_file", metavar="NETWORK", help="Check jobs against it, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(
    context: click.Context, files: tuple[str, ...], network_file: str | None, *, as_json: bool
) -> None:
    """Check network, job and plan files: every mistake with its line, or what a file holds.

    Ends with exit code 2 when there is a mistake in any file.
    """
    offer = Offer(read_network(network_file)) if network_file else None
    reports: list[dict[str, Any]] = []
    for file in files:
        try:
            contents = read_contents(file, offer)
        except FileErrors as error:
            problems = [asdict(problem) for problem in error.problems]
            reports.append({"file": file, "ok": False, "problems": problems})
            lines = [str(error)]
        else:
            reports.append({"file": file, "ok": True, **asdict(contents)})
            lines = [f"{file}: {contents.kind} OK: {line}" for line in contents.summary]
        if not as_json:
            click.echo("\n".join(lines))
    all_ok = all(report["ok"] for report in reports)
    if as_json:
        click.echo(json.dumps({"ok": all_ok, "files": reports}, indent=2, ensure_ascii=False))
    context.exit(0 if all_ok else _WRONG)


def read_contents(file: str, offer: Offer | None) -> Contents:
    """Give what a file holds, of whichever kind it is.

    Raises
    ------
    FileErrors
        It has mistakes, or a job asks for what the network does not have.
    """
    document = read_document(Path(file))
    top = set(document.data) if isinstance(document.data, dict) else set()
    if top & _OF_PLANS:
        plan = plan_from(document, name=Path(file).stem)
        return Contents("plan", (_of_plan(plan),), plan_to_dict(document))
    if top & _OF_ACCESS:
        return Contents("access file", (_of_access(document, file),), document.data)
    as_network = len(top & fields(NetworkFields).keys())
    as_job = len(top & {"jobs", *fields(JobFields)})
    if not as_network and not as_job:
        found = "neither a network, nor a job, nor a plan"
        allowed = (
            "a network has `regions` and `sites`, a job has a `workload`, a plan has `quarters`"
            " and `demand`"
        )
        document.demand([Fault((), found, allowed)])
    if as_network > as_job:
        network = network_from(document, name=Path(file).stem)
        return Contents("network", (_of_network(network),), network_to_dict(network))
    entries = entries_from(document)
    if offer:
        specs = [one.spec if isinstance(one, JobArray) else one for one in entries]
        document.demand(_misfits(document, specs, offer))
    summary = tuple(_of_entry(one, offer) for one in entries)
    return Contents("job", summary, [entry_to_dict(one) for one in entries])


def _misfits(document: Document, specs: Sequence[JobSpec], offer: Offer) -> Iterator[Fault]:
    several = isinstance(document.data, dict) and "jobs" in document.data
    for number, spec in enumerate(specs):
        faults = list(job_faults(spec, offer))
        if not faults and not usable_pools(spec, offer):
            faults = [nowhere(spec, offer)]
        for fault in faults:
            yield fault._replace(loc=("jobs", number, *fault.loc)) if several else fault


def _of_network(network: Network) -> str:
    """Give a network in one line."""
    models: Counter[str] = Counter()
    for pool in network.pools:
        models[pool.accelerator] += pool.capacity
    counts = (
        (len(network.regions), "region"),
        (len(network.sites), "site"),
        (len(network.pools), "pool"),
        (len(network.links), "link"),
        (len(network.tenants), "tenant"),
        (len(network.datasets), "dataset"),
        (len(network.throughputs.steps_per_s) if network.throughputs else 0, "measured speed"),
    )
    return f"{_counted(counts)}; {_stocked(models)}"


def _of_access(document: Document, file: str) -> str:
    """Give in one line who may come in."""
    rules = access_from(document, folder=Path(file).parent)
    ways = ["tokens"] if rules.tokens else []
    ways += [f"JSON Web Tokens of {rules.oidc.issuer}"] if rules.oidc else []
    names = f"; served as {', '.join(sorted(rules.hosts))}" if rules.hosts else ""
    return f"{' and '.join(ways)}{names}"


def _of_plan(plan: PlanSpec) -> str:
    """Give a plan in one line."""
    models: Counter[str] = Counter()
    for stock in plan.stock:
        models[stock.accelerator] += round(stock.count)
    counts = (
        (plan.quarters, "quarter"),
        (len(plan.regions), "region"),
        (len(plan.links), "link"),
        (len(plan.chips), "accelerator model"),
        (len(plan.demand), "demand"),
        (futures(plan.branches), "future"),
    )
    stocked = _stocked(models) if plan.stock else "no accelerators yet"
    return f"from {quarter_name(plan.first)}, {_counted(counts)}; {stocked}"


def _counted(counts: Sequence[tuple[int, str]]) -> str:
    """Give how many there are of each, leaving out those of which there are none."""
    return ", ".join(f"{count:,} {what}{'s' * (count != 1)}" for count, what in counts if count)


def _stocked(models: Counter[str]) -> str:
    """Give how many accelerators there are, and of which models the most."""
    chips = ", ".join(f"{count:,} {model}" for model, count in models.most_common(_NAMED))
    more = f" and {len(models) - _NAMED} more models" if len(models) > _NAMED else ""
    return f"{models.total():,} accelerators: {chips}{more}"


def _of_entry(entry: JobSpec | JobArray, offer: Offer | None) -> str:
    """Give a job or an array in one line."""
    if isinstance(entry, JobSpec):
        return _of_job(entry, offer)
    return f"array of {len(entry.indices):,}, each {_of_job(entry.spec, offer)}"


def _of_job(spec: JobSpec, offer: Offer | None) -> str:
    """Give a job in one line."""
    parts = [
        f"{spec.tenant}: {spec.workload}",
        f"{spec.count} accelerator{'s' * (spec.count != 1)} with {' or '.join(spec.commands)}",
        spec.sensitivity,
    ]
    if spec.estimate_s is not None:
        parts.append(f"about {format_duration(spec.estimate_s)}")
    if offer:
        usable, network = len(usable_pools(spec, offer)), offer.network
        parts.append(f"can run on {usable} of {len(network.pools)} pools of {network.name}")
    return ", ".join(parts)

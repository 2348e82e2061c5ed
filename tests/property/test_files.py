"""What holds for every network, job and file, however they were made."""

import copy
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tieline.files.document import Document
from tieline.files.fit import Offer, job_faults, usable_pools
from tieline.files.job import job_from_dict, job_to_dict, jobs_from
from tieline.files.network import network_from, network_to_dict
from tieline.files.network_fields import ENGINES
from tieline.files.problems import Fault, FileErrors
from tieline.files.syntax import parse
from tieline.model.accelerator import REFERENCE
from tieline.model.catalogue import catalogue
from tieline.model.job import JobSpec
from tieline.model.network import Network
from tieline.model.workload import WORKLOAD_CLASSES, Workload

ids = st.one_of(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
    st.sampled_from(["no", "on", "null", "103959", "6214e9", "0x1F", "1_0", "true", "1.5", "007"]),
)
texts = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=12)
commands = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1).filter(
    str.strip
)
chips = st.sampled_from(sorted(catalogue()))


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Draw numbers as people write them: with a few digits."""
    return st.integers(round(low * 1e4), round(high * 1e4)).map(lambda number: number / 1e4)


def few(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    """Draw short lists without doubles."""
    return st.lists(of, min_size=least, max_size=3, unique=True)


def group(
    needed: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw the fields of a group: some always, others sometimes."""
    return st.fixed_dictionaries(needed, optional=optional)


@st.composite
def network_data(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a network file without mistakes may hold."""
    own = draw(few(ids.filter(lambda name: name not in catalogue())))
    regions, sites = draw(few(ids, 1)), draw(few(ids, 1))
    chip = chips | st.sampled_from(own) if own else chips
    price = numbers(0.0001, 1000)
    pool = group(
        {"accelerator": chip, "nodes": st.integers(1, 100), "name": ids}
        | {"accelerators_per_node": st.integers(1, 16)},
        {"trust": few(st.sampled_from(["open", "sensitive"]), 1), "stacks": few(ids)}
        | {"partition": texts, "gres": st.sampled_from(["gpu", "gpu:h200", "npu:910b"])},
    )
    pools = st.lists(pool, min_size=1, max_size=3, unique_by=lambda one: one["name"])
    engine = group({"kind": st.sampled_from(ENGINES)}, {"url": texts, "retries": st.integers()})
    pairs = [[one, other] for one in regions for other in regions if one < other]
    link = group(
        {"bandwidth_gbit_s": numbers(0.001, 100_000)},
        {"rtt_ms": numbers(0, 1000), "usd_per_gb": numbers(0, 10)},
    )
    site_ids, region_ids = st.sampled_from(sites), st.sampled_from(regions)
    quotas = st.dictionaries(st.just("total") | chip, st.integers(0, 1000), max_size=2)
    accounts = st.dictionaries(st.just("*"), st.sampled_from(["alice", "hpc-user"]))
    tenant = {"share": price, "home": site_ids, "quotas": quotas}
    return {
        "name": draw(texts.filter(bool)),
        "accelerators": [
            draw(
                group(
                    {"id": st.just(name), "stack": ids},
                    {"name": texts.filter(bool), "memory_gb": price, "tdp_w": price}
                    | {"rates": st.dictionaries(st.sampled_from(WORKLOAD_CLASSES), price)},
                )
            )
            for name in own
        ],
        "regions": [
            draw(group({"id": st.just(name)}, {"name": texts, "pue": numbers(1, 5)}))
            for name in regions
        ],
        "links": [
            {"between": pair, **draw(link)}
            for pair in (draw(few(st.sampled_from(pairs).map(tuple))) if pairs else [])
            for pair in [list(pair)]
        ],
        "sites": [
            draw(
                group(
                    {"id": st.just(name), "region": region_ids, "pools": pools},
                    {"engine": engine, "accounts": accounts},
                )
            )
            for name in sites
        ],
        "tenants": [draw(group({"id": st.just(name)}, tenant)) for name in draw(few(ids))],
        "datasets": [
            draw(
                group(
                    {"id": st.just(name), "size": st.integers(0, 10**18)},
                    {"replicas": few(site_ids)},
                )
            )
            for name in draw(few(ids))
        ],
    }


@st.composite
def job_specs(draw: st.DrawFn) -> JobSpec:
    """Draw jobs of which every field may be set."""
    count = draw(st.integers(1, 1000))
    later = draw(st.none() | st.timedeltas(timedelta(0), timedelta(days=40_000)))
    seconds = st.none() | st.floats(1e-3, 3e8)
    estimate_on = draw(st.none() | ids)
    rates = draw(st.dictionaries(ids, st.floats(0, 1000), max_size=3))
    if rates:
        rates[estimate_on or REFERENCE] = 1.0
    preemptible = draw(st.booleans())
    least = draw(st.none() | st.integers(1, count))
    most = draw(st.none() | st.integers(count, 2000))
    with_stops = {"restart_s": st.floats(0, 6e5), "checkpoint_s": st.floats(0, 6e5)}
    with_sizes = {"scaling": st.floats(0.01, 1)}
    further = (with_stops if preemptible else {}) | (with_sizes if least or most else {})
    kind, model = draw(st.sampled_from(WORKLOAD_CLASSES)), draw(st.none() | texts)
    return JobSpec(
        tenant=draw(ids),
        workload=Workload(kind, model, tuple(sorted(rates.items()))),
        count=count,
        commands=draw(st.dictionaries(ids, commands, min_size=1, max_size=3)),
        name=draw(texts),
        memory_bytes=float(draw(st.integers(0, 10**14))),
        datasets=tuple(draw(few(ids))),
        sensitivity=draw(ids),
        residency=frozenset(draw(few(ids))),
        estimate_s=draw(seconds),
        estimate_on=estimate_on,
        time_limit_s=draw(seconds),
        priority=draw(st.integers(-1000, 1000)),
        deadline_s=None
        if later is None
        else (datetime(1970, 1, 1, tzinfo=UTC) + later).timestamp(),
        preemptible=preemptible,
        idempotent=draw(st.booleans()),
        env=draw(
            st.dictionaries(st.from_regex(r"[A-Z_]{1,6}", fullmatch=True), commands, max_size=2)
        ),
        min_count=least,
        max_count=most,
        **{name: draw(values) for name, values in further.items()},
    )


class QuotingDumper(yaml.CSafeDumper):
    """Writes YAML with quotes around all text."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def as_yaml(data: object) -> str:
    """Write data as people do: on many lines."""
    return yaml.dump(data, Dumper=QuotingDumper, allow_unicode=True, sort_keys=False)


def read(text: str) -> Network:
    """Read the text of a network file."""
    return network_from(parse(text, "net.yaml"), name="net")


@given(network_data())
def test_network_round_trip(data: dict[str, Any]) -> None:
    """A network that is written, as YAML or JSON, and read again is equal."""
    network = network_from(Document("net", data), name="net")
    again = network_to_dict(network)
    assert read(as_yaml(again)) == network
    assert read(json.dumps(again, ensure_ascii=False)) == network
    assert read(as_yaml(data)) == network
    assert network_to_dict(read(as_yaml(again))) == again


@given(job_specs())
def test_job_round_trip(spec: JobSpec) -> None:
    """A job that becomes a dictionary, JSON or YAML and comes back is equal."""
    data = job_to_dict(spec)
    assert job_from_dict(data) == spec
    assert job_from_dict(json.loads(json.dumps(data))) == spec
    assert jobs_from(parse(as_yaml(data), "job.yaml")) == (spec,)


@given(network_data(), job_specs())
def test_every_job_is_judged(data: dict[str, Any], spec: JobSpec) -> None:
    """Any job against any network gives faults with words, or the pools that can run it."""
    offer = Offer(network_from(Document("net", data), name="net"))
    faults = list(job_faults(spec, offer))
    assert all(isinstance(fault, Fault) and fault.found and fault.allowed for fault in faults)
    if not faults:
        assert {pool.id for pool in usable_pools(spec, offer)} <= {
            pool.id for pool in offer.network.pools
        }


#: Values that stand where others belong.
oddities = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ids | texts | st.just("2 parsecs"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ids | texts, inner, max_size=2),
    max_leaves=3,
)


def containers(data: object) -> list[Any]:
    """Give all lists and groups in data, the outermost first."""
    found = [data] if isinstance(data, dict | list) and data else []
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return found + [one for value in inner for one in containers(value)]


@given(network_data(), oddities, st.data())
def test_odd_values_are_refused_in_words(
    data: dict[str, Any], oddity: object, choose: st.DataObject
) -> None:
    """Any value in any place of a network is accepted, or refused with its line and words."""
    data = copy.deepcopy(data)
    container = choose.draw(st.sampled_from(containers(data)))
    place = choose.draw(
        st.sampled_from(sorted(container))
        if isinstance(container, dict)
        else st.integers(0, len(container) - 1)
    )
    container[place] = oddity
    refused_in_words(json.dumps(data, indent=1, ensure_ascii=False).replace("Infinity", ".inf"))


@given(network_data(), st.data())
def test_damaged_text_is_refused_in_words(data: dict[str, Any], choose: st.DataObject) -> None:
    """A file that was damaged anywhere is read, or refused with its line and words."""
    text = as_yaml(data)
    for _ in range(choose.draw(st.integers(1, 4))):
        start = choose.draw(st.integers(0, len(text)))
        end = choose.draw(st.integers(start, min(len(text), start + 10)))
        piece = choose.draw(
            st.sampled_from(
                [
                    "\t",
                    "*a",
                    "&a ",
                    "!!x ",
                    "---\n",
                    "{",
                    "- ",
                    ": ",
                    "\n",
                    "\0",
                    '"',
                    "é",
                    ".nan",
                    "<<: ",
                ]
            )
            | texts
        )
        text = text[:start] + piece + text[end:]
    refused_in_words(text)


@given(st.text(string.printable, max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    """Any text is refused with its line and words."""
    refused_in_words(text)


def refused_in_words(text: str) -> None:
    """Read the text as either kind of file; the only error is one that names its lines."""
    for read_as in (lambda document: network_from(document, name="net"), jobs_from):
        try:
            read_as(parse(text, "f"))
        except FileErrors as error:
            last = text.count("\n") + text.count("\r") + 2
            for problem in error.problems:
                assert problem.line is not None
                assert 1 <= problem.line <= last
                assert problem.found
                assert problem.allowed
                assert str(problem).isprintable(), str(problem)

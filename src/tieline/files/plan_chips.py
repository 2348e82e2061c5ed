"""The accelerators of a plan: what the file says of each, and the catalogue where it does not.

Faults are found in data as read, like those of `references`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from tieline.files.document import each, texts
from tieline.files.plan_fields import PlanAcceleratorFields
from tieline.files.problems import Fault, Loc
from tieline.files.references import text_of
from tieline.model.accelerator import Accelerator
from tieline.model.catalogue import catalogue, nearest
from tieline.model.class_rates import absolute_rate
from tieline.model.network import Network
from tieline.model.plan import OPEN, Assumption, Chip
from tieline.model.workload import WORKLOAD_CLASSES

#: The field that a fault of a network is told at.
_NETWORK: Final = "network"
#: Power of a server over that of its accelerators: NVIDIA says 10.2 kW at most for a DGX H100 or
#: H200, which has eight of 700 W (data sheets of both, 2023).
SERVER_POWER: Final = 1.8


class Listed(NamedTuple):
    """An accelerator of a plan, as its file has it."""

    loc: Loc
    entry: object
    """Its fields as read; only the id for one that a network has and the plan does not list."""
    id: str
    known: Accelerator | None
    """What the catalogue or the network says of it."""
    stands: bool
    """Whether some are there at the beginning."""

    @property
    def origin(self) -> str:
        """The country of its vendor."""
        return text_of(self.entry, "origin") or (self.known.origin if self.known else "")

    def has(self, name: str) -> bool:
        """Say whether a field is given."""
        return isinstance(self.entry, dict) and self.entry.get(name) is not None

    def rate(self, kind: str) -> float | None:
        """Give the rate for a workload class; None where nobody says it."""
        for loc, value in each(self.entry, "rates.*"):
            if loc[-1] == kind and isinstance(value, int | float):
                return value
        return absolute_rate(self.known, kind).value if self.known else None


def known_accelerators(network: Network | None) -> Mapping[str, Accelerator]:
    """Give what is known of accelerators, by id: the catalogue, and those of a network file."""
    own = network.accelerators if network else ()
    return {**catalogue(), **{one.id: one for one in own}}


def accelerators_of(data: object, network: Network | None) -> list[Listed]:
    """Give the accelerators of a plan: those it lists, then the other ones of its network."""
    known = known_accelerators(network)
    pools = dict.fromkeys(pool.accelerator for pool in (network.pools if network else ()))
    standing = {*pools, *(name for _, name in texts(data, "existing.*.accelerator"))}
    entries = [(loc, one, text_of(one, "id")) for loc, one in each(data, "accelerators.*")]
    listed = {name for _, _, name in entries}
    entries += [((_NETWORK,), {"id": name}, name) for name in pools if name not in listed]
    return [
        Listed(loc, entry, name, known.get(name), name in standing)
        for loc, entry, name in entries
        if name
    ]


def accelerator_faults(data: object, chips: list[Listed]) -> Iterator[Fault]:
    """Give the accelerators that the file says too little of, and the demand that none serves."""
    kinds = {kind for _, kind in texts(data, "demand.*.class") if kind in WORKLOAD_CLASSES}
    for chip in chips:
        if chip.known is None:
            yield from _unheard_of(chip, kinds)
        elif "tdp_w" in chip.known.figures or chip.has("power_w"):
            continue
        elif chip.loc == (_NETWORK,):
            found = f"the power of its {chip.id} is not known"
            yield Fault(chip.loc, found, "list it under `accelerators`, with `power_w`")
        else:
            needed = f"needed: power of one in use; the catalogue has none for {chip.id}"
            yield Fault((*chip.loc, "power_w"), "missing", needed)
    yield from _unserved(data, chips)


def chip_from(
    fields: PlanAcceleratorFields, known: Accelerator | None, kinds: Sequence[str]
) -> Chip:
    """Give an accelerator with its rates for these workload classes."""
    chip = known or Accelerator(fields.id, fields.id, "", "", "")
    if fields.origin is not None:
        chip = replace(chip, origin=fields.origin)
    power = fields.power_w
    return Chip(
        accelerator=chip,
        power_w=SERVER_POWER * chip.figures["tdp_w"].value if power is None else power,
        idle=fields.idle_power,
        decay=fields.decay_when_banned,
        rates={
            kind: fields.rates[kind] if kind in fields.rates else absolute_rate(chip, kind).value
            for kind in kinds
        },
    )


def taken_for_granted(
    fields: PlanAcceleratorFields, known: Accelerator | None, kinds: Sequence[str]
) -> Iterator[Assumption]:
    """Give what the file leaves to the catalogue, each with its source."""
    if known is None:
        return
    path = f"accelerators.{known.id}"
    for kind in kinds:
        if kind not in fields.rates:
            rate = absolute_rate(known, kind)
            of = f"{path}.rates.{kind}"
            yield Assumption(of, f"{rate.value:.3g}", rate.source, rate.basis)
    if fields.power_w is None:
        figure = known.figures["tdp_w"]
        value = f"{SERVER_POWER * figure.value:.4g} W"
        source = f"{SERVER_POWER:g} x {figure.value:g} W of the chip: {figure.source}"
        yield Assumption(f"{path}.power_w", value, source, "assumed")


def _unheard_of(chip: Listed, kinds: set[str]) -> Iterator[Fault]:
    """Give what the file must say of an accelerator that is not in the catalogue."""
    missing = [f"`{name}`" for name in ("origin", "power_w") if not chip.has(name)]
    rates = [kind for kind in sorted(kinds) if chip.rate(kind) is None]
    if rates:
        missing.append(f"`rates` for {' and '.join(rates)}")
    if missing:
        near = nearest(chip.id, catalogue())
        hint = f", or did you mean {', '.join(near)}?" if near else ""
        found = f"{chip.id!r} is not in the catalogue"
        *first, last = missing
        needed = f"{', '.join(first)} and {last}" if first else last
        yield Fault((*chip.loc, "id"), found, f"give its {needed}{hint}")


def _unserved(data: object, chips: list[Listed]) -> Iterator[Fault]:
    """Give the demand that no accelerator of the plan can ever serve, and why."""
    trust = {
        str(loc[-1]): {name for _, name in texts(names, "*")}
        for loc, names in each(data, "rules.trust.*")
    }
    for loc, demand in each(data, "demand.*"):
        kind, sensitivity = text_of(demand, "class"), text_of(demand, "sensitivity") or OPEN
        if kind not in WORKLOAD_CLASSES or sensitivity not in {OPEN, *trust}:
            continue  # a fault of its own
        trusted = None if sensitivity == OPEN else trust[sensitivity]
        bars = Counter(_bar(chip, kind, trusted) for chip in chips)
        if chips and not bars[""]:
            why = ", ".join(f"{count} {words}" for words, count in bars.items() if count)
            unpriced = isinstance(demand, dict) and demand.get("unmet_per_hour") is None
            must = "; all of it must be served" if unpriced else ""
            found = f"no accelerator can serve it ({why}){must}"
            yield Fault(loc, found, "add one that can, or leave this demand out")


def _bar(chip: Listed, kind: str, trusted: set[str] | None) -> str:
    """Say what bars an accelerator from demand of a class; empty when nothing does.

    Parameters
    ----------
    trusted
        Accelerators or origins that may serve it; None: all.
    """
    if chip.rate(kind) == 0:
        return f"with rate 0 for {kind}"
    if trusted is not None and not trusted & {chip.id, chip.origin}:
        return "not trusted with its sensitivity"
    return "" if chip.stands or chip.has("price") else "neither there nor on offer"

"""The options of `tieline replay` that say under which conditions jobs are replayed."""

from collections.abc import Callable
from functools import reduce, wraps
from typing import Final

import click

from tieline.model.errors import InputError
from tieline.model.units import QuantityError, parse_duration
from tieline.simulation.conditions import KNOWLEDGE, Conditions, Knowledge

_OPTIONS: Final = (
    click.option(
        "--estimates",
        type=click.Choice(KNOWLEDGE),
        default="exact",
        show_default=True,
        help="What the scheduler is told about run times: those of the trace, what users expected,"
        " nothing (it learns from ended jobs), or one hour for every job.",
    ),
    click.option(
        "--error",
        type=float,
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Every estimate is off by a factor drawn from 1/FACTOR to FACTOR.",
    ),
    click.option(
        "--missing",
        type=float,
        default=0.0,
        show_default=True,
        metavar="SHARE",
        help="Share of the jobs, drawn at random, of which nothing is said: ended jobs tell.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of what --error and --missing draw; nothing else is left to chance.",
    ),
    click.option(
        "--rounds",
        metavar="TIME",
        help="Decide only at the start of rounds of this length, such as 6min, and everything"
        " anew, in lock step.",
    ),
    click.option(
        "--restart",
        metavar="TIME",
        help="Let policies stop and move running jobs; each time costs a job this long, such as"
        " 30s. Without it, and without --rounds, a job that has started runs to its end.",
    ),
)


def conditions(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets what they say as the argument `under`."""

    @wraps(command)
    def with_conditions(
        *args: object,
        estimates: Knowledge,
        error: float,
        missing: float,
        seed: int,
        rounds: str | None,
        restart: str | None,
        **rest: object,
    ) -> None:
        try:
            restart_s = None if restart is None else _seconds("restart", restart)
            round_s = None if rounds is None else _seconds("rounds", rounds)
            under = Conditions(estimates, error, missing, restart_s, round_s, seed)
        except InputError as mistake:
            raise InputError(f"--{mistake}") from mistake
        command(*args, under=under, **rest)

    return reduce(lambda one, option: option(one), reversed(_OPTIONS), with_conditions)


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except QuantityError as mistake:
        raise InputError(f"{option}: {mistake}") from mistake

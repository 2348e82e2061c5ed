"""Time for the loop: it follows the machine's clock, and no jump of that leads it astray."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tieline.service.steady import SteadyClock, seconds_running

NOON = 1.8e9


@dataclass
class Machine:
    """A clock that people set, and one that nobody sets."""

    wall: float = NOON
    running: float = 0.0

    def now(self) -> float:
        """Give what the clock of the machine says."""
        return self.wall

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.running += seconds


def steady() -> tuple[Machine, SteadyClock]:
    """Give a machine and the time that is kept on it."""
    machine = Machine()
    return machine, SteadyClock(machine, lambda: machine.running)


def test_it_tells_what_the_clock_tells() -> None:
    """Where nothing odd happens, small corrections included, it is the clock of the machine."""
    machine, clock = steady()
    for seconds in (0.2, 10.0, 3600.0):
        machine.pass_time(seconds)
        machine.wall += 0.3
        assert clock.now() == machine.wall


def test_an_hour_ahead_and_back_leaves_no_trace() -> None:
    """A jump that is taken back within a minute is as if it had not been."""
    machine, clock = steady()
    machine.wall += 3600.0
    machine.pass_time(5.0)
    assert clock.now() == NOON + 5.0
    machine.wall -= 3600.0
    machine.pass_time(5.0)
    assert clock.now() == NOON + 10.0


def test_a_clock_that_stays_ahead_is_believed_after_a_minute() -> None:
    """Set forward for good, it is followed at once when it has stayed there."""
    machine, clock = steady()
    machine.wall += 3600.0
    for _ in range(13):
        machine.pass_time(5.0)
        told = clock.now()
    assert told == machine.wall


def test_a_clock_that_was_set_back_is_waited_for_at_half_pace() -> None:
    """Time goes on, slowly, until the clock has caught up."""
    machine, clock = steady()
    machine.wall -= 100.0
    machine.pass_time(10.0)
    assert clock.now() == NOON + 5.0
    for _ in range(40):
        machine.pass_time(5.0)
        told = clock.now()
    assert told == machine.wall


@given(st.lists(st.tuples(st.floats(0.01, 1000.0), st.floats(-1e5, 1e5)), max_size=40))
def test_it_never_goes_back_and_never_stands_still_for_long(
    story: list[tuple[float, float]],
) -> None:
    """Whatever the clock of the machine does, time goes on with every two seconds that pass."""
    machine, clock = steady()
    told = [clock.now()]
    for seconds, jump in story:
        machine.wall += jump
        machine.pass_time(seconds)
        told.append(clock.now())
    assert all(later >= earlier for earlier, later in pairwise(told))
    for seconds, _ in story:
        before = clock.now()
        machine.pass_time(seconds + 2.0)
        assert clock.now() > before


def test_the_time_that_nobody_sets_goes_on() -> None:
    """Seconds since the machine was started grow."""
    first = seconds_running()
    while seconds_running() == first:
        pass
    assert seconds_running() > first

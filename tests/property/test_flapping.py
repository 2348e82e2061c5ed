"""Sites that come and go in any way: what is never done to them, and what is done in the end."""

from hypothesis import given
from hypothesis import strategies as st

from tieline.control.flapping import Caution, Mode, Standing, answered, failed, vouched

CAUTION = Caution(failures=3, window_s=600.0, first_s=60.0, longest_s=900.0)
STORY = st.lists(st.tuples(st.floats(0.0, 400.0), st.booleans()), max_size=80)


def lived(story: list[tuple[float, bool]]) -> list[tuple[float, bool, Standing]]:
    """Give time, whether it answered, and the standing after it, for steps of a site's life."""
    at, standing, told = 0.0, Standing(), []
    for pause_s, well in story:
        at += pause_s
        standing = (answered if well else failed)(standing, at, CAUTION)
        told.append((at, well, standing))
    return told


@given(STORY)
def test_a_site_that_flaps_gets_no_new_work_until_it_has_been_well(
    story: list[tuple[float, bool]],
) -> None:
    """Safety: it opens after few failures of late, or after a minute at least without any."""
    failures, failed_last, before = [-1e9], -1e9, Mode.OPEN
    for at, well, standing in lived(story):
        if not well:
            assert standing.mode is Mode.CLOSED
            failed_last = at
            failures += [at] if before is not Mode.CLOSED else []
        elif standing.mode is Mode.OPEN and before is not Mode.OPEN:
            of_late = [moment for moment in failures if moment > at - CAUTION.window_s]
            assert len(of_late) < CAUTION.failures or at - failed_last >= CAUTION.first_s
        before = standing.mode


@given(STORY, st.floats(0.1, 60.0))
def test_a_site_that_is_well_is_open_in_the_end(
    story: list[tuple[float, bool]], every_s: float
) -> None:
    """Progress: whatever went before, one that answers is open after the longest quarantine."""
    told = lived(story)
    at, _, standing = told[-1] if told else (0.0, True, Standing())
    begin = at + every_s
    standing = answered(standing, begin, CAUTION)
    assert standing.mode is Mode.OPEN or standing.until <= begin + CAUTION.longest_s
    assert answered(standing, begin + CAUTION.longest_s, CAUTION).mode is Mode.OPEN


@given(STORY)
def test_what_is_remembered_of_a_site_stays_small(story: list[tuple[float, bool]]) -> None:
    """However often a site has failed, no more is kept than is counted."""
    assert all(len(standing.failed_at) <= CAUTION.failures for _, _, standing in lived(story))


@given(STORY)
def test_an_operators_word_ends_a_quarantine_and_opens_no_site_that_fails(
    story: list[tuple[float, bool]],
) -> None:
    """One that answers is open at once, one that does not is open when it answers next."""
    told = lived(story)
    at, _, standing = told[-1] if told else (0.0, True, Standing())
    after = vouched(standing)
    assert after.mode is (Mode.CLOSED if standing.mode is Mode.CLOSED else Mode.OPEN)
    assert answered(after, at, CAUTION).mode is Mode.OPEN


def test_quarantines_in_a_row_grow_and_are_forgotten_after_a_good_time() -> None:
    """Each quarantine is twice as long as the one before, until a window without a failure."""
    at, standing, lengths = 0.0, Standing(), []
    for _ in range(9):
        standing = failed(standing, at + 1.0, CAUTION)
        standing = answered(standing, at + 2.0, CAUTION)
        at += 2.0
        if standing.mode is Mode.QUARANTINED:
            lengths.append(standing.until - at)
            at = standing.until
            standing = answered(standing, at, CAUTION)
        assert standing.mode is Mode.OPEN
    assert lengths[:5] == [60.0, 120.0, 240.0, 480.0, 900.0]
    standing = failed(standing, at + 10 * CAUTION.window_s, CAUTION)
    assert standing.quarantines == 0

"""Putting a control plane together: what is refused before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from loop_bench import job, network
from tieline.engines.local import LocalEngine
from tieline.model.errors import ConflictError, InputError
from tieline.service.composition import Placement, running


def test_two_control_planes_share_neither_a_directory_nor_a_store(tmp_path: Path) -> None:
    """A second control plane on the same directory, or the same store, is refused."""
    store = f"sqlite:///{tmp_path}/jobs.db"
    with running(network(), Placement(tmp_path / "a", store)):
        with (
            pytest.raises(ConflictError, match="another control plane uses it"),
            running(network(), Placement(tmp_path / "a", store)),
        ):
            pass
        (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
        for url in (store, f"sqlite:///{tmp_path}/link.db"):
            with (
                pytest.raises(ConflictError, match=r"store .*jobs\.db"),
                running(network(), Placement(tmp_path / "b", url)),
            ):
                pass
    with running(network(), Placement(tmp_path / "a", store)) as plane:
        assert plane.jobs() == []


def test_a_directory_serves_one_store(tmp_path: Path) -> None:
    """Runs of one store's jobs are not taken for those of another store with the same ids."""
    with running(network(), Placement(tmp_path / "dir")):
        pass
    with (
        pytest.raises(InputError, match="belong to store"),
        running(network(), Placement(tmp_path / "dir", f"sqlite:///{tmp_path}/other.db")),
    ):
        pass


def test_a_store_that_was_thrown_away_is_noticed(tmp_path: Path) -> None:
    """A new store under the old name does not know the directory's runs: nothing is started."""
    place = Placement(tmp_path / "dir", workdir=tmp_path)
    site = network().sites[0]
    with running(network(), place) as plane:
        (one,) = plane.submit([job()])
    engine = LocalEngine(site, tmp_path / "dir/sites" / site.id)
    engine.cancel(f"{one.id}.1")  # so that it certainly has a run, started or not
    for file in (tmp_path / "dir").glob("tieline.db*"):
        file.unlink()
    with pytest.raises(InputError, match=f"has a run of {one.id}"), running(network(), place):
        pass


def test_engines_of_later_versions_are_named(tmp_path: Path) -> None:
    """A site whose engine this version does not have, or an unknown option, is refused."""
    first, second = network().sites
    later = replace(network(), sites=(first, replace(second, engine="ray")))
    odd = replace(network(), sites=(replace(first, engine_options={"partition": "x"}), second))
    for wrong, words in ((later, "west-1.*comes in a later version"), (odd, "takes no options")):
        with pytest.raises(InputError, match=words), running(wrong, Placement(tmp_path / "dir")):
            pass


@pytest.mark.parametrize("lead", [True, False])
def test_a_wrong_option_is_told_before_it_serves(tmp_path: Path, *, lead: bool) -> None:
    """A wrong option of a Slurm site is refused at the start, by one that stands by as well."""
    first, second = network().sites
    slurm = replace(first, engine="slurm", engine_options={"direktory": "/x"})
    wrong = replace(network(), sites=(slurm, second))
    with (
        pytest.raises(InputError, match="unknown option 'direktory'"),
        running(wrong, Placement(tmp_path / "dir", lead=lead)),
    ):
        pass
    assert not (tmp_path / "dir").exists()


def test_an_unknown_policy_leaves_nothing_behind(tmp_path: Path) -> None:
    """A mistake in the arguments is told before any file is made."""
    with (
        pytest.raises(InputError, match="unknown policy"),
        running(network(), Placement(tmp_path / "dir"), policy="magic"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A path that is in the way of the directory is named."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="name another one"),
        running(network(), Placement(tmp_path / "file")),
    ):
        pass

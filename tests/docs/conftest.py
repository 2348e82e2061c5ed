"""A folder and a control plane for pages that are played through."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import Served
from tieline.client import Client, find_url
from tieline.control.lifecycle import Status

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the examples in it, as of a user with a wide terminal."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("TIELINE_URL", raising=False)
    return tmp_path


@pytest.fixture
def served(here: Path) -> Iterator[Served]:
    """Give a control plane that is not up yet; leave no job and no process behind."""
    assert here.is_dir()
    found = Served()
    yield found
    if found.process is not None:
        with Client(find_url()) as client:
            left = client.jobs(status=[status for status in Status if not status.ended])
            client.wait([client.cancel(job.id) for job in left], timeout_s=30)
    found.stop()

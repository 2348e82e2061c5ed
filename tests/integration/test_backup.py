"""What the page on backups says works, word for word, on both databases."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bed.machine import Missing, need
from bed.postgres import PASSWORD, Server, folder_of_programs
from tieline.control.governance import Drain
from tieline.control.lifecycle import Event
from tieline.control.ports import Change, StoredEvent
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md"
SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


def told(section: str) -> list[str]:
    """Give the blocks of commands of one section of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(block: str, settings: Mapping[str, str]) -> str:
    """Give commands to a shell as a reader would, and what they print; all must succeed."""
    own = Path(sys.executable).parent
    programs = ":".join([str(own), *settings.get("PROGRAMS", "").split(), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", block],
        env={**os.environ, "PATH": programs, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(url: str) -> list[StoredEvent]:
    """Give the log of a store in which something of each kind has happened."""
    with closing(open_store(url)) as store:
        job, _ = store.add_jobs([SPEC, SPEC], now=1.0, key="k", by="ann")
        store.record([Change(job.id, 0, Event.PLACED, 2.0, pool="p/q")])
        store.drain("gui-an", now=3.0, by="ann")
        epoch = store.lead("here:1", "http://here", lease_s=3600.0)
        assert epoch == 1
        return store.events()


def check(url: str, log: list[StoredEvent]) -> None:
    """Look whether a restored store has the same log, works, and can be led at once."""
    with closing(open_store(url)) as store:
        assert store.events() == log
        assert [job.attempt for job in store.jobs()] == [0, 1]
        assert store.drained() == {"gui-an": Drain("gui-an", 3.0, "ann")}
        assert store.lead("there:2", "http://there", lease_s=3600.0) == 2
        (job,) = store.add_jobs([SPEC], now=9.0)
        assert job.seq == 3


@pytest.fixture
def sqlite_program() -> None:
    """Skip where the program of SQLite is not installed."""
    try:
        need({"sqlite3": "sqlite3"})
    except Missing as want:
        pytest.skip(str(want))


@pytest.mark.usefixtures("sqlite_program")
def test_sqlite(tmp_path: Path) -> None:
    """The file that is copied while the store is in use is the store when it is put back."""
    settings = {"DIR": f"{tmp_path}/dir", "BACKUP": f"{tmp_path}/backup"}
    for folder in settings.values():
        Path(folder).mkdir()
    url = f"sqlite:///{tmp_path}/dir/tieline.db"
    log = fill(url)
    backup, restore = told("SQLite")
    with closing(open_store(url)) as store:
        printed = run(backup, settings)
        assert f"{log[-1].seq}:{log[-1].hash}" in printed
        store.add_jobs([SPEC] * 3, now=5.0)
    assert "nothing is wrong" in run(restore, settings)
    check(url, log)


@pytest.mark.timeout(240)
def test_postgres(tmp_path: Path, postgres_server: Server) -> None:
    """The dump that is made while the store is in use is the store in another database."""
    url = postgres_server.url()
    log = fill(url)
    shown = url.replace(f":{PASSWORD}@", "@")
    settings = {
        "STORE": shown,
        "RESTORED": f"{shown.rpartition('/')[0]}/tieline_restored",
        "BACKUP": str(tmp_path),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres_server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": PASSWORD,
        "PROGRAMS": str(folder_of_programs()),
    }
    backup, restore = told("PostgreSQL")
    with closing(open_store(url)) as store:
        run(backup, settings)
        store.add_jobs([SPEC] * 3, now=5.0)
    assert "nothing is wrong" in run(restore, settings)
    check(f"{url.rpartition('/')[0]}/tieline_restored", log)

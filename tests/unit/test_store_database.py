"""What the store does with its URL and with other users of its file."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tieline.control.ports import Store
from tieline.model.errors import InputError, StoreUnavailable
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store, sqlite
from tieline.store.address import connect

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})


@contextmanager
def written_to(file: Path) -> Iterator[None]:
    """Hold the write lock of the file, as another process would."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a URL.*sqlite:///path/to/file.db"),
        ("store.db", "not a URL.*sqlite:///path/to/file.db"),
        ("mysql://host/name", "unknown kind `mysql`.*sqlite:///path/to/file.db"),
        ("mysql://user:secret@host/name", r"mysql://user:\*\*\*@host/name"),
        ("sqlite:///", "no path to a file.*sqlite:///path/to/file.db"),
        ("sqlite://store.db", "no path to a file.*sqlite:///path/to/file.db"),
        ("sqlite:///store.db?mode=ro", "no path to a file.*sqlite:///path/to/file.db"),
        ("sqlite:///.", "this is a folder; name a file in it"),
        ("sqlite:///missing/store.db", "there is no folder .*missing; make it first"),
        ("sqlite:////proc/store.db", "unable to open database file"),
    ],
)
def test_a_wrong_url_is_one_clear_line(
    url: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL that gives no store is refused with what was found and what is allowed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^store .*{words}") as caught:
        open_store(url)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store opened by a relative path is the same file after a change of folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///store.db")
    store.close()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (job,) = store.add_jobs([SPEC], now=1.0)
    store.close()
    again = open_store(f"sqlite:///{tmp_path}/store.db")
    assert again.jobs() == [job]
    again.close()


def test_connections_are_set_up_to_be_durable(tmp_path: Path) -> None:
    """Every connection waits for the disk at a commit, uses WAL and checks foreign keys."""
    opened = connect(f"sqlite:///{tmp_path}/store.db")
    opened.prepare()
    wanted = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}
    for transaction in (opened.reading, opened.writing):
        with transaction() as connection:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted
            }
        assert found == wanted
    opened.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    """While another process writes, every read gives the last committed state at once."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    (job,) = store.add_jobs([SPEC], now=1.0)
    with written_to(tmp_path / "store.db"):
        assert store.job(job.id) == job
        assert store.jobs() == [job]
        assert store.open_jobs() == (1, [job])
        assert store.news(0).submitted == (job,)
        assert store.pending_cancels() == []
        assert len(store.events()) == 1
    store.close()


def test_a_writer_waits_for_its_turn(tmp_path: Path) -> None:
    """A submission made while another process writes is stored when that one is done."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    submission = threading.Thread(target=store.add_jobs, args=([SPEC],), kwargs={"now": 1.0})
    with written_to(tmp_path / "store.db"):
        submission.start()
        submission.join(0.1)
        assert submission.is_alive()
        assert store.jobs() == []
    submission.join(10)
    assert len(store.jobs()) == 1
    store.close()


def test_a_store_that_stays_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that gets no turn in time says so, writes nothing, and may be made again."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    with written_to(tmp_path / "store.db"):
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="locked"):
                store.add_jobs([SPEC], now=1.0, key="k")
    assert store.jobs() == []
    (job,) = store.add_jobs([SPEC], now=1.0, key="k")
    assert store.jobs() == [job]
    store.close()


def test_opening_waits_for_another_process(tmp_path: Path) -> None:
    """A file that is not in WAL mode yet is opened once nobody else is at it."""
    file = tmp_path / "store.db"
    open_store(f"sqlite:///{file}").close()
    opened: list[Store] = []
    opening = threading.Thread(target=lambda: opened.append(open_store(f"sqlite:///{file}")))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        opening.start()
        opening.join(0.2)
        assert opening.is_alive()
        other.execute("COMMIT")
    opening.join(10)
    opened[0].close()


def test_stores_in_memory_are_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each store in memory is its own, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    first, second = open_store("sqlite://"), open_store("sqlite:///:memory:")
    first.add_jobs([SPEC], now=1.0)
    assert second.jobs() == []
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []

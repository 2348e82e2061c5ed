"""Sites on the command line: what is there, and closing one to new work."""

import re
import threading
from collections.abc import Callable, Iterator

import pytest

from terminal import Terminal
from tieline.client import Client, find_url

Eventually = Callable[[Callable[[], object]], None]
JobFile = Callable[..., str]


@pytest.fixture(autouse=True)
def open_again(tieline: Terminal) -> Iterator[None]:
    """Leave the site open."""
    yield
    tieline("site", "resume", "one")


def test_sites_are_listed(tieline: Terminal) -> None:
    """Every site is there in the order of the network file, with what may be used of it."""
    listed = tieline.good("site", "list").out
    assert re.search(r"^one +open +4/4 +0", listed, re.MULTILINE)
    assert re.search(r"^two +open +2/2 +0", listed, re.MULTILINE)
    found = tieline.good("site", "list", "--json").document["sites"]
    assert [(one["id"], one["region"], one["engine"]) for one in found] == [
        ("one", "east", "local"),
        ("two", "west", "local"),
    ]


def test_one_site_is_shown(tieline: Terminal) -> None:
    """`site status` shows everything about one site, or about each."""
    shown = tieline.good("site", "status", "two").out
    assert re.search(r"^site +two *$", shown, re.MULTILINE)
    assert re.search(r"^usable +2/2 accelerators *$", shown, re.MULTILINE)
    assert re.search(r"^last answer +\d\S* ago *$", shown, re.MULTILINE)
    assert tieline.good("site", "status").out.count("last answer") == 2
    (one,) = tieline.good("site", "status", "two", "--json").document["sites"]
    assert (one["state"], one["capacity"], one["running"]) == ("open", 2, 0)


def test_a_drained_site_gets_no_new_work(
    tieline: Terminal, job_file: JobFile, eventually: Eventually
) -> None:
    """After `drain` what runs goes on and what comes waits, with the reason, until `resume`."""
    runs = tieline.good("submit", job_file("sleep 100")).job
    eventually(lambda: "running" in tieline.good("job", runs).out)
    said = tieline.good("site", "drain", "one", "--reason", "new cooling").out
    assert said.startswith("one is drained; 1 job runs there")
    waits = tieline.good("submit", job_file("true", name="waits")).job
    eventually(lambda: "new cooling" in tieline.good("site", "list").out)
    eventually(lambda: tieline.good("why", waits, "--json").document["pools"])
    assert tieline.good("jobs", waits, "--json").document["jobs"][0]["status"] == "queued"
    assert "running" in tieline.good("job", runs).out
    assert tieline.good("site", "resume", "one").out.startswith("one is open; ")
    eventually(lambda: "succeeded" in tieline.good("job", waits).out)


def test_draining_waits_until_nothing_runs(
    tieline: Terminal, job_file: JobFile, eventually: Eventually
) -> None:
    """With `--wait` the command ends when the last job at the site has."""
    job = tieline.good("submit", job_file("sleep 100")).job
    eventually(lambda: "running" in tieline.good("job", job).out)
    with Client(find_url()) as client:
        ends = threading.Timer(0.7, client.cancel, [job])
        ends.start()
        said = tieline.good("site", "drain", "one", "--wait").out
        ends.join()
    assert said == "one is drained; nothing runs there\n"
    assert "cancelled" in tieline.good("job", job).out


@pytest.mark.parametrize("site", ["nowhere", "../jobs"])
@pytest.mark.parametrize("command", ["status", "drain", "resume"])
def test_an_unknown_site_is_one_line(tieline: Terminal, command: str, site: str) -> None:
    """An unknown site is wrong input: one line that says what to do, exit code 2."""
    ran = tieline("site", command, site)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"tieline: there is no site '{site}'; ")
    assert ran.err.endswith("`tieline site list` lists the sites\n")
    assert ran.err.count("\n") == 1


def test_without_tokens_everybody_is_the_operator(tieline: Terminal) -> None:
    """`whoami` says whom the control plane takes the caller for."""
    assert tieline.good("whoami").out == "local: operator\n"
    assert tieline.good("whoami", "--json").document["role"] == "operator"

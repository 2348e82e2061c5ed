"""What a network file may say about a Slurm site, and what becomes of an order there."""

import os
import pwd
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tieline.control.ports import RunOrder
from tieline.engines.slurm import SlurmEngine
from tieline.engines.slurm.batch import minutes, partition_of, shape
from tieline.engines.slurm.discovery import found_pools, guesses
from tieline.engines.slurm.jobs import Node, Partition, amount, node_works, read_gres
from tieline.engines.slurm.link import Link
from tieline.engines.slurm.options import Options, parse_options
from tieline.engines.slurm.room import room
from tieline.model.errors import EngineUnavailable, InputError, OrderRefused
from tieline.model.network import Pool, Site

POOL = Pool("s/h200", "s", "nvidia-h200-sxm", 4, 8, gres="gpu:h200")
SITE = Site("s", "r", (POOL,), "slurm", {"directory": "/shared"}, accounts={"*": "nobody"})
ORDER = RunOrder("job.1", "job", "lab-a", "s/h200", 1, "true")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dir": "/x"}, "unknown option 'dir' of engine slurm: directory, url, "),
        ({"directory": "shared"}, "'shared' is no absolute path"),
        ({"directory": "/a/../b"}, "'/a/../b' is no absolute path"),
        ({"directory": "/a%j"}, "'/a%j' is no absolute path"),
        ({"url": "http://x:1", "socket": "/s"}, "give `url` or `socket`, not both"),
        ({"url": "http://x:1"}, "`url` needs `jwt_file` or `jwt_command`"),
        ({"url": "ftp://x"}, "'ftp://x' is no address such as https://"),
        ({"jwt_file": "/f"}, "`jwt_file` says something only beside `url` or `socket`"),
        ({"ssh_config": "/f"}, "`ssh_config` says something only beside `ssh`"),
        ({"ssh": "-oProxyCommand=x"}, "'-oProxyCommand=x' is no host"),
        ({"ssh": "host;reboot"}, "'host;reboot' is no host"),
        ({"python": "--version"}, "'--version' is no program"),
        ({"become": "su"}, "'su' is none of setpriv, sudo, nothing"),
        ({"account": "a b"}, "'a b' is no name of a Slurm account"),
        ({"timeout": "2min"}, "'2min' is not between 0.1 s and 60 s"),
        ({"timeout": "soon"}, "'soon'"),
        ({"lease": "1min"}, "`lease` must be at least twice the heartbeat: 600 s or more"),
        ({"cpus_per_accelerator": "0"}, "'0' is no whole number above 0"),
        ({"version": "38"}, "'38' is no version such as v0.0.38"),
    ],
)
def test_options_that_are_wrong(options: dict[str, str], message: str) -> None:
    """A wrong option is named, with what is allowed."""
    site = replace(SITE, engine_options={"directory": "/shared", **options})
    with pytest.raises(InputError) as caught:
        parse_options(site)
    assert str(caught.value).startswith("site s: ")
    assert message in str(caught.value)


def test_options_that_are_right() -> None:
    """Options are read into what they mean; all but the folder may be left out."""
    given = {"directory": "/shared/", "timeout": "5", "lease": "10m", "cpus_per_accelerator": "4"}
    options = parse_options(replace(SITE, engine_options=given))
    assert (options.directory, options.timeout, options.lease) == ("/shared", 5.0, 600.0)
    assert options.cpus_per_accelerator == 4
    assert parse_options(SITE) == Options("/shared")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine_options": {}}, "engine slurm needs `directory`"),
        ({"accounts": {}}, "accounts: say as whom commands run there"),
        ({"accounts": {"lab-a": "root"}}, "accounts: root runs no commands of jobs"),
        ({"accounts": {"lab-a": "no-such-user"}}, "this machine has no user 'no-such-user'"),
        ({"pools": (replace(POOL, gres=None),)}, "such as `gres: gpu:h200`"),
        (
            {
                "engine_options": {
                    "directory": "/shared",
                    "url": "http://x:1",
                    "version": "v9.9.9",
                    "jwt_file": "/f",
                }
            },
            "version v9.9.9 is unknown; known: v0.0.38",
        ),
    ],
)
def test_sites_that_are_wrong(change: dict[str, object], message: str) -> None:
    """A site that cannot work is refused before anything is asked."""
    with pytest.raises(InputError, match=r"^site s: ") as caught:
        SlurmEngine(replace(SITE, **change))  # type: ignore[arg-type] # wrong on purpose
    assert message in str(caught.value)


def test_nobody_runs_as_the_control_plane_by_accident() -> None:
    """The control plane's own user can be named for a tenant, but not for all others."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(InputError, match=rf"`\*` names {own}, the user of the control plane"):
        SlurmEngine(replace(SITE, accounts={"*": own}))


def test_a_far_root_is_refused() -> None:
    """Root is refused as an account at the far end of ssh, too."""
    options = Options("/shared", ssh="host")
    with pytest.raises(InputError, match="root runs no commands of jobs"):
        Link("s", "root", options, 0)


def test_a_tenant_without_account() -> None:
    """An order of a tenant that has no account is refused, with where to name one."""
    engine = SlurmEngine(replace(SITE, accounts={"lab-b": "nobody"}))
    with pytest.raises(OrderRefused, match=r"tenant 'lab-a' has no account at site s; name one"):
        engine.submit(ORDER)


@pytest.mark.parametrize(
    ("count", "gres", "expected"),
    [
        (1, "gpu:h200", (1, "gpu:h200:1", None)),
        (8, "gpu:h200", (1, "gpu:h200:8", None)),
        (12, "gpu:h200", (2, "gpu:h200:6", None)),
        (32, "gpu:h200", (4, "gpu:h200:8", None)),
        (11, "gpu:h200", (2, None, "h200:11")),
        (11, "gpu", (2, None, "11")),
        (9, "npu:a", (3, "npu:a:3", None)),
    ],
)
def test_how_accelerators_are_spread(
    count: int, gres: str, expected: tuple[int, str | None, str | None]
) -> None:
    """As few nodes as can be are asked for, with the same number on each where possible."""
    assert shape(replace(ORDER, count=count), replace(POOL, gres=gres)) == expected


def test_accelerators_that_cannot_be_spread() -> None:
    """What Slurm has no request for is refused, not rounded up."""
    with pytest.raises(OrderRefused, match="11 accelerators of s/h200 cannot be spread evenly"):
        shape(replace(ORDER, count=11), replace(POOL, gres="npu:a"))


def test_time_limits() -> None:
    """Slurm's limit lies behind the wrapper's, within what the partition allows."""
    week, endless = Partition("p", True, True, 10080), Partition("p", True, True, None)
    limited = replace(ORDER, time_limit_s=3600.0)
    assert minutes(limited, 30.0, week) == 62
    assert minutes(replace(ORDER, time_limit_s=10080 * 60.0), 30.0, week) == 10080
    assert minutes(ORDER, 30.0, week) == 10080
    assert minutes(ORDER, 30.0, endless) is None
    with pytest.raises(OrderRefused, match="above the 10080 min that partition p allows"):
        minutes(replace(ORDER, time_limit_s=10081 * 60.0), 30.0, week)


def test_partitions() -> None:
    """A pool without a partition means the default one; a wrong name is refused."""
    low, usual = Partition("low", False, True, None), Partition("batch", True, True, None)
    assert partition_of(ORDER, POOL, [low, usual]) is usual
    assert partition_of(ORDER, replace(POOL, partition="low"), [low, usual]) is low
    with pytest.raises(OrderRefused, match="the site has no partition high; it has: low, batch"):
        partition_of(ORDER, replace(POOL, partition="high"), [low, usual])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu:h200:8(S:0-1)", {"gpu:h200": 8}),
        ("gpu:h200:4(IDX:0-3),npu:2", {"gpu:h200": 4, "npu": 2}),
        ("gpu:h200:0(IDX:N/A)", {"gpu:h200": 0}),
        ("gpu:a:1,gpu:b:2", {"gpu:a": 1, "gpu:b": 2}),
        ("(null)", {}),
        ("N/A", {}),
        ("", {}),
        ("gpu:h200:99999999999999999999", {}),
    ],
)
def test_generic_resources(text: str, expected: dict[str, int]) -> None:
    """Amounts are read by name and type; what is none is passed over."""
    assert read_gres(text) == expected


def test_amounts_of_any_type() -> None:
    """A name without a type stands for all types of it."""
    gres = {"gpu:a": 1, "gpu:b": 2, "npu": 4}
    assert [amount(gres, name) for name in ("gpu:a", "gpu", "npu", "gpu:c")] == [1, 3, 4, 0]


@pytest.mark.parametrize(
    ("states", "works"),
    [
        (["IDLE"], True),
        (["mixed"], True),
        (["ALLOCATED", "COMPLETING"], True),
        (["IDLE", "DRAIN"], False),
        (["DOWN"], False),
        (["MIXED", "NOT_RESPONDING"], False),
        (["ALLOCATED", "MAINT"], False),
        (["UNKNOWN"], False),
        ([], False),
    ],
)
def test_nodes_that_work(states: list[str], works: bool) -> None:
    """A node takes new work when its state says so and no flag forbids it."""
    assert node_works(states) == works


def node(name: str, used: int, *, works: bool = True) -> Node:
    """Give a node of eight."""
    amounts = {"gpu:h200": 8}, {"gpu:h200": used}
    return Node(name, frozenset({"batch"}), works, *amounts)


def test_room() -> None:
    """What is free on working nodes and what our runs hold counts, and no more than there is."""
    usual = [Partition("batch", True, True, None)]
    nodes = [node("a", 0), node("b", 8), node("c", 3), node("d", 2, works=False)]
    assert room([POOL], usual, nodes, {}) == {"s/h200": 13}
    assert room([POOL], usual, nodes, {"s/h200": 10}) == {"s/h200": 23}
    assert room([POOL], usual, nodes, {"s/h200": 99}) == {"s/h200": 26}
    assert room([replace(POOL, nodes=2)], usual, nodes, {"s/h200": 99}) == {"s/h200": 16}


def test_room_behind_a_closed_door() -> None:
    """A partition that is down has no room; a site whose partitions are all down is away."""
    down, usual = Partition("low", False, False, None), Partition("batch", True, True, None)
    low = replace(POOL, id="s/low", partition="low")
    assert room([POOL, low], [usual, down], [node("a", 0)], {}) == {"s/h200": 8, "s/low": 0}
    with pytest.raises(EngineUnavailable, match="no partition of its pools takes jobs"):
        room([low], [usual, down], [node("a", 0)], {})


def test_discovered_pools() -> None:
    """Nodes with the same accelerators are one pool of each partition they are in."""
    partitions = [Partition("batch", True, True, None), Partition("low", False, True, None)]
    nodes = [
        Node("a", frozenset({"batch", "low"}), True, {"gpu:h200": 8, "shard": 100}, {}),
        Node("b", frozenset({"batch"}), False, {"gpu:h200": 8}, {}),
        Node("c", frozenset({"batch"}), True, {"gpu:h200": 4}, {}),
    ]
    found = [
        (pool.partition, pool.gres, pool.nodes, pool.accelerators_per_node)
        for pool in found_pools(partitions, nodes)
    ]
    assert found == [
        ("batch", "gpu:h200", 1, 4),
        ("batch", "gpu:h200", 2, 8),
        ("low", "gpu:h200", 1, 8),
    ]


@pytest.mark.parametrize(
    ("gres", "expected"),
    [
        ("gpu:mlu590", ("cambricon-mlu590",)),
        ("npu:ascend910b2", ("huawei-910b2",)),
        ("gpu:nvidia_l40s", ("nvidia-l40s",)),
        ("gpu:h200", ("nvidia-h200-nvl", "nvidia-h200-sxm")),
        ("gpu:zzz", ()),
        ("gpu", ()),
    ],
)
def test_guessed_accelerators(gres: str, expected: tuple[str, ...]) -> None:
    """A name of Slurm is looked for in the catalogue; where it may mean several, all are given."""
    assert guesses(gres) == expected


def test_every_option_is_on_its_page() -> None:
    """The reference page names each option once, with the default that holds."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "slurm-engine.md"
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page.read_text(), re.MULTILINE))
    assert rows.keys() == {field.name for field in fields(Options)}
    for field in fields(Options):
        if isinstance(field.default, float):
            assert rows[field.name] == f"{field.default:g} s"
        elif isinstance(field.default, str):
            assert rows[field.name] == field.default

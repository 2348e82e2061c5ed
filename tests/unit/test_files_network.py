"""Network files: what they give, and each mistake with its line and words."""

from pathlib import Path

import pytest

from tieline.files.document import Document
from tieline.files.network import network_from, network_to_dict, read_network
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.accelerator import Accelerator, Figure, Rate
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant

TEXT = """\
name: two regions
accelerators:
  - {id: volta, stack: cuda, memory_gb: 16, rates: {training: 0.1}}
regions:
  - {id: east, name: East, electricity_usd_per_kwh: 0.1, pue: 1.25, carbon_g_per_kwh: 550}
  - {id: west}
links:
  - {between: [east, west], bandwidth_gbit_s: 100, rtt_ms: 20, usd_per_gb: 0.002}
sites:
  - id: east-1
    region: east
    engine: {kind: slurm, url: "http://127.0.0.1:16020", retries: 3, tls: no}
    pools:
      - {accelerator: nvidia-h20-96, nodes: 4, accelerators_per_node: 8, partition: batch}
      - {accelerator: volta, nodes: 1, accelerators_per_node: 8, stacks: [cuda, triton]}
  - id: west-1
    region: west
    pools:
      - accelerator: huawei-910b2
        name: big
        nodes: 100
        accelerators_per_node: 16
        trust: [open, sensitive]
tenants:
  - {id: lab, share: 2, home: east-1, quotas: {total: 64, volta: 8}}
  - {id: "103959"}
datasets:
  - id: corpus
    size: 2TB
    replicas: [east-1]
    residency: [east, west]
    sensitivity: sensitive
"""

NETWORK = Network(
    name="two regions",
    regions=(Region("east", "East", 0.1, 1.25, 550), Region("west")),
    sites=(
        Site(
            "east-1",
            "east",
            (
                Pool("east-1/nvidia-h20-96", "east-1", "nvidia-h20-96", 4, 8, partition="batch"),
                Pool(
                    "east-1/volta", "east-1", "volta", 1, 8, stacks=frozenset({"cuda", "triton"})
                ),
            ),
            "slurm",
            {"url": "http://127.0.0.1:16020", "retries": "3", "tls": "false"},
        ),
        Site(
            "west-1",
            "west",
            (
                Pool(
                    "west-1/big",
                    "west-1",
                    "huawei-910b2",
                    100,
                    16,
                    trust=frozenset({"open", "sensitive"}),
                ),
            ),
        ),
    ),
    links=(Link(("east", "west"), 12.5e9, 0.02, 2e-12),),
    tenants=(Tenant("lab", 2.0, "east-1", {"total": 64, "volta": 8}), Tenant("103959")),
    datasets=(
        Dataset("corpus", 2e12, frozenset({"east-1"}), frozenset({"east", "west"}), "sensitive"),
    ),
    accelerators=(
        Accelerator(
            "volta",
            "volta",
            "",
            "",
            "cuda",
            {"memory_gb": Figure(16, "GB", "network file", "", "high")},
            {"training": Rate(0.1, "assumed", "network file")},
        ),
    ),
)


def mistakes(text: str) -> list[str]:
    """Give the mistakes in the text of a network file, without the name of the file."""
    with pytest.raises(FileErrors) as raised:
        network_from(parse(text, "net.yaml"), name="net")
    return [str(problem).removeprefix("net.yaml:") for problem in raised.value.problems]


def test_every_field_arrives() -> None:
    """A network file gives the network it describes: units converted, defaults filled in."""
    assert network_from(parse(TEXT, "net.yaml"), name="net") == NETWORK


def test_dictionary_of_a_network_is_read_again() -> None:
    """What `network_to_dict` gives describes the same network, with defaults left out."""
    data = network_to_dict(NETWORK)
    assert network_from(Document("net", data), name="net") == NETWORK
    assert data["regions"][1] == {"id": "west"}
    assert data["links"] == [
        {"between": ["east", "west"], "bandwidth_gbit_s": 100, "rtt_ms": 20, "usd_per_gb": 0.002}
    ]


def test_what_a_site_with_a_scheduler_of_its_own_needs(tmp_path: Path) -> None:
    """A site may say as whom each tenant's commands run, a pool what it is called there."""
    file = tmp_path / "net.yaml"
    accounts = '    region: west\n    accounts: {lab: alice, "*": guests}\n'
    text = TEXT.replace("    region: west\n", accounts)
    file.write_text(text.replace("partition: batch", "gres: gpu:h20"))
    east, west = read_network(file).sites
    assert west.accounts == {"lab": "alice", "*": "guests"}
    assert [pool.gres for pool in east.pools] == ["gpu:h20", None]


def test_name_is_that_of_the_file(tmp_path: Path) -> None:
    """A network that does not name itself has the name of its file."""
    file = tmp_path / "north.yaml"
    file.write_text(TEXT.replace("name: two regions\n", ""))
    assert read_network(file).name == "north"


H20 = "nvidia-h20-96, nodes: 4, accelerators_per_node: 8, partition: batch"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "accelerator: nvidia-h20-96",
            "accelerator: nvidia-h20",
            "14: sites[0].pools[0].accelerator: unknown accelerator 'nvidia-h20'; did you mean "
            "nvidia-h20-96, nvidia-h20-141, nvidia-h200-nvl? (tieline accelerators lists all)",
            id="accelerator",
        ),
        pytest.param(
            "region: west\n",
            "region: wets\n",
            "17: sites[1].region: unknown region 'wets'; did you mean west, east?",
            id="region of a site",
        ),
        pytest.param(
            "[east, west], bandwidth",
            "[east, north], bandwidth",
            "8: links[0].between[1]: unknown region 'north'; allowed: east, west",
            id="region of a link",
        ),
        pytest.param(
            "home: east-1",
            "home: east-2",
            "25: tenants[0].home: unknown site 'east-2'; did you mean east-1, west-1?",
            id="home",
        ),
        pytest.param(
            "replicas: [east-1]",
            "replicas: [east-1, south-1]",
            "30: datasets[0].replicas[1]: unknown site 'south-1'; did you mean west-1, east-1?",
            id="site of a replica",
        ),
        pytest.param(
            "residency: [east, west]",
            "residency: [east, north]",
            "31: datasets[0].residency[1]: unknown region 'north'; allowed: east, west",
            id="region of a dataset",
        ),
        pytest.param(
            "residency: [east, west]",
            "residency: [west]",
            "30: datasets[0].replicas[0]: a replica at 'east-1' in region 'east'; "
            "residency allows west",
            id="replica outside its residency",
        ),
        pytest.param(
            "sensitivity: sensitive",
            "sensitivity: sensitve",
            "32: datasets[0].sensitivity: unknown sensitivity 'sensitve'; did you mean sensitive?",
            id="sensitivity",
        ),
        pytest.param(
            "region: west\n",
            "region: west\n    accounts: {lab: alice, lba: bob}\n",
            "18: sites[1].accounts.lba: unknown tenant 'lba'; did you mean lab?",
            id="tenant of an account",
        ),
        pytest.param(
            "region: west\n",
            "region: west\n    accounts: {lab: al ice}\n",
            "18: sites[1].accounts.lab: 'al ice'; allowed: the name of a user",
            id="user of an account",
        ),
        pytest.param(
            "partition: batch",
            "gres: gpu h20",
            "14: sites[0].pools[0].gres: 'gpu h20'; allowed: a name such as gpu:h200",
            id="resource of a pool",
        ),
        pytest.param(
            "total: 64",
            "totl: 64",
            "25: tenants[0].quotas.totl: unknown accelerator 'totl'; did you mean total? "
            "(tieline accelerators lists all)",
            id="quota",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: -4,",
            "14: sites[0].pools[0].nodes: -4; allowed: a whole number from 1 to 1,000,000",
            id="negative count",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: 0,",
            "14: sites[0].pools[0].nodes: 0; allowed: a whole number from 1 to 1,000,000",
            id="no node",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: 40000000,",
            "14: sites[0].pools[0].nodes: 40000000; allowed: a whole number from 1 to 1,000,000",
            id="absurd count",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: 4.5,",
            "14: sites[0].pools[0].nodes: 4.5; allowed: a whole number from 1 to 1,000,000",
            id="broken count",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: 1e3,",
            "14: sites[0].pools[0].nodes: 1e3; "
            "write 1000: allowed is a whole number from 1 to 1,000,000",
            id="count with an exponent",
        ),
        pytest.param(
            "nodes: 4,",
            "nodes: yes,",
            "14: sites[0].pools[0].nodes: yes; allowed: a whole number from 1 to 1,000,000",
            id="truth value for a count",
        ),
        pytest.param(
            "nodes: 4,",
            'nodes: "4",',
            "14: sites[0].pools[0].nodes: '4'; allowed: a whole number from 1 to 1,000,000",
            id="text for a count",
        ),
        pytest.param(
            "        nodes: 100\n        accelerators_per_node: 16",
            "        nodes: 1000000\n        accelerators_per_node: 16",
            "21: sites[1].pools[0].nodes: 16,000,000 accelerators in the pool; "
            "allowed: at most 10,000,000 accelerators",
            id="absurd pool",
        ),
        pytest.param(
            "  - {id: west}",
            "  - {id: west}\n  - {id: east}",
            "7: regions[2].id: second region id 'east', first on line 5; allowed: once",
            id="second region",
        ),
        pytest.param(
            "id: west-1",
            "id: east-1",
            "16: sites[1].id: second site id 'east-1', first on line 10; allowed: once",
            id="second site",
        ),
        pytest.param(
            'id: "103959"',
            "id: lab",
            "26: tenants[1].id: second tenant id 'lab', first on line 25; allowed: once",
            id="second tenant",
        ),
        pytest.param(
            "accelerator: volta, nodes: 1",
            "accelerator: nvidia-h20-96, nodes: 1",
            "15: sites[0].pools[1]: second pool 'nvidia-h20-96' at this site, first on line 14; "
            "give each pool a `name` of its own",
            id="second pool of an accelerator",
        ),
        pytest.param(
            "regions:\n",
            "  - {id: nvidia-l20, stack: cuda}\nregions:\n",
            "4: accelerators[1].id: 'nvidia-l20' is in the catalogue; "
            "choose another id, or leave it out",
            id="accelerator of the catalogue",
        ),
        pytest.param(
            "    region: east\n",
            "    region: east\n    region: west\n",
            "12: sites[0].region: given a second time, first on line 11; allowed: once",
            id="key given twice",
        ),
        pytest.param(
            "[east, west], bandwidth",
            "[east, east], bandwidth",
            "8: links[0].between: a link from 'east' to itself; allowed: two regions",
            id="link to itself",
        ),
        pytest.param(
            "sites:\n",
            "  - {between: [west, east], bandwidth_gbit_s: 1}\nsites:\n",
            "9: links[1].between: second link between east and west, first on line 8; "
            "allowed: once",
            id="second link",
        ),
        pytest.param(
            "between: [east, west]",
            "between: [east]",
            "8: links[0].between: a list; allowed: two region ids, such as [a, b]",
            id="link with one end",
        ),
        pytest.param(
            "bandwidth_gbit_s: 100",
            "bandwidth_gbit_s: 100 Gbit/s",
            "8: links[0].bandwidth_gbit_s: '100 Gbit/s'; "
            "allowed: a number above 0 to 1,000,000 Gbit/s",
            id="unit where none belongs",
        ),
        pytest.param(
            "rtt_ms: 20",
            "rtt_ms: .nan",
            "8: links[0].rtt_ms: .nan; allowed: a number from 0 to 10,000 ms",
            id="not a number",
        ),
        pytest.param(
            "rtt_ms: 20",
            "rtt_ms: 1e999",
            "8: links[0].rtt_ms: 1e999; allowed: a number from 0 to 10,000 ms",
            id="infinite",
        ),
        pytest.param(
            "rtt_ms: 20",
            "rtt: 20",
            "8: links[0].rtt: unknown field 'rtt'; did you mean rtt_ms?",
            id="unknown field",
        ),
        pytest.param(
            "size: 2TB",
            "size: 2 parsecs",
            "29: datasets[0].size: '2 parsecs': 'parsecs' is no unit of size; "
            "allowed: bytes, or text such as 500MB, 1.5TB or 2TiB",
            id="wrong unit",
        ),
        pytest.param(
            'id: "103959"',
            "id: no",
            '26: tenants[1].id: the truth value no; write "no", with quotes, if it is text',
            id="word for a truth value",
        ),
        pytest.param(
            'id: "103959"',
            "id: 103959",
            '26: tenants[1].id: the number 103959; write "103959", with quotes, if it is text',
            id="number for an id",
        ),
        pytest.param(
            'id: "103959"',
            "id: 6214e9",
            '26: tenants[1].id: the number 6214e9; write "6214e9", with quotes, if it is text',
            id="number with an exponent for an id",
        ),
        pytest.param(
            'id: "103959"',
            "id: lab a",
            "26: tenants[1].id: 'lab a'; allowed: an id: letters, digits, `.`, `_` and `-`, "
            "at most 64, the first a letter or digit",
            id="form of an id",
        ),
        pytest.param(
            "    region: west\n",
            "",
            "16: sites[1].region: missing; needed: id of the region it stands in",
            id="missing field",
        ),
        pytest.param(
            "kind: slurm",
            "kind: slrum",
            "12: sites[0].engine.kind: unknown engine 'slrum'; did you mean slurm?",
            id="engine",
        ),
        pytest.param(
            "retries: 3",
            "retries: [3]",
            "12: sites[0].engine.retries: a list; allowed: text, a number, true or false",
            id="option of an engine",
        ),
        pytest.param(
            "rates: {training: 0.1}",
            "rates: {trainig: 0.1}",
            "3: accelerators[0].rates.trainig: unknown workload class 'trainig'; "
            "did you mean training?",
            id="workload class",
        ),
        pytest.param(
            "pue: 1.25",
            "pue: 0.5",
            "5: regions[0].pue: 0.5; allowed: a number from 1 to 5",
            id="limit",
        ),
        pytest.param(
            "stacks: [cuda, triton]",
            "stacks: cuda",
            "15: sites[0].pools[1].stacks: 'cuda'; allowed: a list of ids",
            id="text for a list",
        ),
        pytest.param(
            "trust: [open, sensitive]",
            "trust: [open, sensitive, open]",
            "23: sites[1].pools[0].trust: 'open' given twice; allowed: once",
            id="list with a double",
        ),
        pytest.param(
            "  - {id: lab, share: 2",
            "  - lab\n  - {id: lab, share: 2",
            "25: tenants[0]: 'lab'; allowed: fields, such as `name: value`",
            id="text for fields",
        ),
    ],
)
def test_mistake(old: str, new: str, expected: str) -> None:
    """A mistake gives one line: where it is, what was found, what is allowed, how to mend it."""
    assert TEXT.count(old) == 1
    assert mistakes(TEXT.replace(old, new)) == [expected]


def test_all_mistakes_in_order_of_lines() -> None:
    """All mistakes are reported, whatever their kind, in order of lines, after their number."""
    text = TEXT.replace("id: west}", "id: no}").replace("home: east-1", "home: x")
    text = text.replace("    engine:", "    region: east\n    engine:").replace("2TB", "two")
    with pytest.raises(FileErrors) as raised:
        network_from(parse(text, "net.yaml"), name="net")
    lines = str(raised.value).splitlines()
    assert lines[0] == "net.yaml: 7 mistakes"
    assert [line.split(": ")[0] for line in lines[1:]] == [
        "net.yaml:6",
        "net.yaml:8",
        "net.yaml:12",
        "net.yaml:18",
        "net.yaml:26",
        "net.yaml:30",
        "net.yaml:32",
    ]


def test_search_for_mistakes_ends() -> None:
    """After a hundred mistakes the search ends, so that a wrong file is refused at once."""
    assert len(mistakes(TEXT + "".join(f"  - {{id: x{n}}}\n" for n in range(3000)))) == 100


def test_data_without_lines() -> None:
    """Mistakes in data that never was a file have a field and no line."""
    data = network_to_dict(NETWORK)
    data["tenants"].append({"id": "lab"})
    with pytest.raises(FileErrors) as raised:
        network_from(Document("request", data), name="net")
    assert str(raised.value) == (
        "request: tenants[2].id: second tenant id 'lab', first on tenants[0].id; allowed: once"
    )


def test_thousands_of_sites() -> None:
    """A network of 5,000 sites with 10,000 pools is read."""
    sites = "".join(
        f"  - id: site-{n}\n    region: east\n    pools:\n"
        f"      - {{accelerator: nvidia-h20-96, nodes: {n % 9 + 1}, accelerators_per_node: 8}}\n"
        f"      - {{accelerator: huawei-910b2, nodes: {n % 7 + 1}, accelerators_per_node: 8}}\n"
        for n in range(5000)
    )
    network = network_from(parse(f"regions:\n  - id: east\nsites:\n{sites}", "big"), name="big")
    assert (len(network.sites), len(network.pools)) == (5000, 10_000)
    assert network.sites[4999].pools[1].nodes == 4999 % 7 + 1

"""Pools that a site says it has, as they are printed for a network file."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tieline.cli.main import cli
from tieline.cli.site_pools import block
from tieline.files.network import network_from
from tieline.files.syntax import parse
from tieline.model.errors import InputError

SITE = """
name: joined
regions: [{id: east}]
sites:
  - id: alpha
    region: east
    engine: {kind: slurm, directory: /shared}
"""


def pool(partition: str, gres: str, *accelerators: str, **fields: object) -> dict[str, Any]:
    """Give a pool as a site tells it."""
    known = {"partition": partition, "default": partition == "batch", "gres": gres}
    return known | {"nodes": 4, "accelerators_per_node": 8, "accelerators": accelerators} | fields


def test_the_block_fits_into_the_network() -> None:
    """What is printed makes a network of the entry it is put under."""
    found = [
        pool("high", "gpu:h20", "nvidia-h20-96"),
        pool("batch", "gpu:h20", "nvidia-h20-96", "nvidia-h20-141"),
        pool("batch", "gpu:ascend910b", "huawei-910b2", nodes=2),
    ]
    printed = block(found, None)
    assert "accelerator: nvidia-h20-96  # or nvidia-h20-141" in printed
    assert printed.endswith("# the same nodes are in other partitions too: high")
    network = network_from(parse(f"{SITE}{printed}\n", "network.yaml"), name="network")
    assert [(one.id, one.partition, one.gres, one.capacity) for one in network.pools] == [
        ("alpha/nvidia-h20-96", "batch", "gpu:h20", 32),
        ("alpha/huawei-910b2", "batch", "gpu:ascend910b", 16),
    ]


def test_equal_accelerators_get_names() -> None:
    """Nodes of several sizes with one accelerator become pools of different names."""
    found = [
        pool("batch", "gpu:a100", "nvidia-a100-80"),
        pool("batch", "gpu:a100", "nvidia-a100-80", accelerators_per_node=4),
        pool("large", "gpu:big", "nvidia-a100-80"),
    ]
    network = network_from(parse(f"{SITE}{block(found, None)}\n", "n.yaml"), name="network")
    assert len({one.id for one in network.pools}) == 3


def test_a_partition_can_be_chosen() -> None:
    """With `--partition` only its pools are printed; one without accelerators is told."""
    found = [pool("batch", "gpu:h20", "nvidia-h20-96"), pool("low", "gpu:h20", "nvidia-h20-96")]
    assert "partition: low" in block(found, "low")
    assert "partition: batch" not in block(found, "low")
    with pytest.raises(InputError, match="--partition x: it has no accelerators; those that"):
        block(found, "x")
    with pytest.raises(InputError, match="none of its nodes has accelerators"):
        block([], None)


def test_what_nobody_guessed_is_left_to_the_user() -> None:
    """A name that may mean anything is written so that `tieline check` asks for it."""
    assert "accelerator: UNKNOWN  # which is gpu:x?" in block([pool("batch", "gpu:x")], None)


@pytest.mark.parametrize(
    ("site", "words"),
    [("beta", "there is no site 'beta'; there are alpha, here"), ("here", "knows no pools but")],
)
def test_only_slurm_sites_tell(tmp_path: Path, site: str, words: str) -> None:
    """A site that is not in the file, or of an engine that knows no pools, is told."""
    file = tmp_path / "network.yaml"
    local = "pools: [{accelerator: nvidia-h20-96, nodes: 1, accelerators_per_node: 1}]"
    file.write_text(f"{SITE}    {local}\n  - id: here\n    region: east\n    {local}\n")
    result = CliRunner().invoke(cli, ["site", "discover", str(file), site])
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)

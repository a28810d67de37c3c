"""No sysfs and no mount table is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tree import ONE_NODE, TWO_NODES, HostTree
from numa_trio.locality.listing import list_machine
from numa_trio.locality.result import Outcome

names = st.sampled_from(["sda", "dm-0", "md0", "nvme0n1", "nvme0c0n1", "loop0", "eth0", "br0"])
folders = st.sampled_from(
    [
        *("class/block", "class/net", "class/infiniband", "dev/block", "bus/pci/devices"),
        *("devices/pci0000:00/0000:00:01.0", "devices/virtual/block", "fs/btrfs/u/devices"),
    ]
)
members = st.sampled_from(
    [
        *("", "slaves", "slaves/sda", "partition", "loop", "loop/backing_file", "numa_node"),
        *("dm", "dm/name", "multipath/nvme0c0n1", "transport", "address", "brif/eth0", "device"),
        *("lower_eth0", "bonding/slaves", "parent", "physfn", "hidden", "size", "driver"),
    ]
)
contents = st.sampled_from(
    ["", "0", "1", "-1", "7", "x", "tcp", "eth0 br0", "/data/img", "host_iface=eth0", "\0"]
)
links = st.builds("{}/{}".format, folders, names).map(lambda path: ("->", path))
entries = st.tuples(folders, names, members, st.one_of(contents, links))


@given(st.lists(entries, max_size=12))
def test_no_tree_is_an_error(
    tmp_path_factory: pytest.TempPathFactory,
    odd: list[tuple[str, str, str, str | tuple[str, str]]],
) -> None:
    """Whatever stands where, each target gets a resolution, and the listing comes."""
    tree = HostTree(tmp_path_factory.mktemp("odd"))
    tree.mounts("8:0 / /data ext4 /dev/sda rw", "0:40 / /b btrfs /dev/sda rw")
    for folder, name, member, content in odd:
        path = f"{folder}/{name}/{member}".rstrip("/")
        try:
            if isinstance(content, str):
                tree.write(path, content)
            else:
                tree.link(path, content[1])
        except OSError:
            continue  # something else stands in the way
    for target in ("sda", "disk:*", "net:*", "ib:*", "pci:*", "/data", "/b", "mount:/*", "loop0"):
        for machine in (TWO_NODES, ONE_NODE):
            for place in tree.places(target, machine):
                resolution = place.resolution
                assert (resolution.outcome is Outcome.NEAR) == bool(resolution.nodes)
                assert (resolution.reason is None) == bool(resolution.nodes)
                assert set(resolution.nodes) <= {0, 1}
    list_machine(tree.survey())

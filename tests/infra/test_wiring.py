"""Devices are plugged in where the tests say that they are, with the drivers that they need."""

from pathlib import Path

import pytest

from infra.modules import parse_depends, with_dependencies
from infra.wiring import Port, bridge_options, device_option, storage_options


def test_a_bridge_has_its_node_and_its_ports() -> None:
    """The firmware counts the buses of the ports from that of the bridge."""
    assert bridge_options(1, ports=2) == [
        ("device", "pxb-pcie,id=bridge1,bus_nr=128,numa_node=1,bus=pcie.0"),
        ("device", "pcie-root-port,id=port11,bus=bridge1,chassis=129"),
        ("device", "pcie-root-port,id=port12,bus=bridge1,chassis=130"),
    ]
    assert Port(1, 2).id == "port12"
    assert Port(1, 2).address == "0000:82:00.0"


def test_a_fourth_bridge_is_refused() -> None:
    """Its buses would be beyond the last."""
    with pytest.raises(ValueError, match="at most 3"):
        bridge_options(3, ports=1)


def test_a_disk_is_empty_at_first(tmp_path: Path) -> None:
    """What an earlier run wrote is gone, and the size is given in MiB."""
    file = tmp_path / "a.raw"
    file.write_text("old")
    assert storage_options("a", file, mib=1) == [
        ("blockdev", f"driver=raw,node-name=a,file.driver=file,file.filename={file}")
    ]
    assert file.read_bytes() == bytes(1 << 20)


def test_a_device_has_its_bus_and_properties() -> None:
    """The bus goes first, for people who read the command line."""
    option = device_option("nvme", "port01", drive="a", serial="s")
    assert option == ("device", "nvme,bus=port01,drive=a,serial=s")


DEPENDS = """\
kernel/md/md-mod.ko:
kernel/md/dm_log.ko.xz: kernel/md/dm-mod.ko.xz
kernel/md/dm-mod.ko.xz:
kernel/md/raid1.ko: kernel/md/md-mod.ko
"""


def test_a_module_comes_with_what_it_needs() -> None:
    """Hyphens and underscores are the same in a module's name, and files may be compressed."""
    depends = parse_depends(DEPENDS)
    assert with_dependencies(depends, ["raid1"]) == ["kernel/md/md-mod.ko", "kernel/md/raid1.ko"]
    assert with_dependencies(depends, ["dm-log"]) == [
        "kernel/md/dm-mod.ko.xz",
        "kernel/md/dm_log.ko.xz",
    ]


def test_a_module_that_the_kernel_lacks_is_named() -> None:
    """Its name is in the error."""
    with pytest.raises(KeyError, match="raid9"):
        with_dependencies(parse_depends(DEPENDS), ["raid9"])

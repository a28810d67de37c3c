"""The settings: defaults, what is allowed, and errors that tell what to change."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numa_trio.kubelet.api import v1beta1
from numa_trio.plugin.advertising import CpulessNodes
from numa_trio.plugin.counted import Counted
from numa_trio.setting_values import MAX_CAPACITY, HttpAddress, LogFormat, LogLevel
from numa_trio.settings import (
    BadConfiguration,
    check_socket_paths,
    known_variables,
    load_settings,
    unknown_variables,
)

KUBELET_MESSAGE_LIMIT = 4 * 1024 * 1024


def test_defaults_are_those_of_the_contract() -> None:
    """Nothing set: 100 slots, a detected directory, the domain numa-align, HTTP on 9410."""
    settings = load_settings({})
    assert settings.capacity == 100
    assert settings.socket_dir is None
    assert settings.sysfs_root == Path("/sys")
    assert settings.resource_domain == "numa-align"
    assert settings.cpuless_nodes is CpulessNodes.SKIP
    assert settings.instance == ""
    assert settings.http_addr == HttpAddress("", 9410)
    assert settings.topology_interval == 30.0
    assert settings.counted == ()
    assert settings.memory_unit == 2**30
    assert settings.pod_resources_socket is None
    assert settings.pod_resources_interval == 10.0
    assert settings.log_format is LogFormat.AUTO
    assert settings.log_level is LogLevel.INFO


def test_every_setting_can_be_set() -> None:
    """Each variable reaches its attribute."""
    settings = load_settings(
        {
            "NUMA_CAPACITY": " 8 ",
            "NUMA_SOCKET_DIR": "/run/plugins",
            "NUMA_SYSFS_ROOT": "/host/sys",
            "NUMA_RESOURCE_DOMAIN": "numa.example.com",
            "NUMA_CPULESS_NODES": "Advertise",
            "NUMA_INSTANCE": "0f1e-2d",
            "NUMA_HTTP_ADDR": "[::1]:80",
            "NUMA_TOPOLOGY_INTERVAL": "2.5",
            "NUMA_COUNTED": "Memory, cpu",
            "NUMA_MEMORY_UNIT": "512Mi",
            "NUMA_POD_RESOURCES_SOCKET": "/run/pod-resources/kubelet.sock",
            "NUMA_POD_RESOURCES_INTERVAL": "1.5",
            "NUMA_LOG_FORMAT": "text",
            "NUMA_LOG_LEVEL": "DEBUG",
        }
    )
    assert settings.capacity == 8
    assert settings.socket_dir == Path("/run/plugins")
    assert settings.sysfs_root == Path("/host/sys")
    assert settings.resource_domain == "numa.example.com"
    assert settings.cpuless_nodes is CpulessNodes.ADVERTISE
    assert settings.instance == "0f1e-2d"
    assert settings.http_addr == HttpAddress("::1", 80)
    assert settings.topology_interval == 2.5
    assert settings.counted == (Counted.CPU, Counted.MEMORY)
    assert settings.memory_unit == 512 * 2**20
    assert settings.pod_resources_socket == Path("/run/pod-resources/kubelet.sock")
    assert settings.pod_resources_interval == 1.5
    assert settings.log_format is LogFormat.TEXT
    assert settings.log_level is LogLevel.DEBUG


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("NUMA_CAPACITY", "0", f"1 to {MAX_CAPACITY}"),
        ("NUMA_CAPACITY", "-3", f"1 to {MAX_CAPACITY}"),
        ("NUMA_CAPACITY", str(MAX_CAPACITY + 1), f"1 to {MAX_CAPACITY}"),
        ("NUMA_CAPACITY", "1e2", "whole number"),
        ("NUMA_CAPACITY", "", "whole number"),
        ("NUMA_CAPACITY", "٣", "whole number"),
        ("NUMA_SOCKET_DIR", "var/lib/kubelet", "absolute path"),
        ("NUMA_SYSFS_ROOT", "sys", "absolute path"),
        ("NUMA_SYSFS_ROOT", "", "absolute path"),
        ("NUMA_RESOURCE_DOMAIN", "numa_align", "DNS subdomain"),
        ("NUMA_RESOURCE_DOMAIN", "numa-align/", "DNS subdomain"),
        ("NUMA_RESOURCE_DOMAIN", "a" * 245, "244 characters"),
        ("NUMA_RESOURCE_DOMAIN", "kubernetes.io", "reserved"),
        ("NUMA_RESOURCE_DOMAIN", "numa.kubernetes.io", "reserved"),
        ("NUMA_RESOURCE_DOMAIN", "requests.numa", "reserved"),
        ("NUMA_CPULESS_NODES", "maybe", "skip, advertise"),
        ("NUMA_INSTANCE", "a/b", "letters"),
        ("NUMA_INSTANCE", "-a", "letters"),
        ("NUMA_INSTANCE", "a" * 64, "at most 63"),
        ("NUMA_HTTP_ADDR", "9410", "host:port"),
        ("NUMA_HTTP_ADDR", ":65536", "0 to 65535"),
        ("NUMA_HTTP_ADDR", "::1:9410", "brackets"),
        ("NUMA_HTTP_ADDR", "localhost:http", "host:port"),
        ("NUMA_HTTP_ADDR", "local host:1", "host:port"),
        ("NUMA_HTTP_ADDR", "local\nhost:1", "host:port"),
        ("NUMA_HTTP_ADDR", "/run/http:1", "host:port"),
        ("NUMA_HTTP_ADDR", "256.0.0.1:1", "host:port"),
        ("NUMA_HTTP_ADDR", "[127.0.0.1]:1", "host:port"),
        ("NUMA_HTTP_ADDR", "[]:1", "host:port"),
        ("NUMA_HTTP_ADDR", ":٣", "host:port"),
        ("NUMA_HTTP_ADDR", f"{'h' * 254}:1", "host:port"),
        ("NUMA_COUNTED", "memory", "cpu, or cpu,memory"),
        ("NUMA_COUNTED", "cpu,gpu", "cpu, or cpu,memory"),
        ("NUMA_COUNTED", "cpu,", "cpu, or cpu,memory"),
        ("NUMA_COUNTED", ",", "cpu, or cpu,memory"),
        ("NUMA_MEMORY_UNIT", "", "1Mi or more"),
        ("NUMA_MEMORY_UNIT", "0", "1Mi or more"),
        ("NUMA_MEMORY_UNIT", "-1Gi", "1Mi or more"),
        ("NUMA_MEMORY_UNIT", "1048575", "1Mi or more"),
        ("NUMA_MEMORY_UNIT", "2000000.5", "whole bytes"),
        ("NUMA_MEMORY_UNIT", "1GiB", "1Gi"),
        ("NUMA_MEMORY_UNIT", "\u0661Gi", "1Gi"),
        ("NUMA_POD_RESOURCES_SOCKET", "kubelet.sock", "absolute path"),
        ("NUMA_POD_RESOURCES_INTERVAL", "0.5", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "0", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "nan", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "soon", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "inf", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "٣٠", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "3_0", "1 to 86400"),
        ("NUMA_TOPOLOGY_INTERVAL", "86400.5", "1 to 86400"),
        ("NUMA_CAPACITY", "9" * 80, f"1 to {MAX_CAPACITY}"),
        ("NUMA_SOCKET_DIR", "/run/\0", "absolute path"),
        ("NUMA_CPULESS_NODES", "s\N{KELVIN SIGN}ip", "skip, advertise"),
        ("NUMA_LOG_FORMAT", "xml", "auto, json, text"),
        ("NUMA_LOG_LEVEL", "loud", "debug, info, warning, error"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(variable: str, value: str, allowed: str) -> None:
    """The message has the variable, its value, and what would do."""
    with pytest.raises(BadConfiguration) as raised:
        load_settings({variable: value})
    assert f"{variable}={value!r}" in str(raised.value)
    assert allowed in str(raised.value)


def test_all_problems_come_in_one_message() -> None:
    """Nobody has to fix them one restart at a time."""
    with pytest.raises(BadConfiguration) as raised:
        load_settings({"NUMA_CAPACITY": "x", "NUMA_LOG_LEVEL": "y", "NUMA_SOCKET_DIR": "z"})
    assert len(raised.value.problems) == 3


def test_a_socket_path_that_the_kernel_would_refuse_is_bad_configuration() -> None:
    """Up to 107 bytes with the longest name pass; one more does not."""
    room = 107 - len("/numa-1023.sock")
    assert load_settings({"NUMA_SOCKET_DIR": "/" + "d" * (room - 1)}).socket_dir is not None
    with pytest.raises(BadConfiguration, match="would take 108 bytes"):
        load_settings({"NUMA_SOCKET_DIR": "/" + "d" * room})
    with pytest.raises(BadConfiguration, match="NUMA_INSTANCE"):
        load_settings({"NUMA_SOCKET_DIR": "/" + "d" * (room - 4), "NUMA_INSTANCE": "abcd"})


def test_the_path_of_a_longer_name_may_be_too_long_by_itself() -> None:
    """The message names the resource, so that one knows which name to shorten."""
    directory = Path("/" + "d" * (107 - len("//numa-near-data+new.sock")))
    check_socket_paths(directory, "new")
    check_socket_paths(directory, "new", "near-data")
    with pytest.raises(BadConfiguration) as raised:
        check_socket_paths(directory, "new", "near-data1")
    assert "NUMA_INSTANCE='new': the path of a socket of near-data1, numa-near-data1+new.sock," in (
        str(raised.value)
    )
    assert "would take 108 bytes; at most 107 fit" in str(raised.value)


def test_an_unknown_variable_is_reported_with_the_nearest_known() -> None:
    """A typing error does not pass in silence; other programs' variables do."""
    found = unknown_variables(
        {
            "NUMA_CAPACTIY": "5",
            "NUMA_ZZZZ": "",
            "NUMA_CAPACITY": "5",
            "NUMAFOO": "",
            "NUMA_TRIO_SERVICE_HOST": "10.0.0.1",
            "NUMA_TRIO_PORT": "tcp://10.0.0.1:9410",
            "NUMA_TRIO_PORT_9410_TCP_ADDR": "10.0.0.1",
        }
    )
    assert found == [("NUMA_CAPACTIY", "NUMA_CAPACITY"), ("NUMA_ZZZZ", None)]


def test_every_variable_is_described() -> None:
    """`numa-trio run --help` lists them with their meaning."""
    assert all(known_variables().values())


def list_of(capacity: int) -> int:
    """Bytes of a list of so many unhealthy slots of the node with the longest number."""
    topology = v1beta1.TopologyInfo(nodes=[v1beta1.NumaNode(id=1023)])
    sizes: dict[int, int] = {}
    total = 0
    for number in range(capacity):
        device_id = f"numa-1023-{number}"
        if len(device_id) not in sizes:
            device = v1beta1.Device(id=device_id, health="Unhealthy", topology=topology)
            sizes[len(device_id)] = len(bytes(v1beta1.ListAndWatchResponse(devices=[device])))
        total += sizes[len(device_id)]
    return total


def test_the_largest_capacity_is_what_fits_one_message_of_kubelet() -> None:
    """The longest list of the largest capacity fits 4 MiB, and one slot more would not."""
    assert list_of(MAX_CAPACITY) <= KUBELET_MESSAGE_LIMIT < list_of(MAX_CAPACITY + 1)


# Also what no environment can hold: surrogates beyond those of undecodable bytes, and NULs.
any_text = st.text(st.characters(exclude_categories=())) | st.text(
    "[]:%.0123456789abcdef/-_ \n\x1b"
)


@given(st.sampled_from(sorted(known_variables())), any_text)
@example("NUMA_SOCKET_DIR", "/\0")
@example("NUMA_SYSFS_ROOT", "/\ud800")
@example("NUMA_HTTP_ADDR", "[]:1")
@example("NUMA_HTTP_ADDR", "[\0]:1")
@example("NUMA_HTTP_ADDR", "[::1%\x1b]:1")
def test_any_text_is_either_accepted_or_bad_configuration(variable: str, value: str) -> None:
    """No value ends in another error; the error is one line that can be printed."""
    try:
        load_settings({variable: value})
    except BadConfiguration as problem:
        (message,) = problem.problems
        assert message.startswith(f"{variable}=")
        assert message.isprintable()
        assert "expected" in message or "would take" in message


@pytest.mark.parametrize("variable", sorted(known_variables().keys() - {"NUMA_NEAR"}))
def test_a_long_value_is_not_shown_whole(variable: str) -> None:
    """The error has its beginning and its length."""
    value = "x" * 100_000
    with pytest.raises(BadConfiguration) as raised:
        load_settings({variable: value})
    assert len(str(raised.value)) < 1000
    assert f"{'x' * 80}" in str(raised.value)
    assert "(100000 characters)" in str(raised.value)


@pytest.mark.parametrize("white", ["\u00a0", "\u2003", "\x1c", "\v"])
def test_white_space_that_nobody_sees_is_an_error_that_shows_it(white: str) -> None:
    """A no-break space comes from a copied document; its escape tells where to look."""
    with pytest.raises(BadConfiguration) as raised:
        load_settings({"NUMA_CAPACITY": f"5{white}"})
    assert repr(white)[1:-1] in str(raised.value)


@given(host=st.ip_addresses(v=4) | st.ip_addresses(v=6), port=st.integers(0, 65535))
def test_every_address_is_accepted(host: IPv4Address | IPv6Address, port: int) -> None:
    """IPv6 in brackets, as in a URL, also with the zone of a link-local address."""
    if isinstance(host, IPv4Address):
        assert load_settings({"NUMA_HTTP_ADDR": f"{host}:{port}"}).http_addr == HttpAddress(
            str(host), port
        )
        return
    for address in (f"{host}", f"{host}%eth0"):
        assert load_settings({"NUMA_HTTP_ADDR": f"[{address}]:{port}"}).http_addr == HttpAddress(
            address, port
        )

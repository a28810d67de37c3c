"""The agent as a service of the host: its units, its settings, and the nodes left to it."""

import shlex
from pathlib import Path

import pytest

from deploy.contract import assert_contract
from deploy.manifests import OVERLAYS, REPOSITORY, namespace_of
from deploy.schemas import NEWEST, OLDEST
from deploy.test_kustomize import assert_sound, one, render_with
from deploy.test_systemd import UNITS, read
from e2e.objects import HOST_SERVICE
from e2e.pods import KUBELET_SERVICES
from numa_trio.kubelet.directory import STANDARD_DIRECTORY
from numa_trio.settings import load_settings, unknown_variables

UNIT = read((UNITS / "numa-trio.service").read_text())
HANDOVER = read((UNITS / "numa-trio-handover.service").read_text())

# What the handover's unit may have of its own; all else is as in the unit that it stands in for.
ITS_OWN = {
    *("ExecStart", "ExecStartPre", "Environment", "Restart", "RestartSec"),
    *("RestartPreventExitStatus", "RuntimeMaxSec", "WatchdogSec", "WatchdogSignal"),
    *("RestrictAddressFamilies", "SocketBindAllow"),
}


def env_file() -> dict[str, str]:
    """The settings that are set in the file that is shipped, read as systemd reads it."""
    lines = (UNITS / "numa-trio.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit_settings() -> dict[str, str]:
    """Those that hold where the file does not say otherwise."""
    return dict(line.split("=", 1) for line in UNIT["Service"]["Environment"].split())


def commented_settings() -> dict[str, str]:
    """Those that it only mentions."""
    lines = (UNITS / "numa-trio.env").read_text().splitlines()
    return dict(line[1:].split("=", 1) for line in lines if line.startswith("#NUMA_"))


def test_it_is_up_before_each_kubelet_there_is() -> None:
    """Those that the end-to-end test knows to restart."""
    before = UNIT["Unit"]["Before"].split()
    assert sorted(before) == sorted(f"{service}.service" for service in KUBELET_SERVICES)


def test_it_comes_back_whatever_happens() -> None:
    """However often, and but for settings that cannot be used, at once."""
    service = UNIT["Service"]
    assert (service["Restart"], service["RestartSec"]) == ("always", "100ms")
    assert service["RestartPreventExitStatus"] == "2"
    assert UNIT["Unit"]["StartLimitIntervalSec"] == "0"


def test_only_the_directory_of_kubelets_plugins_can_be_written() -> None:
    """Where it is missing it is made first, before the first kubelet: hence the minus sign.

    Without it the command that makes the directory would already fail.
    """
    service = UNIT["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == f"-{STANDARD_DIRECTORY}"
    assert service["TemporaryFileSystem"] == "/run:ro"
    assert service["ExecStartPre"] == (
        # Both are named, for the mode is only that of what is named.
        f"+/bin/mkdir -p -m 0750 {STANDARD_DIRECTORY.parent} {STANDARD_DIRECTORY}"
    )


def test_its_settings_can_be_used() -> None:
    """As shipped, with what the file only mentions, and in the unit; other hosts see no HTTP."""
    shipped = unit_settings() | env_file()
    assert unknown_variables(shipped | commented_settings()) == []
    load_settings(shipped | commented_settings())
    settings = load_settings(shipped)
    assert settings.instance == "host"
    assert settings.http_addr is not None
    assert settings.http_addr.host == "127.0.0.1"
    assert UNIT["Service"]["SocketBindAllow"] == f"tcp:{settings.http_addr.port}"
    mentioned = load_settings(commented_settings() | {"NUMA_NEAR": ""})
    assert mentioned == load_settings({}), "what is commented out is not the default"


def test_without_its_file_http_is_not_open_to_the_network() -> None:
    """systemd passes over a file that is missing or not UTF-8; the default is for pods."""
    settings = load_settings(unit_settings())
    assert settings.http_addr == load_settings(env_file()).http_addr


def test_the_runtime_is_hidden_where_it_does_not_listen_in_run() -> None:
    """Whoever is root and connects to it is root on the host, without any capability."""
    assert UNIT["Service"]["InaccessiblePaths"] == "-/var/snap/microk8s/common/run"


def test_the_handover_may_do_what_the_service_may() -> None:
    """But for HTTP; its sockets are its own, and it ends by itself if nobody ends it."""
    service, handover = UNIT["Service"], HANDOVER["Service"]
    same = {key for key in service if key not in ITS_OWN}
    assert {key: handover[key] for key in same} == {key: service[key] for key in same}
    assert set(handover) - same <= ITS_OWN
    env, *words = shlex.split(handover["ExecStart"])
    assert env == "/usr/bin/env"
    variables = dict(word.split("=", 1) for word in words if "=" in word)
    settings = load_settings(env_file() | variables)
    assert (settings.instance, settings.http_addr) == ("handover", None)
    assert words[len(variables) :] == shlex.split(service["ExecStart"])
    assert "Install" not in HANDOVER


@pytest.mark.kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_labelled_nodes_are_left_out(overlay: str, tmp_path: Path) -> None:
    """All others have their pod as ever: nothing else changes."""
    plain = one(render_with(tmp_path, overlay, []), "DaemonSet")
    manifests = render_with(tmp_path, overlay, ["host-service"])
    assert_sound(manifests, OLDEST, NEWEST)
    daemonset = one(manifests, "DaemonSet")
    assert_contract(daemonset, namespace_of(overlay))
    affinity = daemonset["spec"]["template"]["spec"].pop("affinity")
    assert daemonset == plain
    node_affinity = affinity.pop("nodeAffinity")
    assert affinity == {}
    (term,) = node_affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {
        "matchExpressions": [{"key": HOST_SERVICE, "operator": "NotIn", "values": ["true"]}]
    }


def test_pages_name_the_label() -> None:
    """The one that the component looks at."""
    for page in ("docs/reboot.md", "deploy/kustomize/README.md"):
        assert f"{HOST_SERVICE}=true" in (REPOSITORY / page).read_text()

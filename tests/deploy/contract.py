"""What the DaemonSet promises to those who install it, asserted on any form of it."""

from typing import Any

from numa_trio.settings import known_variables

Object = dict[str, Any]

DEVICE_PLUGINS = "/var/lib/kubelet/device-plugins"


def the_container(daemonset: Object) -> Object:
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    return container


def assert_contract(daemonset: Object, namespace: str = "kube-system") -> None:
    """Names, mounts, security context, resources and roll-out of the DaemonSet."""
    assert_identity(daemonset, namespace)
    assert_mounts(daemonset)
    assert_least_privilege(daemonset)
    assert_cheap(daemonset)
    assert_probes(daemonset)
    assert_roll_out(daemonset)


def assert_identity(daemonset: Object, namespace: str) -> None:
    template = daemonset["spec"]["template"]
    assert daemonset["metadata"]["namespace"] == namespace
    assert daemonset["spec"]["selector"] == {"matchLabels": {"app": "numa-resource-plugin"}}
    assert template["metadata"]["labels"]["app"] == "numa-resource-plugin"
    assert template["spec"]["priorityClassName"] == "system-node-critical"
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert template["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def assert_mounts(daemonset: Object) -> None:
    """The device-plugin directory and nothing else; above all not the host's /sys."""
    paths = {
        volume["name"]: volume["hostPath"]
        for volume in daemonset["spec"]["template"]["spec"]["volumes"]
    }
    mounts = {
        mount["mountPath"]: (paths[mount["name"]], mount.get("readOnly", False))
        for mount in the_container(daemonset)["volumeMounts"]
    }
    assert mounts == {DEVICE_PLUGINS: ({"path": DEVICE_PLUGINS, "type": "Directory"}, False)}
    assert len(paths) == len(mounts)


def assert_least_privilege(daemonset: Object) -> None:
    pod = daemonset["spec"]["template"]["spec"]
    security = dict(the_container(daemonset)["securityContext"])
    security.pop("seLinuxOptions", None)
    assert security == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all("hostPort" not in port for port in the_container(daemonset)["ports"])


def assert_cheap(daemonset: Object) -> None:
    resources = the_container(daemonset)["resources"]
    assert resources["requests"] == {"cpu": "10m", "memory": "32Mi"}
    assert resources["limits"] == {"memory": "64Mi"}


def assert_probes(daemonset: Object) -> None:
    """Over HTTP on the named port: no probe starts a process."""
    container = the_container(daemonset)
    assert container["ports"] == [{"name": "http", "containerPort": 9410}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert "startupProbe" not in container


def assert_roll_out(daemonset: Object) -> None:
    """The new agent serves under names of its own before the old one goes."""
    assert daemonset["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    instance = {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert {"name": "NUMA_INSTANCE", "valueFrom": instance} in the_container(daemonset)["env"]
    server = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert {"name": "NUMA_HOST_NAME", "valueFrom": server} in the_container(daemonset)["env"]
    # A Service of the namespace must not add variables that look like ours.
    assert daemonset["spec"]["template"]["spec"]["enableServiceLinks"] is False


def assert_settings_exist(names: set[str]) -> None:
    """Every variable that a manifest sets is one that the agent reads."""
    assert names <= known_variables().keys()

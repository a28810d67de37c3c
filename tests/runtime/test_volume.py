"""Which mount a pod means, by path or by name, and what it is told if nobody can tell."""

import pytest

from numa_trio.runtime.messages import Mount
from numa_trio.runtime.volume import NoSuchVolume, chosen_mount, is_mount_point

NEAR = "numa-align/near"
POD = "/var/lib/kubelet/pods/7f3e"
VOLUMES = f"{POD}/volumes/kubernetes.io~"

# What runtime and kubelet mount in every container.
OWN = (
    Mount("/proc", "proc", "proc"),
    Mount("/dev", "tmpfs", "tmpfs"),
    Mount("/dev/shm", "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/s/shm", "bind"),
    Mount("/etc/hosts", f"{POD}/etc-hosts", "bind"),
    Mount("/etc/hostname", "/var/lib/containerd/sandboxes/s/hostname", "bind"),
    Mount("/etc/resolv.conf", "/var/lib/containerd/sandboxes/s/resolv.conf", "bind"),
    Mount("/dev/termination-log", f"{POD}/containers/app/1a2b", "bind"),
    Mount("/var/run/secrets/kubernetes.io/serviceaccount", f"{VOLUMES}projected/kube-api", "bind"),
    Mount("/run/.containerenv", "/run/containers/storage/overlay-containers/s/userdata/e", "bind"),
    Mount("/run/secrets", "/run/containers/storage/overlay-containers/c/userdata/run", "bind"),
    Mount("/conf", f"{VOLUMES}configmap/conf", "bind"),
    Mount("/keys", f"{VOLUMES}secret/keys", "bind"),
    Mount("/podinfo", f"{VOLUMES}downward-api/podinfo", "bind"),
)
LOCAL = Mount("/data", f"{VOLUMES}local-volume/local-pv-3f", "bind")
CSI = Mount("/log", f"{VOLUMES}csi/pvc-77/mount", "bind")
SCRATCH = Mount("/scratch", f"{VOLUMES}empty-dir/scratch", "bind")
HOST = Mount("/srv", "/mnt/nvme1", "bind")
IMAGE = Mount("/cache", "/c/io.containerd.grpc.v1.cri/containers/c1/volumes/3f", "bind")
SLASH = Mount("/slash/", CSI.source, "bind")
PART = Mount("/part", f"{POD}/volume-subpaths/local-pv-3f/app/0", "bind")


def chosen(wanted: str, *mounts: Mount) -> Mount:
    return chosen_mount((*OWN, *mounts), wanted, NEAR)


@pytest.mark.parametrize(
    ("wanted", "mounts", "mount"),
    [
        ("/data", (LOCAL, CSI), LOCAL),
        ("/data/", (LOCAL, CSI), LOCAL),
        ("/data/indices/0", (LOCAL, CSI), LOCAL),
        ("/data/log", (LOCAL, Mount("/data/log", HOST.source, "bind")), None),
        ("/log", (LOCAL, CSI), CSI),
        ("/srv", (LOCAL, HOST), HOST),
        ("/scratch", (LOCAL, SCRATCH), SCRATCH),
        ("/part", (LOCAL, PART), PART),
        ("/cache", (LOCAL, IMAGE), IMAGE),
        ("/slash", (LOCAL, SLASH), SLASH),
        ("/slash/", (LOCAL, SLASH), SLASH),
        ("//slash/a", (LOCAL, SLASH), SLASH),
    ],
)
def test_a_path_means_what_is_mounted_there(
    wanted: str, mounts: tuple[Mount, ...], mount: Mount | None
) -> None:
    """Or what it lies in, the innermost."""
    assert chosen(wanted, *mounts) == (mount or mounts[-1])


@pytest.mark.parametrize(
    ("wanted", "mounts", "mount"),
    [
        ("scratch", (SCRATCH, LOCAL, CSI), SCRATCH),  # kubelet's path has this name
        ("local-pv-3f", (LOCAL, CSI), LOCAL),
        ("data", (LOCAL, SCRATCH), LOCAL),  # only one can be meant
        ("data", (HOST,), HOST),
        ("data", (PART, SCRATCH), PART),
        ("", (LOCAL, SCRATCH), LOCAL),
        ("", (LOCAL, IMAGE), LOCAL),
        ("", (HOST,), HOST),
    ],
)
def test_a_name_means_the_volume_of_that_name_or_the_only_one(
    wanted: str, mounts: tuple[Mount, ...], mount: Mount
) -> None:
    """A persistent volume has a name of its own, which is not that of the pod's volume."""
    assert chosen(wanted, *mounts) == mount


def test_kubelet_mounts_every_volume_but_those_that_the_pod_holds() -> None:
    """And each part of one; a folder of the host is what it is."""
    assert {each: is_mount_point(each) for each in (LOCAL, CSI, PART, SCRATCH, HOST)} == {
        LOCAL: True,
        CSI: True,
        PART: True,
        SCRATCH: False,
        HOST: False,
    }


@pytest.mark.parametrize(
    ("wanted", "mounts", "reason"),
    [
        ("data", (LOCAL, CSI), "numa-align/near is 'data'; expected .*: '/data', '/log'"),
        ("", (LOCAL, CSI), "there is no annotation numa-align/near; expected .*'/data', '/log'"),
        ("/elsewhere", (LOCAL,), "'/elsewhere', where no volume is mounted; .*'/data'"),
        ("/dat", (LOCAL,), "where no volume is mounted"),
        ("/conf", (), "mounts no volume with data"),
        ("", (), "mounts no volume with data"),
        ("data", (SCRATCH,), "'data'; expected .*'/scratch'"),
    ],
)
def test_what_may_mean_several_or_none_is_told(
    wanted: str, mounts: tuple[Mount, ...], reason: str
) -> None:
    """With the paths that there are to choose from."""
    with pytest.raises(NoSuchVolume, match=reason):
        chosen(wanted, *mounts)

"""Runs commands as in the agent's container with the component `near`: what it sees of the host."""

from pathlib import Path

import yaml

# The component's own patch of the DaemonSet.
COMPONENT = Path("/guest/near.yaml")
HOST = Path("/host")  # where it mounts them


def within_pod() -> list[str]:
    """The command that runs what follows it in a network namespace and a /sys of its own.

    The host's parts are mounted where the component mounts them. Its mounts that come and go do so
    here too, so that nothing here keeps them in use; in a container they are not there at all.
    """
    script = ["set -e"]
    for source, target in _mounts():
        script += [f"mount -o bind {source} {target}", f"mount -o remount,bind,ro {target}"]
    script += ["mount -t sysfs -o ro sysfs /sys", 'exec "$@"']
    unshare = ["unshare", "--net", "--mount", "--propagation", "slave"]
    return [*unshare, "sh", "-c", "\n".join(script), "pod"]


def _mounts() -> list[tuple[Path, Path]]:
    """What of the host the component mounts, and where, which exists then."""
    pod = yaml.safe_load(COMPONENT.read_text())["spec"]["template"]["spec"]
    sources = {volume["name"]: Path(volume["hostPath"]["path"]) for volume in pod["volumes"]}
    mounts = []
    for mount in pod["containers"][0]["volumeMounts"]:
        source, target = sources[mount["name"]], Path(mount["mountPath"])
        assert mount["readOnly"], mount
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mounts.append((source, target))
    return mounts

"""What is deployed: an overlay of deploy/kustomize with an image and settings of one's own."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from attrs import frozen

from e2e.kubectl import Json

# kustomize ends the names of generated objects in a hash of their content.
_CONTENT_HASH = re.compile(r"-[0-9a-z]{10}$")


@frozen
class Plugin:
    """The names that a rendered overlay gives the plugin's objects; `image` is without tag."""

    namespace: str
    daemonset: str
    container: str
    image: str
    config_map: str


def read_manifests(text: str) -> Plugin:
    """The one DaemonSet of the rendered manifests, and where its settings come from."""
    objects: list[Json] = [document for document in yaml.safe_load_all(text) if document]
    (daemonset,) = (each for each in objects if each["kind"] == "DaemonSet")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    # Of a setting in several of them, the last counts.
    *_, source = (each["configMapRef"]["name"] for each in container["envFrom"])
    return Plugin(
        namespace=daemonset["metadata"]["namespace"],
        daemonset=daemonset["metadata"]["name"],
        container=container["name"],
        image=split_image(container["image"])[0],
        config_map=_CONTENT_HASH.sub("", source),
    )


def split_image(image: str) -> tuple[str, str]:
    """Name and tag of an image; `latest` where it has none. Digests are not supported."""
    if "@" in image:
        raise ValueError(f"the image {image!r} has a digest; expected NAME:TAG")
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def kustomization(
    plugin: Plugin, overlay: Path, components: Sequence[Path], image: str, settings: Sequence[str]
) -> str:
    """A kustomization on top of `overlay`, as a user would write it; all paths are relative.

    `settings` are `NAME=value`.
    """
    name, tag = split_image(image)
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(overlay)],
        "components": [str(component) for component in components],
        "images": [{"name": plugin.image, "newName": name, "newTag": tag}],
        "configMapGenerator": [
            {
                "name": plugin.config_map,
                "namespace": plugin.namespace,
                "behavior": "merge",
                "literals": list(settings),
            }
        ],
    }
    return json.dumps(document, indent=2)


def distribution(nodes: Sequence[Json]) -> str:
    """The name of the distribution's overlay, from what its nodes say of themselves."""
    for node in nodes:
        information = node["status"]["nodeInfo"]
        version, system = information["kubeletVersion"], information["osImage"]
        for mark in ("rke2", "k3s", "k0s"):
            if f"+{mark}" in version:
                return mark
        if system.startswith("Talos"):
            return "talos"
        labels = node["metadata"].get("labels", {})
        if "microk8s.io/cluster" in labels:
            return "microk8s"
        if "node.openshift.io/os_id" in labels:
            return "openshift"
    return "kubeadm"

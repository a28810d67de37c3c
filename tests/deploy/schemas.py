"""Validation of manifests against the Kubernetes schemas that kubernetes-validate ships."""

from typing import Any

import kubernetes_validate

Object = dict[str, Any]

# The oldest release that README.md promises, and the newest whose schemas are at hand.
OLDEST = "1.28"
NEWEST = kubernetes_validate.latest_version()

# Defined by the Prometheus operator and by OpenShift, not by Kubernetes.
FOREIGN_KINDS = {"PodMonitor", "PrometheusRule", "SecurityContextConstraints"}


def assert_valid(manifest: Object, version: str) -> None:
    """Raise unless the manifest has just the fields and types of its kind in that release."""
    validated_with = kubernetes_validate.validate(manifest, version, strict=True)
    # For a release that it does not know it would take the one before.
    assert version.startswith(validated_with), f"no schemas of Kubernetes {version}"

"""Which names of resources Kubernetes allows, and which of them device plugins may offer.

Source: k8s.io/kubernetes/pkg/apis/core/v1/helper and apis/core/validation.
"""

import re

HUGE_PAGES = "hugepages-"  # and the size of a page

_NATIVE = frozenset({"cpu", "memory", "ephemeral-storage"})
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RESERVED_PREFIX = "requests."  # an extended resource's quota is named requests.<resource>


def is_huge_pages(name: str) -> bool:
    """Whether it names huge pages, as `hugepages-2Mi`."""
    return name.startswith(HUGE_PAGES)


def is_container_resource(name: str) -> bool:
    """Whether a container may ask for it: cpu, memory, …, or `<domain>/<name>`."""
    return name in _NATIVE or is_huge_pages(name) or _is_qualified(name)


def is_extended_resource(name: str) -> bool:
    """Whether a device plugin may register it: `<domain>/<name>`, and not of kubernetes.io."""
    return (
        _is_qualified(_RESERVED_PREFIX + name)
        and "kubernetes.io/" not in name
        and not name.startswith(_RESERVED_PREFIX)
    )


def _is_qualified(name: str) -> bool:
    domain, slash, rest = name.partition("/")
    return bool(
        slash and len(domain) <= 253 and _SUBDOMAIN.fullmatch(domain) and _NAME.fullmatch(rest)
    )

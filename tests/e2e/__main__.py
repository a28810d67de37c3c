"""`python -m e2e`: test the plugin on the cluster of kubectl's current context."""

import argparse
import os
import secrets
import sys
from pathlib import Path

from rich.console import Console

from e2e.cluster import CannotTest, Cluster
from e2e.deployment import distribution
from e2e.journey import Journey
from e2e.kubectl import Kubectl, KubectlFailed
from e2e.plan import NAMES, Plan
from e2e.report import Result, all_well, print_table
from numa_trio import __version__

KUSTOMIZE = Path(__file__).parents[2] / "deploy/kustomize"
OVERLAYS = KUSTOMIZE / "overlays"
COUNTING = KUSTOMIZE / "components/counting"
NEAR = KUSTOMIZE / "components/near"
RUNTIME = KUSTOMIZE / "components/runtime"
HOST_SERVICE = KUSTOMIZE / "components/host-service"


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """What to deploy; by default what `just build` and `just push` made."""
    registry = os.environ.get("REGISTRY", "registry.local:5000")
    image = f"{registry}/numa-trio:{os.environ.get('TAG', __version__)}"
    parser = argparse.ArgumentParser(prog="e2e", description=__doc__)
    parser.add_argument("--image", default=image, help="the plugin's image (default: %(default)s)")
    parser.add_argument(
        "--pod-image", help="an image with sh, cat and grep for the test's pods (default: --image)"
    )
    parser.add_argument(
        "--overlay", type=Path, help=f"what to deploy (default: the cluster's of {OVERLAYS})"
    )
    parser.add_argument(
        "--without-counting",
        action="store_true",
        help=f"leave out the component that counts CPUs ({COUNTING})",
    )
    parser.add_argument(
        "--without-near",
        action="store_true",
        help=f"leave out the component for names of what pods are to be near ({NEAR})",
    )
    parser.add_argument(
        "--with-runtime",
        action="store_true",
        help=f"add the component that pins by the container runtime, which needs NRI ({RUNTIME})",
    )
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds to wait for each thing (default: 300)"
    )
    return parser.parse_args(words)


def components(arguments: argparse.Namespace) -> tuple[Path, ...]:
    """The components that are deployed with the overlay."""
    chosen = {
        COUNTING: not arguments.without_counting,
        NEAR: not arguments.without_near,
        RUNTIME: arguments.with_runtime,
        HOST_SERVICE: True,
    }
    return tuple(component for component, with_it in chosen.items() if with_it)


def main(words: list[str]) -> int:
    """0 if nothing failed, 1 if something did, 2 if it could not be tested."""
    arguments = parse_arguments(words)
    progress, console = Console(stderr=True, highlight=False), Console(highlight=False)
    kubectl = Kubectl()
    results: list[Result] = []
    status = 2
    try:
        context = kubectl("config", "current-context").strip()
        overlay = arguments.overlay or OVERLAYS / distribution(kubectl.get("nodes")["items"])
        plan = Plan(
            overlay=overlay,
            image=arguments.image,
            pod_image=arguments.pod_image or arguments.image,
            namespace=f"numa-trio-e2e-{secrets.token_hex(3)}",
            timeout=arguments.timeout,
            components=components(arguments),
            near={} if arguments.without_near else NAMES,
        )
        cluster = Cluster(plan, kubectl)
        cluster.prepare()
        progress.print(f"{context}: {arguments.image}, {overlay}", markup=False)
        try:
            for result in Journey(cluster).results():
                results.append(result)
                line = f"{result.finding.verdict}: {result.check} ({result.where})"
                progress.print(line, markup=False)
        finally:
            progress.print("cleaning up", markup=False)
            cluster.clean_up()
        status = 0 if all_well(results) else 1
    except (CannotTest, KubectlFailed) as problem:
        progress.print(f"cannot test: {problem}", style="bold red", markup=False)
    if results:
        print_table(results, console)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# `just` lists the recipes; `just NAME` runs one; `just tag=1.2.3 build` sets a variable. What follows a
# recipe that takes options goes to it: `just build` and `just push` are two commands.

set shell := ["bash", "-euo", "pipefail", "-c"]

# The version, from the one place where it is written.
version := `sed -n 's/^__version__ = "\(.*\)"/\1/p' src/numa_trio/__init__.py`

# Where `push` puts the image and `deploy` takes it from. REGISTRY and TAG in the environment, or
# registry=… and tag=… on the command line.
registry := env("REGISTRY", "registry.local:5000")
tag := env("TAG", version)
image := registry / "numa-trio:" + tag

# The image to build on, if not the Containerfile's own default.
base_image := env("BASE_IMAGE", "")

# The overlay of deploy/kustomize/overlays to deploy.
overlay := env("OVERLAY", "kubeadm")

# The Secret with the registry's password, if it asks for one; in the agents' namespace.
pull_secret := env("PULL_SECRET", "")

# What talks to the cluster: `oc` and `microk8s kubectl` will do.
export KUBECTL := env("KUBECTL", "kubectl")

# Where the overlay puts the agents.
namespace := if overlay == "openshift" { "numa-trio" } else { "kube-system" }

# The development environment that `just setup` makes goes before what else is installed.
export PATH := justfile_directory() / ".venv-dev/bin:" + env("PATH")

# List the recipes.
default:
    @just --list --unsorted

# ---- Develop ----

# Make the development environment in .venv-dev: exact, hash-checked versions, and this checkout.
setup python="python3":
    {{ python }} -m venv .venv-dev
    .venv-dev/bin/pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
    .venv-dev/bin/pip install --quiet --no-deps --no-build-isolation --editable .
    .venv-dev/bin/pip check

# Run the agent against a kubelet stand-in on this machine; arguments go to `numa-trio simulate`.
[positional-arguments]
demo *arguments:
    numa-trio simulate "$@"

# Run the fast tests on every core; arguments go to pytest.
[positional-arguments]
test *arguments:
    pytest -n auto "$@"

# Run the fast tests and say which lines and branches they miss.
coverage:
    pytest -n auto --cov --cov-report=term

# Change the core's code in a thousand places and list what no test noticed; a name limits it.
[positional-arguments]
mutants *names:
    scripts/run-mutants "$@"

# A thousand kubelet restarts and a hundred thousand Allocates: nothing is lost, nothing grows.
soak:
    pytest -m soak -s tests/soak

# Everything that a change must pass before review.
check: lint types generated test

# Look for mistakes and style: Ruff, flake8-async, the import rules, ShellCheck.
lint:
    ruff check .
    ruff format --check .
    # Not ASYNC9, which wants a checkpoint in every function, nor ASYNC114, which wants a list of our
    # startable functions, nor ASYNC128, which does not see
    # a task_status that is passed on.
    git ls-files 'src/*.py' ':!src/numa_trio/kubelet/api' | \
        xargs flake8-async --disable ASYNC9,ASYNC114,ASYNC128
    lint-imports --no-cache
    scripts/shell-scripts | xargs shellcheck

# Check the files in .github: workflows, forms for issues; without a network once it is installed.
workflows:
    scripts/check-workflows

# Bring the code into shape, as far as Ruff can.
format:
    ruff check --fix .
    ruff format .

# Check the types.
types:
    mypy

# Generate src/numa_trio/kubelet/api from proto/.
proto:
    python scripts/generate_proto.py

# Write docs/metrics.md from the definitions of the metrics.
metrics-doc:
    python scripts/generate_metrics_doc.py

# Make the pictures in docs/pictures from runs of the commands; names limit it to some of them.
[positional-arguments]
pictures *names:
    scripts/make-pictures "$@"

# Fail if what is generated differs from what it is generated from.
generated:
    python scripts/generate_proto.py --check
    python scripts/generate_metrics_doc.py --check

# Pin every dependency again; `just requirements --upgrade` takes the newest that pyproject.toml allows.
[positional-arguments]
requirements *options:
    scripts/pin-requirements "$@"

# Measure numa-trio against a plain Go plugin; arguments go to `python -m benchmarks`.
[positional-arguments]
bench *arguments:
    python -m benchmarks "$@"

# ---- Build ----

# Build the image with buildah, podman or docker; options go to the tool's `build` command.
[positional-arguments]
build *options:
    BASE_IMAGE={{ quote(base_image) }} scripts/build-image {{ quote(image) }} "$@"

# Push what `build` built; options go to the tool, such as --tls-verify=false.
[positional-arguments]
push *options:
    engine=${ENGINE:-$(scripts/container-engine)} && "$engine" push "$@" {{ quote(image) }}

# Write what `build` built to an archive, to be loaded on the nodes where there is no registry.
save archive="dist/numa-trio.tar":
    scripts/save-image {{ quote(image) }} {{ quote(archive) }}

# Build for several architectures as a manifest list; needs buildah, and binfmt for foreign ones.
[positional-arguments]
build-multiarch platforms="linux/amd64,linux/arm64" *options:
    BASE_IMAGE={{ quote(base_image) }} ENGINE=buildah PLATFORMS="$1" \
        scripts/build-image {{ quote(image) }} "${@:2}"

# Push the manifest list with all its images; options go to buildah.
[positional-arguments]
push-multiarch *options:
    buildah manifest push --all "$@" {{ quote(image) }} {{ quote("docker://" + image) }}

# Write the agent with all that it needs as one file that any CPython 3.11 to 3.13 runs.
zipapp file="dist/numa-trio.pyz":
    scripts/build-zipapp {{ quote(file) }}

# Write the package for Debian and Ubuntu: numa-trio.pyz as a service of the host; needs dpkg-deb.
deb: zipapp
    scripts/build-deb dist/numa-trio.pyz dist

# Write the package for RHEL, Fedora, SLES and their relatives; needs rpmbuild.
rpm: zipapp
    scripts/build-rpm dist/numa-trio.pyz dist

# Write the software bill of materials of the image's Python packages: dist/numa-trio.cdx.json.
sbom:
    scripts/write-sbom dist/numa-trio.cdx.json

# Check the version, write its files to dist/VERSION and tag it; with --push behind it, publish too.
[positional-arguments]
release version *options:
    BASE_IMAGE={{ quote(base_image) }} scripts/release {{ quote(registry / "numa-trio") }} "$@"

# Make a base image from Debian packages, for where no container registry can be reached.
base-image name="localhost/debian-python:bookworm":
    scripts/build-base-image {{ quote(name) }}

# Build the image and run it as a container with all its limits; needs root, buildah, runc, debootstrap.
image-test:
    pytest -m 'slow and not kubectl' tests/image

# Release a copy of this checkout, on this machine only: needs what image-test needs, and kubectl.
release-test:
    pytest -m 'slow and kubectl' tests/image

# Build numa-trio.pyz and the packages, install, upgrade and remove them; needs root, buildah, lintian, rpmlint.
package-test:
    pytest -m slow tests/packages

# Render every overlay and component with kubectl's kustomize and check what comes out; no cluster.
manifest-test:
    pytest -m 'kubectl and not slow'

# Let Prometheus' promtool try the alert rules on the scenarios of tests/agent/monitor; no server.
alert-test:
    pytest -m promtool

# Boot a Debian kernel with several NUMA nodes in QEMU and run the built wheel in it.
vm-test:
    tests/infra/install-prerequisites.sh
    pytest -m slow tests/infra

# Every slow test: image, virtual machines, long fuzzing. Minutes, and root.
slow-test:
    pytest -m slow

# Make a cluster of virtual machines with several NUMA nodes on this host (docs/testing.md); as root.
cluster-up:
    cd tests && python -m infra.cluster up

# Stop those virtual machines and delete what they wrote.
cluster-down:
    cd tests && python -m infra.cluster down

# ---- Run in a cluster: the one of kubectl's current context ----

# Print what `deploy` applies: the overlay, with `registry`, `tag` and `pull_secret`.
render:
    @scripts/render-overlay {{ quote(overlay) }} {{ quote(image) }} {{ quote(pull_secret) }}

# Apply the overlay and wait until every node's agent is ready.
deploy:
    scripts/render-overlay {{ quote(overlay) }} {{ quote(image) }} {{ quote(pull_secret) }} | $KUBECTL apply -f -
    $KUBECTL rollout status --namespace {{ namespace }} daemonset/numa-resource-plugin --timeout=10m

# Remove what `deploy` applied.
undeploy:
    scripts/render-overlay {{ quote(overlay) }} {{ quote(image) }} {{ quote(pull_secret) }} | $KUBECTL delete -f - --ignore-not-found

# Follow the agents' logs.
logs:
    $KUBECTL logs --namespace {{ namespace }} --selector app=numa-resource-plugin --prefix --follow --tail=50 \
        --max-log-requests=1000

# Show the agents and what each node offers.
verify:
    $KUBECTL get pods --namespace {{ namespace }} --selector app=numa-resource-plugin --output wide
    scripts/show-slots

# Test the plugin on the cluster, from deployment to pinned pods; arguments go to `python -m e2e`.
[positional-arguments]
e2e *arguments:
    cd tests && REGISTRY={{ quote(registry) }} TAG={{ quote(tag) }} python -m e2e "$@"

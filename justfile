# `just` lists the recipes; `just NAME` runs one.

# Where `push` puts the image and `deploy` takes it from.
registry := env("REGISTRY", "registry.local:5000")
tag := env("TAG", version)

version := `sed -n 's/^__version__ = "\(.*\)"/\1/p' src/numa_trio/__init__.py`

# List the recipes.
default:
    @just --list --unsorted

# Pin every dependency again, newest versions within pyproject.toml's bounds, with hashes.
requirements:
    scripts/pin-requirements

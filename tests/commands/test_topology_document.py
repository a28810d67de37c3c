"""`numa-trio topology` for programs: what it says of any machine, and that the schema allows it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from drawn_machines import EVERY_MACHINE, seen_of
from numa_trio.commands.topology_document import SCHEMA_VERSION, print_json, print_yaml

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "topology.schema.json").read_text())


def document(machine: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    print_json(seen_of(machine))
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("machine", EVERY_MACHINE)
def test_the_schema_describes_every_machine(
    machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each key is described and each value allowed, and YAML says the same as JSON."""
    found = document(machine, capsys)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(found)] == []
    print_yaml(seen_of(machine))
    assert yaml.safe_load(capsys.readouterr().out) == found


def test_the_schema_is_strict() -> None:
    """It is valid, is of this version, and demands every key; so a key that is lost is noticed."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schemaVersion"]["const"] == SCHEMA_VERSION
    objects = [SCHEMA, *SCHEMA["$defs"].values()]
    for each in (part for part in objects if "properties" in part):
        assert each["required"] == [*each["properties"]]
        assert each["unevaluatedProperties"] is False


def test_the_page_describes_every_key() -> None:
    """docs/topology.md has a row for each key of the document and of a node."""
    page = (DOCS / "topology.md").read_text()
    for keys in (SCHEMA["properties"], SCHEMA["$defs"]["node"]["properties"]):
        assert [key for key in keys if f"`{key}`" not in page] == []


def test_says_what_a_node_is_and_what_its_memory_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Cores with their threads, sockets, the nearest nodes, and what the kernel tells of memory."""
    found = document("odd", capsys)
    assert found["offline_cpus"] == "4-5,11-12"
    first, second, third = found["nodes"]
    assert [node["kind"] for node in found["nodes"]] == [
        "cpus-and-memory",
        "cpus-only",
        "memory-only",
    ]
    assert first["cores"] == ["0-1", "2-3", "6", "7", "8", "9"]
    assert (first["sockets"], first["nearest"], first["resource"]) == (
        [0],
        [2],
        "numa-align/numa-0",
    )
    assert (first["memory_used_bytes"], second["memory_used_bytes"]) == (6 << 30, 0)
    assert third["resource"] is None
    assert {key: value for key, value in third.items() if key.startswith("memory_")} == {
        "memory_bytes": 16 << 30,
        "memory_free_bytes": 16 << 30,
        "memory_used_bytes": 0,
        "memory_kind": "CXL",
        "memory_tier": 22,
        "memory_initiators": [0],
        "memory_read_bandwidth_mb_per_s": 64000,
        "memory_read_latency_ns": 250,
    }


def test_what_is_unknown_is_null_or_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither zero nor missing."""
    found = document("no-numa", capsys)
    (node,) = found["nodes"]
    assert (found["offline_cpus"], node["memory_used_bytes"]) == (None, None)
    assert (node["kind"], node["cores"], node["sockets"], node["nearest"]) == (
        "unknown",
        [],
        [],
        [],
    )

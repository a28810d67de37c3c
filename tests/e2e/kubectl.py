"""kubectl as a function: arguments in, standard output out."""

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import frozen

# What `kubectl -o json` prints: the API's objects, taken apart in `objects`.
Json: TypeAlias = dict[str, Any]

Run: TypeAlias = Callable[[Sequence[str], str | None], str]


class KubectlFailed(Exception):
    """kubectl ended with another status than 0; `said` is its standard error."""

    def __init__(self, arguments: Sequence[str], said: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: {said}")
        self.said = said


def run_kubectl(
    arguments: Sequence[str], stdin: str | None, *, program: str = "kubectl", seconds: float = 900
) -> str:
    """The standard output of the program of that name, or `KubectlFailed`."""
    try:
        done = subprocess.run(
            [program, *arguments],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise KubectlFailed(arguments, f"no program {program!r} in PATH; install it") from None
    except subprocess.TimeoutExpired:
        raise KubectlFailed(arguments, f"no answer within {seconds:.0f} s") from None
    if done.returncode:
        raise KubectlFailed(arguments, done.stderr.strip() or f"status {done.returncode}")
    return done.stdout


@frozen
class Kubectl:
    """kubectl on the current context. Every method raises `KubectlFailed`."""

    run: Run = run_kubectl

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it prints."""
        return self.run(arguments, stdin)

    def get(self, *arguments: str) -> Json:
        """What `get` prints as JSON."""
        answer: Json = json.loads(self.run(["get", *arguments, "-o", "json"], None))
        return answer

    def raw(self, path: str) -> Json:
        """What the API server answers at a path, as JSON."""
        answer: Json = json.loads(self.run(["get", "--raw", path], None))
        return answer

    def create(self, manifest: Json) -> None:
        """Create one object."""
        self.run(["create", "-f", "-"], json.dumps(manifest))

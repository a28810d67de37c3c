"""The files in which kubelet's managers keep their state: JSON with a checksum, replaced at once.

Kubelet's checksum is a hash of Go's own form of the data; here it is a CRC-32 of its JSON.
Source: pkg/kubelet/checkpointmanager of Kubernetes 1.36.
"""

import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from numa_trio.simulator.kubelet_config import KubeletWillNotStart


@frozen
class StateFile:
    """The file of one manager, `CPU` or `memory`, under one policy."""

    path: Path
    manager: str
    policy: str

    def write(self, data: Mapping[str, object]) -> None:
        """Replace the file by these data, the policy's name and a checksum; raises `OSError`."""
        content = {"policyName": self.policy, **data}
        temporary = self.path.with_name(f".{secrets.randbelow(10**10)}")
        text = json.dumps({**content, "checksum": _checksum(content)}, separators=(",", ":"))
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(self.path)

    def read(self) -> str | None:
        """The JSON in the file; None if there is none.

        Raises `KubeletWillNotStart` if it is damaged, or was written under another policy.
        """
        with self.restoring():
            try:
                text = self.path.read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
            content = json.loads(text)
            if content.pop("checksum") != _checksum(content):
                raise ValueError("checksum")
            found = content["policyName"]
        if found != self.policy:
            raise self.will_not_start(
                f'configured policy "{self.policy}" differs from state checkpoint policy "{found}"'
            )
        return text

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Whatever is wrong with the content of the file keeps kubelet from starting."""
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
            raise self.will_not_start("checkpoint is corrupted") from problem

    def will_not_start(self, problem: str) -> KubeletWillNotStart:
        """What kubelet says of a file that it cannot restore its state from."""
        return KubeletWillNotStart(
            f"start {self.manager.lower()} manager error: could not restore state from checkpoint:"
            f" {problem}, please drain this node and delete the {self.manager} manager checkpoint"
            f' file "{self.path}" before restarting Kubelet'
        )


def _checksum(data: object) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())

"""The machine's own controls: QEMU's monitor, at the other end of a virtual serial port."""

import json
from pathlib import Path
from typing import Any


class Monitor:
    """Speaks the QEMU Machine Protocol."""

    def __init__(self) -> None:
        self._port = Path("/dev/virtio-ports/qmp").open("r+b", buffering=0)  # noqa: SIM115
        self._lines = iter(self._port.readline, b"")
        self._deleted: set[str] = set()
        assert "QMP" in self._next()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: str) -> None:
        """Have a command executed. Raises `RuntimeError` with what QEMU says against it."""
        self._port.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "return" not in (answer := self._next()):
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer}")

    def wait_until_deleted(self, *devices: str) -> None:
        """Wait until QEMU has let go of devices that the kernel was told to let go of."""
        while not self._deleted.issuperset(devices):
            self._next()

    def _next(self) -> dict[str, Any]:
        """The next message; notes which devices are gone. Raises `EOFError` if there is none."""
        line = next(self._lines, None)
        if line is None:
            raise EOFError("QEMU's monitor is closed")
        message: dict[str, Any] = json.loads(line)
        if message.get("event") == "DEVICE_DELETED" and "device" in message["data"]:
            self._deleted.add(message["data"]["device"])
        return message

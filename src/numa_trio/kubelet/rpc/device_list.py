"""A resource's list of devices as the bytes that every ListAndWatch stream sends alike."""

import asyncio
from collections.abc import Sequence
from typing import Self

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.rpc.messages import encode_device
from numa_trio.plugin.messages import Device, DevicePlugin

# How many devices are made into messages at once.
_ENCODED_AT_ONCE = 500


class EncodedList(api.ListAndWatchResponse):
    """A list of devices as bytes. Its messages are not kept."""

    _encoded = b""

    @classmethod
    async def of(cls, devices: Sequence[Device]) -> Self:
        """Encode them, a part at a time, so that a long list holds nobody up.

        The encodings of a repeated field's parts, one after the other, are that of the whole. And
        messages take a hundred times the memory of their bytes, so there are never many of them.
        """
        parts = []
        for start in range(0, len(devices), _ENCODED_AT_ONCE):
            part = map(encode_device, devices[start : start + _ENCODED_AT_ONCE])
            parts.append(bytes(api.ListAndWatchResponse(devices=list(part))))
            if start + _ENCODED_AT_ONCE < len(devices):
                await asyncio.sleep(0)
        made = cls()
        made._encoded = b"".join(parts)
        return made

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """The bytes."""
        return self._encoded


class Edition:
    """What a plugin answers from until the next edition supersedes it.

    A list belongs to its edition, so no stream can take an old one for the present one.
    """

    def __init__(self, plugin: DevicePlugin) -> None:
        self.plugin = plugin
        self.superseded = asyncio.Event()
        self._list: EncodedList | None = None
        self._device_count: int | None = None
        self._encoding = asyncio.Lock()

    def reissued(self) -> "Edition":
        """A new edition of the same plugin, with the list if that has been encoded already."""
        again = Edition(self.plugin)
        again._list, again._device_count = self._list, self._device_count
        return again

    @property
    def device_count(self) -> int:
        """How many devices it has."""
        if self._device_count is None:
            self._device_count = len(self.plugin.devices())
        return self._device_count

    async def encoded_list(self) -> EncodedList:
        """The list of its devices, encoded when it is first needed."""
        async with self._encoding:
            if self._list is None:
                self._list = await EncodedList.of(self.plugin.devices())
            return self._list

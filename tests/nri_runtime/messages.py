"""The messages of nri.proto as Google's protobuf has them."""

from pathlib import Path
from typing import Any

from google_messages import message_class, read_protos

PACKAGE = "nri.pkg.api.v1alpha1"
_POOL = read_protos(Path(__file__).parent)


def _class(name: str) -> Any:
    return message_class(_POOL, f"{PACKAGE}.{name}")


Metadata = _class("Metadata")
Request = _class("Request")
Response = _class("Response")

RegisterPluginRequest = _class("RegisterPluginRequest")
UpdateContainersRequest = _class("UpdateContainersRequest")
UpdateContainersResponse = _class("UpdateContainersResponse")

ConfigureRequest = _class("ConfigureRequest")
ConfigureResponse = _class("ConfigureResponse")
SynchronizeRequest = _class("SynchronizeRequest")
SynchronizeResponse = _class("SynchronizeResponse")
CreateContainerRequest = _class("CreateContainerRequest")
CreateContainerResponse = _class("CreateContainerResponse")
UpdateContainerRequest = _class("UpdateContainerRequest")
UpdateContainerResponse = _class("UpdateContainerResponse")
StateChangeEvent = _class("StateChangeEvent")
Empty = _class("Empty")

PodSandbox = _class("PodSandbox")
Container = _class("Container")
ContainerAdjustment = _class("ContainerAdjustment")
ContainerUpdate = _class("ContainerUpdate")
LinuxResources = _class("LinuxResources")

"""What can go wrong between kubelet and a plugin, whichever of the two we are."""


class KubeletUnavailable(Exception):
    """Kubelet could not be reached, or gave no answer that makes sense."""


class RegistrationRefused(Exception):
    """Kubelet answered Register with an error; the message is kubelet's."""


class PodResourcesUnavailable(Exception):
    """Kubelet's pod-resources API gave no answer that makes sense; the message says why."""


class PluginUnavailable(Exception):
    """A plugin could not be reached, or its connection broke."""


class PluginRefused(Exception):
    """A plugin answered a call with an error: `code` is gRPC's name of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

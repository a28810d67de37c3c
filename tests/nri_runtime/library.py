"""What the releases of the NRI library differ in."""

from attrs import frozen

CREATE_CONTAINER, UPDATE_CONTAINER, STOP_CONTAINER = 4, 8, 10

# By its number: the method that each event is from 0.12 on.
EVENTS = {
    1: "RunPodSandbox",
    2: "StopPodSandbox",
    3: "RemovePodSandbox",
    4: "CreateContainer",
    5: "PostCreateContainer",
    6: "StartContainer",
    7: "PostStartContainer",
    8: "UpdateContainer",
    9: "PostUpdateContainer",
    10: "StopContainer",
    11: "RemoveContainer",
    12: "UpdatePodSandbox",
    13: "PostUpdatePodSandbox",
    14: "ValidateContainerAdjustment",
}


@frozen(order=True)
class Library:
    """A release, as 0.6.1."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def known_events(self) -> int:
        """The mask of the events that it knows."""
        last = 14 if self >= Library(0, 10, 0) else 11
        return int("1" * last, base=2)

    @property
    def splits(self) -> bool:
        """Whether it parts a Synchronize that is too large, and tells its timeouts."""
        return self >= Library(0, 8, 0)

    @property
    def drops_who_fails_to_synchronize(self) -> bool:
        """Whether it hangs up on a plugin whose answer is late, or an error."""
        return self.splits

    @property
    def checks_names(self) -> bool:
        """Whether it checks what a plugin calls itself, and exchanges versions."""
        return self >= Library(0, 12, 0)

    @property
    def has_methods_of_events(self) -> bool:
        """Whether each event is a method of its own, and StateChange only if that is unknown."""
        return self >= Library(0, 12, 0)

"""What the words on the cards mean: shown at their place, and all together at the end."""

from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.facts import fact
from numa_trio.agent.monitor.page.markup import Markup, element

SLOTS = (
    "How many containers can ask for the node at the same time. Slots reserve neither CPUs nor"
    " memory. Kubelet gives out the healthy ones only."
)
ALLOCATED = (
    "How many containers kubelet asked the agent to give a slot or device to, since the agent"
    " started. Containers that have ended are counted too, so this is not how many run."
)
CPUS = "The online CPUs: how many, and their numbers."
MEMORY = "What the kernel calls MemTotal and MemFree of the node. What it caches is not free."
HUGE_PAGES = "How many of each size are free, of those that are set aside."
DISTANCE = (
    "The relative cost of access to the memory of other nodes, as the firmware tells it:"
    " 10 is the node's own, 20 is twice that."
)
_STATES = {
    "offered": "Kubelet holds the stream of the resource, and pods can get it.",
    "not watched": "Kubelet accepted the registration, but has not opened the stream.",
    "not registered": "Kubelet has not accepted the registration, or was not there to do it.",
    "not served": "The agent has no socket for the resource.",
    "unhealthy": "Kubelet knows the resource, but is told to give none of it to pods.",
    "not advertised": "The agent offers no slots of the node; its card says why.",
}
_FACTS = {
    "Slots": SLOTS,
    "Given out": ALLOCATED,
    "CPUs": CPUS,
    "Memory": MEMORY,
    "Huge pages": HUGE_PAGES,
    "Distance": DISTANCE,
}
_TILES = {
    "coloured": "A container has the CPU for itself; the list below has its name.",
    "shared": "Containers without CPUs of their own run here, until one asks for the CPU.",
    "reserved": (
        "Kubelet gives the CPU to no container for itself: it is reserved for the system, or came"
        " after kubelet had started."
    ),
}


def words_section(observed: Observation) -> Markup:
    """All of them, folded."""
    words = {**_STATES, **_FACTS}
    if observed.counting:
        words |= {f"CPU, {word}": meaning for word, meaning in _TILES.items()}
    return element(
        "details",
        element("summary", element("h2", "What the words mean")),
        element("dl", *(fact(word, meaning) for word, meaning in words.items())),
        id="words",
        class_="panel",
        data_fold="shut",
    )

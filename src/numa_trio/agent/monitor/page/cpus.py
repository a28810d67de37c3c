"""The CPUs of a node: core by core where the kernel tells the cores, with who has them."""

from collections.abc import Iterator

from numa_trio.agent.monitor.page.holders import Holder, Holders
from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.topology.cores import Core, Cores
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import NumaNode


def draw_cpus(node: NumaNode, cores: Cores, holders: Holders | None) -> Iterator[Markup]:
    """A box for each core with its threads side by side; nothing where they are unknown."""
    if found := cores.of(node.cpus):
        tones = holders.tones if holders else {}
        yield element(
            "ol",
            *(_core(core, node, tones) for core in found),
            class_=f"cores t{max(len(core.cpus) for core in found)}",
            aria_label=f"CPUs of node {node.id}, by core",
        )


def _core(core: Core, node: NumaNode, tones: dict[int, str]) -> Markup:
    threads = join(
        Markup(f"<b class={tones.get(cpu) or 'plain'}>{cpu}</b>")
        for cpu in core.cpus
        if cpu in node.cpus
    )
    return Markup(f"<li>{threads}")


def list_holders(holders: Holders | None) -> Iterator[Markup]:
    """Each container with its CPUs, then what nobody has."""
    if holders is None:
        return
    rows = [_holder(each) for each in holders.shown]
    if holders.not_shown:
        rows.append(_row("", f"{holders.not_shown} more containers", ""))
    if holders.shared:
        rows.append(_row("shared", "shared", _named(holders.shared)))
    if holders.reserved:
        rows.append(_row("reserved", "reserved", _named(holders.reserved)))
    if rows:
        yield element("ul", *rows, class_="holders", aria_label="Who has the CPUs")


def _holder(holder: Holder) -> Markup:
    if not holder.cpus:
        return _row("", holder.name, "a slot, and no CPUs of its own")
    slot = "" if holder.has_slot else ", without a slot of the node"
    return _row(holder.tone, holder.name, f"{_named(holder.cpus)}{slot}")


def _row(tone: str, name: str, cpus: str) -> Markup:
    swatch = element("i", class_=f"swatch {tone or 'none'}")
    return element(
        "li", swatch, element("span", name), " ", element("span", cpus, class_="numbers")
    )


def _named(cpus: frozenset[int]) -> str:
    return f"{'CPU' if len(cpus) == 1 else 'CPUs'} {format_list(cpus)}"

"""A bar that is filled to a share."""

from numa_trio.agent.monitor.page.markup import Markup, element


def draw_share(share: float, label: str) -> Markup:
    """A bar of which `share`, from 0 to 1, is filled."""
    filled = element("rect", width=f"{100 * min(max(share, 0), 1):.1f}", height=6)
    return element(
        "svg",
        filled,
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        class_="bar",
        role="img",
        aria_label=label,
    )

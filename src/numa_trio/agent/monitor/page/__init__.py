"""The page at `/`: the machine drawn as its NUMA nodes, with the state of each resource."""

from numa_trio.agent.monitor.page.document import CONTENT_SECURITY_POLICY, render_page

__all__ = ["CONTENT_SECURITY_POLICY", "render_page"]

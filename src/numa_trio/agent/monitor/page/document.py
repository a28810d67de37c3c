"""The HTML document: one file that loads nothing, with the policy that lets it load nothing."""

import os
import pkgutil
from base64 import b64encode
from hashlib import sha256

from numa_trio import __version__
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page.markup import Markup, element, join
from numa_trio.agent.monitor.page.sections import page_sections
from numa_trio.topology.cores import Cores


def _shipped(name: str) -> str:
    """The text of a file beside this one; both may be in a zip."""
    content = pkgutil.get_data(__package__, name)
    assert content is not None, "the loader of this module can read files"
    return content.decode()


_STYLE = _shipped("style.css")
_SCRIPT = _shipped("refresh.js")

# Without scripts, the page is reloaded at this interval.
_RELOAD_SECONDS = 10


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def render_page(observed: Observation, host: str = "", cores: Cores | None = None) -> str:
    """The whole document, with the name of the server; an empty one is the hostname."""
    host = host or os.uname().nodename
    verdict = "ready" if observed.ready else "not ready"
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup(f'<noscript><meta http-equiv="refresh" content="{_RELOAD_SECONDS}"></noscript>'),
        _icon("2e9e5b" if observed.ready else "d1373f"),
        element("title", f"{verdict}: numa-trio on {host}"),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element("main", *page_sections(observed, host, cores or Cores()), id="agent"),
        element("p", id="silence", role="status"),
        element("script", Markup(_SCRIPT)),
        data_version=__version__,
    )
    return join([Markup("<!doctype html>"), element("html", head, body, lang="en")])


def _icon(colour: str) -> Markup:
    """A dot in the colour of the verdict, for the browser's tab."""
    return Markup(
        '<link rel="icon" href="data:image/svg+xml,'
        "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
        f"%3Ccircle cx='4' cy='4' r='4' fill='%23{colour}'/%3E%3C/svg%3E\">"
    )

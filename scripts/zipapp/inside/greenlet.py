"""In the place of greenlet, which is a compiled extension: those cannot be imported from a zip.

trio-asyncio imports it for its compatibility mode, an asyncio loop that is not inside Trio.
numa-trio has no such loop.
"""


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(
        f"greenlet.{name}: numa-trio.pyz has no greenlet, so asyncio loops must be opened inside"
        " Trio, with trio_asyncio.open_loop(); to use others, install numa-trio with pip"
    )

"""Gives back the memory that starting took and running does not need."""

import ctypes
import gc

import trio

# By now kubelet has the lists, unless it is down; encoding them was the last large work.
_SETTLED = 5.0


async def settle() -> None:
    """Once the start is over: free its garbage, and count the rest as permanent.

    What imports made stays for good, so the garbage collector need not look at it again: its full
    collections then see only what connections leave behind, and come in time. What the start freed
    lies in the C library's heap: some 4 MiB where bytecode had to be compiled, little where not.
    """
    await trio.sleep(_SETTLED)
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    if trim is not None:
        trim(0)

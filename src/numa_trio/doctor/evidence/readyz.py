"""Asks an agent over HTTP whether it is ready."""

import http.client

from attrs import frozen

from numa_trio.doctor.evidence.seen import Missing
from numa_trio.setting_values import HttpAddress

READY = 200
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  nothing is bound here
_LARGEST = 1 << 20  # bytes of an answer; that of 1,024 resources has 200,000


@frozen
class Answer:
    """The status and the text of `/readyz`."""

    status: int
    text: str


def ask_readyz(address: HttpAddress, timeout: float) -> Answer | Missing:
    """What the agent at the address says within so many seconds; Missing if it does not answer."""
    # An agent that listens on every address listens on these.
    hosts = ["127.0.0.1", "::1"] if address.host in _EVERYWHERE else [address.host]
    reason = ""
    for host in hosts:
        connection = http.client.HTTPConnection(host, address.port, timeout=timeout)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(_LARGEST).decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as problem:
            said = "no answer in time" if isinstance(problem, TimeoutError) else problem
            reason = reason or f"{host}, port {address.port}: {said}"
        finally:
            connection.close()
    return Missing(f"the agent does not answer on {reason}")

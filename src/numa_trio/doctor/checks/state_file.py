"""Whether a manager of kubelet wrote its state under the policy that is configured now."""

from numa_trio.doctor.advice import delete_state
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.evidence.state_files import CpuState, MemoryState
from numa_trio.doctor.finding import NOT_READ, Verdict, error, fine, note, unknown


def state_policy(
    evidence: Evidence, state: CpuState | MemoryState | Missing, name: str, key: str, default: str
) -> Verdict:
    """Of the file `name`, for which the setting `key` decides, by itself `default`."""
    path = f"{evidence.config.root}/{name}"
    if isinstance(state, Missing):
        return _no_state(evidence, state, path)
    policy = evidence.config.text(key, default)
    seen = f"{path}: policy {state.policy}"
    if policy.place is None and not evidence.config.complete:
        return unknown(f"{seen}; {NOT_READ}")
    if state.policy == policy.value:
        return fine(f"{seen}, as configured")
    return error(
        f"{seen}, but {policy.value} is configured: kubelet does not start with it",
        policy.place,
        delete_state(evidence, path),
    )


def _no_state(evidence: Evidence, state: Missing, path: str) -> Verdict:
    if state.absent:
        return note(f"{path}: there is none, as before kubelet's first start")
    if state.reason.startswith("is not"):
        seen = f"{path} {state.reason}: kubelet does not start with it"
        return error(seen, None, delete_state(evidence, path))
    return unknown(f"{path} {state.reason}")

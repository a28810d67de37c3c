"""Whether a manager of kubelet has a policy with which pods are aligned."""

from collections.abc import Sequence

from numa_trio.doctor.advice import set_in_kubelet
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.finding import NOT_READ, Verdict, error, fine, unknown


def default_mark(place: object) -> str:
    """What is said behind a setting that stands in no `place`."""
    return "" if place is not None else " (the default)"


def required_policy(
    evidence: Evidence, key: str, known: Sequence[str], enough: Sequence[str], expected: str
) -> Verdict:
    """Of the setting `key`, of whose `known` values, `none` by itself, those in `enough` align.

    The first of them is what to write. `expected` lists the known ones in words.
    """
    setting = evidence.config.text(key, "none")
    seen = f"{key}: {setting.value}{default_mark(setting.place)}"
    if setting.value in enough:
        return fine(seen, setting.place)
    remedy = set_in_kubelet(evidence, {key: enough[0]}, new_state=True)
    if evidence.by_runtime and setting.value in known:
        return fine(f"{seen}; the container runtime pins", setting.place)
    if setting.value not in known:
        return error(f"{seen}; expected {expected}", setting.place, remedy)
    if setting.place is None and not evidence.config.complete:
        return unknown(NOT_READ)
    return error(seen, setting.place, remedy)

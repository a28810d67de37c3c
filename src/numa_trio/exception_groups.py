"""Exception groups, opened up."""


def flattened(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions in a group, those in groups within it among them; no group is in the list."""
    found: list[BaseException] = []
    for problem in group.exceptions:
        found += flattened(problem) if isinstance(problem, BaseExceptionGroup) else [problem]
    return found

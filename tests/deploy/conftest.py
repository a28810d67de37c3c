"""The policies of deploy/, compiled once."""

import pytest

from deploy.admission import MutatingPolicy, ValidatingPolicy
from deploy.manifests import COUNTING_POLICY, INIT_POLICY, POLICY


@pytest.fixture(scope="session")
def policy() -> ValidatingPolicy:
    return ValidatingPolicy.read(POLICY)


@pytest.fixture(scope="session")
def init_policy() -> MutatingPolicy:
    return MutatingPolicy.read(INIT_POLICY)


@pytest.fixture(scope="session")
def counting_policy() -> MutatingPolicy:
    return MutatingPolicy.read(COUNTING_POLICY)

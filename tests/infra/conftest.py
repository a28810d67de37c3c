"""The image of the test machines, built once; and the machine of several files of tests."""

import pytest

from infra.host_service_image import observe_host_service
from infra.image import Image, build
from infra.observing import Observations


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What all test machines boot; the kernel's command line says what they observe."""
    return build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def host_service(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """What the machine with the host's service tells from its first boot to power-off."""
    return observe_host_service(image, tmp_path_factory.mktemp("host-service"))

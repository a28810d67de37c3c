"""The image of the test machines, built once."""

import pytest

from infra.image import Image, build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What all test machines boot; the kernel's command line says what they observe."""
    return build(tmp_path_factory.mktemp("image"))

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.plane import Plane, organisation


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path / "data", organisation())
    yield made
    made.close()

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody counts them there")
_CODE = """
import resource as r
from ringfence.transport.open_file import allow_many_files
r.setrlimit(r.RLIMIT_NOFILE, {limits})
print(allow_many_files(), r.getrlimit(r.RLIMIT_NOFILE))
"""


def allowed(soft: int, hard: int) -> str:
    code = _CODE.format(limits=(soft, hard))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 (ours)
    return done.stdout.strip()


def test_a_process_asks_for_as_many_as_it_may_have() -> None:
    assert allowed(256, 2000) == "2000 (2000, 2000)"
    assert allowed(2000, 2000) == "2000 (2000, 2000)"

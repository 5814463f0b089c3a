"""What large messages leave behind in the process that listens."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only glibc keeps what is freed in this way"
)

# Messages of up to a megabyte, each with something small that outlives it.
MESSAGES = """
import resource
from serving.modelserver.heap import give_large_blocks_back

def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize() / 2**20

if {settled}:
    give_large_blocks_back()
del (first := [b"x" * 2**24])[:]
before = resident()
messages, kept = [], []
for number in range(200):
    messages.append(b"x" * (300_000 + 3_000 * number))
    kept.append(b"x" * 20_000)
del messages
print(resident() - before - len(kept) * 20_000 / 2**20)
"""


def left_mb(*, settled: bool) -> float:
    script = MESSAGES.format(settled=settled)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_large_messages_leave_no_holes() -> None:
    assert left_mb(settled=True) < 10
    assert left_mb(settled=False) > 50, "The C library gives it back anyway"

"""What programs try that want out: each does its system calls by itself.

The programs print one line for each attempt, its name and what became of it: `DONE`, or an errno.
"""

from tests.sandbox.conftest import reduced_tier, root, strict_tier, tier, who

__all__ = ["reduced_tier", "root", "strict_tier", "tier", "who"]

"""What shells of a sandbox say of commands of their own, which no exec shows: `cd`, redirections.

Bash reads the file that `BASH_ENV` names before it runs a script; ours has it write each command to
a log. Evidence that proves nothing: `sh` knows no such thing, and whoever does not want to be seen
takes the trap away. Source: bash(1), "BASH_ENV" and "trap … DEBUG".
"""

import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.plan import Bind, SandboxFile, SandboxPlan
from ringfence.sandbox.workspace.folder import FILE

KEPT_BYTES: Final = 1 << 20
"""As much of the beginning, and of the end, as is kept."""
_LOG: Final = "builtins.log"
_VARIABLE: Final = "RINGFENCE_BUILTINS"
_SCRIPT: Final = rb"""# Tells of this shell's own commands. Evidence for people, and no more.
if [ -n "${RINGFENCE_BUILTINS-}" ] && [ -w "$RINGFENCE_BUILTINS" ]; then
  set -o functrace
  _ringfence_tell() {
    printf '%s\t%s\t%s\n' "$$" "$PWD" "${1//$'\n'/ }" >>"$RINGFENCE_BUILTINS"
  }
  trap '_ringfence_tell "$BASH_COMMAND"' DEBUG
fi 2>/dev/null
"""


@final
class Builtins:
    """The log of one sandbox. `close` removes it."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._folder = os.path.realpath(tempfile.mkdtemp(prefix="ringfence-said-"))
        Path(self._folder, _LOG).touch(mode=0o600)

    def asked(self, plan: SandboxPlan, place: str) -> SandboxPlan:
        """A plan whose shells are asked to tell; `place` is where our files are in it."""
        is_strict = plan.tier is SandboxTier.STRICT
        folder = Bind(self._folder, f"{place}/said") if is_strict else Bind(self._folder)
        log = f"{folder.seen}/{_LOG}"
        script = f"{place}/builtins.sh"
        return replace(
            plan,
            environment={**plan.environment, "BASH_ENV": script, _VARIABLE: log},
            files=(*plan.files, SandboxFile(path=script, content=_SCRIPT)),
            read_write=(*plan.read_write, folder),
        )

    def told(self) -> bytes:
        """What was said: lines of process, directory and command, each after a tab.

        INVARIANT: the folder was the agent's, so no link is followed and no pipe is waited for.
        """
        try:
            opened = os.open(f"{self._folder}/{_LOG}", FILE)
        except OSError:
            return b""
        with os.fdopen(opened, "rb") as log:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return b""
            head = log.read(KEPT_BYTES)
            size = os.fstat(opened).st_size
            if size <= KEPT_BYTES:
                return head
            log.seek(max(KEPT_BYTES, size - KEPT_BYTES))
            left_out = max(0, size - 2 * KEPT_BYTES)
            return b"%b\n[ringfence: %d bytes are left out here]\n%b" % (head, left_out, log.read())

    def close(self) -> None:
        """Nobody asks for it any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

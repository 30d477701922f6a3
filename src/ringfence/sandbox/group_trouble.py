"""What keeps a control group from bounding sandboxes here, and what to do about it."""

import os
from collections.abc import Sequence
from typing import Final

from ringfence.transport.kernel import control_group as kernel
from ringfence.transport.kernel.control_group import ALWAYS, CPU, MEMORY

try:
    import pwd
except ImportError:  # Windows, where importing must not fail
    pwd = None  # type: ignore[assignment] # absent there, and nothing here is called

_BOOTED: Final = "/run/systemd/system"
"""There where systemd is the machine's first program (sd_booted(3))."""
_MANAGER: Final = "/run/user/{}/systemd/private"
"""Where a user's own systemd listens."""
_CONTAINER: Final = """no control groups are mounted for writing, as in most containers: bound the
container itself (`docker run --pids-limit 2048 --memory 8g --cpus 2`), or run Ringfence outside of
it"""
_SCOPE: Final = """start it as `systemd-run --user --scope ringfence run …` (it then ends when you
have logged out everywhere, unless `loginctl enable-linger` was given once); as a service, with
`Delegate=yes` and `DelegateSubgroup=ringfence`"""
_NO_MANAGER: Final = """systemd runs nothing for this user, as after `su`: as root, once,
`loginctl enable-linger {name}`; then
`XDG_RUNTIME_DIR=/run/user/{uid} systemd-run --user --scope ringfence run …`"""
_DELEGATE: Final = """have systemd give it to users, as root: `Delegate=cpu memory pids` under
`[Service]` in /etc/systemd/system/user@.service.d/delegate.conf, `systemctl daemon-reload`, and log
in anew"""
_BY_ROOT: Final = """no systemd is here to ask: have root make a group that this user may write to,
and start it in there (cgroups(7), "Cgroup delegation")"""


def mend(lacking: Sequence[str] = ALWAYS) -> str:
    """How to get a control group that bounds what none does, in one line."""
    return " ".join(_mend(lacking).split())


def _mend(lacking: Sequence[str]) -> str:
    uid = os.geteuid()
    if not kernel.hierarchies():
        return _CONTAINER
    if uid == 0:
        words = " and ".join(f"`{each}`" for each in lacking)
        boot = ", and the boot option `cgroup_enable=memory`" if MEMORY in lacking else ""
        return f"no group of ours gets {words}: see `/sys/fs/cgroup/cgroup.controllers`{boot}"
    if not os.path.isdir(_BOOTED):  # noqa: PTH112 (text)
        return _BY_ROOT
    if set(lacking) == {CPU}:
        return _DELEGATE
    if os.path.exists(_MANAGER.format(uid)):  # noqa: PTH110 (text)
        return _SCOPE
    return _NO_MANAGER.format(uid=uid, name=_name(uid))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

"""Import every module of the sandbox as another system would: without what only Linux has.

Run as a program with the other system's name; prints the modules that cannot be imported.
"""

import asyncio
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
import sysconfig
from importlib.abc import MetaPathFinder
from types import ModuleType

_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
_NAMES: dict[ModuleType, tuple[str, ...]] = {
    os: (
        "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH",
        "O_TMPFILE", "fork", "geteuid", "getuid", "killpg",
        "memfd_create", "openpty", "pidfd_open", "setgroups", "setsid", "wait4", "waitid",
    ),
    select: ("EPOLLIN", "POLLIN", "epoll", "poll"),
    signal: ("SIGHUP", "SIGKILL", "SIGQUIT", "pidfd_send_signal", "pthread_sigmask"),
    socket: ("AF_NETLINK", "AF_UNIX", "CMSG_SPACE", "SCM_RIGHTS"),
}  # fmt: skip
_ON_MAC = frozenset({*_MODULES, "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "fork",
    "geteuid", "getuid", "killpg",
    "openpty", "setgroups", "setsid", "wait4", "POLLIN", "poll", "SIGHUP", "SIGKILL", "SIGQUIT",
    "pthread_sigmask", "AF_UNIX", "CMSG_SPACE", "SCM_RIGHTS"})  # fmt: skip


class _Missing(MetaPathFinder):
    """Finds nothing, also where something is."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse the modules of Unix."""
        if name in _MODULES:
            raise ModuleNotFoundError(name, name=name)


def pretend(system: str) -> None:
    """Take away what that system does not have."""
    kept = _ON_MAC if system == "darwin" else frozenset()
    sysconfig.get_config_vars()
    asyncio.new_event_loop().close()
    if "fcntl" not in kept:
        for name in _MODULES:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, _Missing())
    for module, names in _NAMES.items():
        for name in names:
            if name not in kept and hasattr(module, name):
                delattr(module, name)
    sys.platform = system


def main() -> None:
    """Import all; the packages' own modules need nothing that was taken away."""
    importlib.import_module("ringfence.enforcement.sandbox")  # what lies below is not asked about
    packages = [importlib.import_module(f"ringfence.{name}") for name in ("transport", "sandbox")]
    pretend(sys.argv[1])
    packages[0] = importlib.import_module("ringfence.transport.kernel")
    for package in packages:
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            try:
                importlib.import_module(found.name)
            except Exception as error:  # noqa: BLE001 (any is what this looks for)
                sys.stdout.write(f"{found.name}: {error!r}\n")


if __name__ == "__main__":
    main()

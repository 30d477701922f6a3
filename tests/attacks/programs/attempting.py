"""For the programs of attacks: call the kernel by number, and tell what became of it."""

import ctypes
import errno
import json
import os

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = json.loads(os.environ["SYSCALLS"])
OUTSIDE, WORKSPACE = os.environ["OUTSIDE"], os.environ["WORKSPACE"]


def tell(name, result):
    print(f"{name}: {result}", flush=True)


def attempt(name, do):
    """Do it, and tell the errno or that it was done."""
    try:
        result = do()
    except OSError as error:
        tell(name, errno.errorcode.get(error.errno, str(error)))
    else:
        tell(name, f"DONE {result}" if result not in (None, 0) else "DONE")


def call(name, *arguments):
    """A system call by name or number; raises OSError."""
    number = NUMBERS[name] if isinstance(name, str) else name
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    given += [ctypes.c_long(0)] * (6 - len(given))
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def in_child(do):
    """The status with which a child of its own ends; 0 if what it did was done."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status > 0:
        raise OSError(status, "child")
    return f"killed {-status}" if status else None

"""Ask the kernel for what has broken out of sandboxes before."""

import ctypes
import os

exec(os.environ["LIBRARY"])

NULL = 0
PATH = ctypes.c_char_p(WORKSPACE.encode())
SIMPLE = {
    "ptrace": (0,), "process_vm_readv": (os.getpid(), NULL, 0, NULL, 0, 0),
    "process_vm_writev": (os.getpid(), NULL, 0, NULL, 0, 0), "pidfd_getfd": (0, 0, 0),
    "kcmp": (os.getpid(), os.getpid(), 2), "setns": (0, 0),
    "umount2": (PATH, 0), "pivot_root": (PATH, PATH), "chroot": (PATH,),
    "fsopen": (ctypes.c_char_p(b"tmpfs"), 0), "fsmount": (0, 0, 0), "fsconfig": (0, 0), "fspick": (-100, PATH, 0),
    "move_mount": (0, PATH, 0, PATH, 0), "open_tree": (-100, PATH, 1),
    "mount_setattr": (-100, PATH, 0, NULL, 0), "bpf": (5, NULL, 0),
    "perf_event_open": (NULL, 0, -1, -1, 0), "userfaultfd": (1,), "keyctl": (0, -3, 0),
    "add_key": (ctypes.c_char_p(b"user"), ctypes.c_char_p(b"x"), ctypes.c_char_p(b"y"), 1, -3),
    "request_key": (ctypes.c_char_p(b"user"), ctypes.c_char_p(b"x"), NULL, 0), "io_uring_setup": (8, NULL), "io_uring_enter": (0, 0, 0, 0),
    "io_uring_register": (0, 0, NULL, 0), "init_module": (NULL, 0, NULL),
    "finit_module": (0, NULL, 0), "delete_module": (ctypes.c_char_p(b"x"), 0),
    "kexec_load": (0, 0, NULL, 0), "reboot": (0, 0, 0, 0), "swapon": (PATH, 0),
    "acct": (NULL,), "syslog": (3, NULL, 0), "open_by_handle_at": (-100, NULL, 0),
    "fanotify_init": (0, 0), "settimeofday": (NULL, NULL), "clock_settime": (0, NULL),
    "sethostname": (PATH, 3), "quotactl": (0, NULL, 0, NULL), "vhangup": (),
    "lookup_dcookie": (0, NULL, 0), "process_madvise": (0, NULL, 0, 0, 0),
    "clone3": (NULL, 0), "openat2": (-100, PATH, NULL, 0),
}  # fmt: skip
for name, arguments in SIMPLE.items():
    attempt(name, lambda: call(name, *arguments))
attempt(
    "mount", lambda: call("mount", ctypes.c_char_p(b"none"), PATH, ctypes.c_char_p(b"tmpfs"), 0, 0)
)
for name, flag in {
    "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80,
}.items():  # fmt: skip
    attempt(f"unshare {name}", lambda: call("unshare", flag))


def cloned(flag):
    """A child made with a namespace of its own; clone(2) returns twice."""
    pid = call("clone", flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


for name, flag in {"mount": 0x20000, "user": 0x10000000, "net": 0x40000000}.items():
    attempt(f"clone {name}", lambda: cloned(flag))
    attempt(f"clone {name} high", lambda: cloned(flag | 1 << 40))
for number in (NUMBERS["file_setattr"] + 1, 500, 1000, 100_000, 0x3FFFFFFF):
    attempt(f"number {number}", lambda: call(number))
if os.uname().machine == "x86_64":
    attempt("x32 execve", lambda: in_child(lambda: call(0x40000000 | 520, PATH, 0, 0)))
    attempt("x32 getpid", lambda: in_child(lambda: call(0x40000000 | 39)))
attempt("personality", lambda: call("personality", 0x0400000))
attempt(
    "prlimit of the parent",
    lambda: call("prlimit64", os.getppid(), 7, ctypes.byref((ctypes.c_uint64 * 2)(1, 1)), 0),
)
for mode in (0o4755, 0o2755):
    made = f"{WORKSPACE}/made"
    open(made, "w").close()
    attempt(f"chmod {mode:o}", lambda: os.chmod(made, mode))
    attempt(f"fchmod {mode:o}", lambda: os.fchmod(os.open(made, os.O_RDONLY), mode))
    attempt(f"open {mode:o}", lambda: os.open(f"{made}{mode}", os.O_CREAT | os.O_WRONLY, mode))
    attempt(
        f"mkdir {mode:o}", lambda: call("mkdirat", -100, ctypes.c_char_p(f"{made}d".encode()), mode)
    )
    attempt(f"tmpfile {mode:o}", lambda: os.open(WORKSPACE, os.O_TMPFILE | os.O_WRONLY, mode))
attempt("mknod", lambda: os.mknod(f"{WORKSPACE}/device", 0o20666, os.makedev(1, 1)))

"""Read and change what is not the agent's."""

import os
import sys

exec(os.environ["LIBRARY"])

SECRET = f"{OUTSIDE}/secret"
LINK = f"{WORKSPACE}/link"


def read(path):
    with open(path, "rb") as file:
        return file.read(20)


def write(path):
    if path.startswith("/proc/sys"):  # opening is enough to know, and changes nothing
        return os.close(os.open(path, os.O_WRONLY))
    with open(path, "wb") as file:
        file.write(b"evil")


for path in (SECRET, f"{WORKSPACE}/../outside/secret", "/etc/shadow", "/etc/sudoers", "/etc/ssh", "/root/.bashrc",
             "/var/log/syslog", "/proc/kcore", "/proc/1/root/etc/shadow", "/proc/self/root" + SECRET, "/dev/mem",
             "/dev/kmsg", "/sys/kernel/debug", "/oldroot/etc/shadow", "/newroot"):  # fmt: skip
    attempt(f"read {path}", lambda: read(path))
os.symlink(SECRET, LINK)
os.symlink(OUTSIDE, LINK + "-folder")
os.symlink("/oldroot" + OUTSIDE, LINK + "-oldroot")
attempt("read by a link", lambda: read(LINK))
attempt("read by a linked folder", lambda: read(LINK + "-folder/secret"))
attempt("write by a link", lambda: write(LINK))
attempt("write by a linked folder", lambda: write(LINK + "-folder/new"))
attempt("write by a link to the old root", lambda: write(LINK + "-oldroot/new"))
attempt("hard link of it", lambda: os.link(SECRET, f"{WORKSPACE}/hard"))
attempt(
    "hard link by number",
    lambda: call(
        "linkat",
        -100,
        ctypes.c_char_p(SECRET.encode()),
        -100,
        ctypes.c_char_p(f"{WORKSPACE}/h2".encode()),
        0,
    ),
)
attempt("move it in", lambda: os.rename(SECRET, f"{WORKSPACE}/moved"))
open(f"{WORKSPACE}/own", "w").close()
attempt("move out", lambda: os.rename(f"{WORKSPACE}/own", f"{OUTSIDE}/own"))
attempt(
    "move out by exchange",
    lambda: call(
        "renameat2",
        -100,
        ctypes.c_char_p(f"{WORKSPACE}/own".encode()),
        -100,
        ctypes.c_char_p(SECRET.encode()),
        2,
    ),
)
attempt("remove it", lambda: os.unlink(SECRET))
attempt("empty it", lambda: os.truncate(SECRET, 0))
attempt("make a folder beside", lambda: os.mkdir(f"{OUTSIDE}/folder"))
attempt("list the folder", lambda: os.listdir(OUTSIDE))
for path in ("/usr/bin/evil", "/etc/evil", "/etc/ld.so.preload", "/bin/evil", "/evil", "/proc/sys/kernel/core_pattern",
             "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/self/uid_map", "/usr/bin/true", "/etc/passwd",
             "/proc/self/oom_score_adj" if len(sys.argv) > 5 else "/etc/hosts"):  # fmt: skip
    attempt(f"write {path}", lambda: write(path))
attempt(
    "raise its own place in line",
    lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-900"),
)
attempt("change the owner", lambda: os.chown(SECRET, 1, 1))
attempt(
    "name a handle",
    lambda: (
        LIBC.open_by_handle_at(-100, None, 0) == -1
        and (_ for _ in ()).throw(OSError(ctypes.get_errno(), "handle"))
    ),
)
attempt("change the mode", lambda: os.chmod(SECRET, 0o777))
attempt("change the mode by a link", lambda: os.chmod(LINK, 0o777))
attempt("change the mode from a folder", lambda: os.chmod("../outside/secret", 0o777, dir_fd=os.open(WORKSPACE, os.O_RDONLY)))
attempt("change the mode of what is shown", lambda: os.fchmod(os.open("/usr/bin/true", os.O_RDONLY), 0o777))
attempt("change the mode of the outer folder", lambda: os.chmod(f"{WORKSPACE}/..", 0o777))
attempt("change the mode by an open path", lambda: os.chmod(f"/proc/self/fd/{os.open(SECRET, os.O_PATH)}", 0o777))
attempt("change the mode of an open path", lambda: call("fchmodat2", os.open(SECRET, os.O_PATH), ctypes.c_char_p(b""), 0o777, 0x1000))
for device in ("null", "zero", "full", "random", "urandom", "tty"):
    attempt(f"change the mode of {device}", lambda: os.chmod(f"/dev/{device}", 0o666))
for path in ("version", "kmsg", "meminfo"):
    attempt(f"change the mode of /proc/{path}", lambda: os.chmod(f"/proc/{path}", os.stat(f"/proc/{path}").st_mode & 0o777))
attempt("touch it", lambda: os.utime(SECRET))
attempt("touch an open path", lambda: call("utimensat", os.open(SECRET, os.O_PATH), ctypes.c_char_p(b""), 0, 0x1000))
attempt("touch an old way", lambda: call("utimes", ctypes.c_char_p(SECRET.encode()), 0) if "utimes" in NUMBERS else call("utimensat", -100, ctypes.c_char_p(SECRET.encode()), 0, 0))
attempt("change the times", lambda: os.utime(SECRET, (1, 1)))
attempt("set an attribute", lambda: os.setxattr(SECRET, "user.x", b"y"))
attempt("look at it", lambda: os.stat(SECRET) and None)

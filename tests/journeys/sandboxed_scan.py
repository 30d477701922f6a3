"""A program for the inside of a sandbox, which looks for words in all that can be read there."""

from collections.abc import Iterable

_SOURCE = '''\
"""Looks for secrets in everything that can be read from inside, and says what was looked at.

With `all` in the system's programs too.
"""
import json, os, pathlib, sys
WORDS = [bytes(reversed(bytes.fromhex(word))) for word in %(words)r]
LONGEST = max(map(len, WORDS))
SHARED = b"canary"  # in all of them, so that most pieces are read once
LEFT_OUT = {"/proc", "/sys"} | (set() if "all" in sys.argv[1:] else {"/usr"})
assert all(SHARED in word for word in WORDS)
VAST, STEP, PAGE = 64 << 20, 2 << 20, os.sysconf("SC_PAGESIZE")
ABSENT = bytes(range(0x40))  # the highest bits of an entry: in memory, or swapped out
found, files, read, spaces, variables = [], 0, 0, 0, 0
def look(where, data):
    if SHARED in data:
        found.extend([where, number] for number, word in enumerate(WORDS) if word in data)
def file(path):
    global files, read
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        files += 1
        tail = b""
        while data := os.read(handle, 1 << 20):
            read += len(data)
            look(path, tail + data)
            tail = data[-LONGEST:]
    except OSError:
        pass
    finally:
        os.close(handle)
def touched(process, start, end):
    """The parts of an area that hold anything; what programs only reserve is vast."""
    if end - start < VAST:
        yield start, end
        return
    with open(process / "pagemap", "rb", buffering=0) as pages:
        for at in range(start, end, STEP):
            here = min(STEP, end - at)
            try:
                pages.seek(at // PAGE * 8)
                entries = pages.read(here // PAGE * 8)
            except (OSError, OverflowError):
                return  # of the kernel itself
            if entries[7::8].translate(None, ABSENT):
                yield at, at + here
def area_of(memory, start, end, where):
    tail = b""
    while start < end:
        try:
            memory.seek(start)
            data = memory.read(min(1 << 20, end - start))
        except (OSError, OverflowError, ValueError):
            return
        if not data:
            return
        look(where, tail + data)
        tail = data[-LONGEST:]
        start += len(data)
# Where the root cannot be listed, what lies below it can be known by its name all the same.
known = ["/"] + ["/" + each for each in (
    "bin dev etc home lib mnt opt root run srv tmp usr var usr/local usr/share dev/shm var/tmp"
).split()]
known += [os.getcwd(), *(each for value in os.environ.values() for each in value.split(":"))]
known += [os.path.dirname(line.split(maxsplit=5)[-1].strip()) for line in open("/proc/self/maps")]
walked = set()
for root in map(os.path.realpath, filter(os.path.isabs, known)):
    for folder, folders, names in os.walk(root):
        folders[:] = [
            each for each in folders if (whole := os.path.join(folder, each)) not in walked
            and not any(whole == out or whole.startswith(out + "/") for out in LEFT_OUT)
        ]
        if folder in walked or any((folder + "/").startswith(out + "/") for out in LEFT_OUT):
            folders.clear()
            continue
        walked.add(folder)
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and not name.startswith("scan"):
                file(path)
for process in pathlib.Path("/proc").iterdir():
    if not process.name.isdigit():
        continue
    for name in ("environ", "cmdline"):
        try:
            data = (process / name).read_bytes()
        except OSError:
            continue
        variables += data.count(b"\\0")
        look(str(process / name), data)
    if int(process.name) == os.getpid():
        continue  # it holds what it looks for
    try:
        maps = (process / "maps").read_text().splitlines()
        memory = open(process / "mem", "rb", buffering=0)
    except OSError:
        continue
    spaces += 1
    for line in maps:
        area, mode = line.split()[:2]
        if "r" in mode:
            for start, end in touched(process, *(int(each, 16) for each in area.split("-"))):
                area_of(memory, start, end, f"{process}/mem")
print(json.dumps({"found": found, "files": files, "bytes": read, "spaces": spaces,
                  "variables": variables}))
'''


def source(words: Iterable[str]) -> str:
    """The program; it does not hold the words themselves, so it does not find itself."""
    return _SOURCE % {"words": [each.encode()[::-1].hex() for each in words]}

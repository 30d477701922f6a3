"""Two sandboxes at once: the first leaves what it can and tells it, the second looks for it.

Both have the same workspace, which is the operator's choice, and are accomplices by it.
"""

import ctypes
import errno
import hashlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x52460001
PLACES = ("/tmp", "/var/tmp", "/dev/shm", os.environ["HOME"], os.environ.get("TMPDIR", "/tmp"))


def mine():
    """What there is to know of this sandbox."""
    authority = open(os.environ["SSL_CERT_FILE"], "rb").read()  # with the machine's
    return {
        "token": os.environ["RINGFENCE_TOKEN"],
        "sandbox": os.environ["RINGFENCE_SANDBOX"],
        "authority": hashlib.sha256(authority).hexdigest(),
        "pid": int(open("/proc/self/stat").read().split()[0]),
        "places": PLACES,
        "ipc": os.readlink("/proc/self/ns/ipc"),
        "net": os.readlink("/proc/self/ns/net"),
    }


def leave():
    left = []
    for place in PLACES:
        try:
            with open(f"{place}/left-by-the-first", "w") as file:
                file.write("canary")
            left.append(place)
        except OSError:
            pass
    libc.shmget(KEY, 4096, 0o1666)
    libc.shmat.restype = ctypes.c_void_p
    try:
        server = socket.create_server(("127.0.0.1", 5123))
        server.settimeout(0.01)
    except OSError:
        server = None
    with open("told.tmp", "w") as file:
        json.dump(mine() | {"left": left}, file)
    os.rename("told.tmp", "told")
    while not os.path.exists("over"):
        time.sleep(0.02)
    print("served" if server else "no server")


def attempt(became, name, do):
    try:
        result = do()
        became[name] = "DONE" if result is None else result
    except OSError as error:
        became[name] = errno.errorcode.get(error.errno, type(error).__name__)


def stolen(token):
    request = urllib.request.Request(f"{os.environ['RINGFENCE_URL']}/v1/models", headers={"authorization": f"Bearer {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)


def memory():
    if libc.shmget(KEY, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "shmget")


def look():
    while not os.path.exists("told"):
        time.sleep(0.02)
    other, became, own = json.load(open("told")), {"files": []}, mine()
    for place in {*other["left"], *PLACES}:
        try:
            became["files"].append(open(f"{place}/left-by-the-first").read())
        except OSError:
            pass
    for name in ("authority", "sandbox", "token"):
        became[f"another {name}"] = own[name] != other[name]
    became["another network"] = own["net"] != other["net"]
    became["another ipc"] = own["ipc"] != other["ipc"]
    attempt(became, "its server", lambda: socket.create_connection(("127.0.0.1", 5123), 2).close())
    attempt(became, "its token", lambda: stolen(other["token"]))
    attempt(became, "shared memory", memory)
    if TIER == "reduced":  # only there does the number mean the same process
        attempt(became, "signal", lambda: os.kill(other["pid"], signal.SIGTERM))
        attempt(became, "environment", lambda: open(f"/proc/{other['pid']}/environ").read() and None)
        attempt(became, "memory", lambda: os.close(os.open(f"/proc/{other['pid']}/mem", os.O_RDONLY)))
        became["its command line"] = "beside.py" in open(f"/proc/{other['pid']}/cmdline").read()
    else:
        became["processes"] = len([each for each in os.listdir("/proc") if each.isdigit()])
    open("over", "w").close()
    print(json.dumps(became))


leave() if sys.argv[1] == "first" else look()

"""An agent that knows everything of how it is held: what it gets of the plane, as JSON.

Told by the test: DATA (the plane's folder), MONITOR (a pid), SOURCE (where ringfence lies).
"""

import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import urllib.request

gateway, token = os.environ["RINGFENCE_URL"], os.environ["RINGFENCE_TOKEN"]


def spoken(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


def by_root():
    """Whether a program with its owner's rights gets them."""
    for name in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/bin/su"):
        if os.path.exists(name) and os.stat(name).st_mode & 0o4000:
            pid = os.fork()
            if pid == 0:
                devnull = os.open(os.devnull, os.O_RDWR)
                for each in (0, 1, 2):
                    os.dup2(devnull, each)
                os.execv(name, [name, "-c", "id -u"])
            with open(f"/proc/{pid}/status") as status:
                ids = next(line for line in status if line.startswith("Uid:")).split()[1:]
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "root" if "0" in ids and os.getuid() else "none"
    return "none"


def posted(path, body):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(f"{gateway}{path}", json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)


def ran():
    """The command line, with its sources and its data folder known."""
    environment = {**os.environ, "PYTHONPATH": SOURCE, "RINGFENCE_DATA": DATA}
    done = subprocess.run(["python3", "-m", "ringfence", "agent", "token", "other"], env=environment, capture_output=True, timeout=30)
    return "a token" if b"rf_" in done.stdout else "none"


attempt("list the data folder", lambda: str(os.listdir(DATA)))
attempt("the ledger", lambda: open(glob.glob(f"{DATA}/ledger/*.db")[0] if glob.glob(f"{DATA}/ledger/*.db") else f"{DATA}/state.db", "rb").read(10).hex())
attempt("the signing key", lambda: open(f"{DATA}/keys/signing.key", "rb").read(10).hex())
attempt("the control socket", lambda: spoken(f"{DATA}/control.sock"))
attempt("the run socket", lambda: spoken(f"{DATA}/sandboxes/0.sock"))
attempt("the control port", lambda: str(socket.create_connection(("127.0.0.1", CONTROL), 3)))
attempt("stop the monitor", lambda: os.kill(MONITOR, signal.SIGSTOP))
attempt("end the monitor", lambda: os.kill(MONITOR, signal.SIGKILL))
attempt("the monitor's descriptors", lambda: os.readlink(f"/proc/{MONITOR}/fd/0"))
attempt("the monitor's memory", lambda: os.close(os.open(f"/proc/{MONITOR}/mem", os.O_RDONLY)))
attempt("the monitor's environment", lambda: open(f"/proc/{MONITOR}/environ").read())
attempt("a program with its owner's rights", by_root)
attempt("the command line", ran)
attempt("a lie", lambda: posted("/ringfence/v1/actions", {"command": {"argv": ["ls"], "directory": "/"}}))
subprocess.run(["/usr/bin/id"], stdout=subprocess.DEVNULL)
ctypes.CDLL(None).prctl(4, 0)
attempt("hidden from the monitor", lambda: subprocess.run(["/usr/bin/whoami"], stdout=subprocess.DEVNULL).returncode and "refused" or "ran")
print(json.dumps(became))

"""One sandbox asks for all that it can get: commands, names, refused calls, requests, connections.

Told by the test: TIER. Prints one line when all of it is under way, and floods for SECONDS.
"""

import os
import socket
import time
from urllib.parse import urlsplit

gateway, proxy = urlsplit(os.environ["RINGFENCE_URL"]), urlsplit(os.environ["http_proxy"])
token = os.environ["RINGFENCE_TOKEN"]
ends = time.monotonic() + SECONDS


def is_on():
    return time.monotonic() < ends and not os.path.exists("over")


ASKED = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode() * 50


def commands():
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)


def requests():
    with socket.create_connection((gateway.hostname, gateway.port), 5) as s:
        while is_on():
            s.sendall(ASKED)
            s.recv(65536)


def refused():
    for family in (1, 17, 38):
        try:
            socket.socket(family, 1)
        except OSError:
            pass


def names():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect(("8.8.8.8", 53))
        for number in range(200):
            s.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x09x%08d\4evil\0\0\1\0\1" % number)


def connections():
    held = [socket.create_connection((gateway.hostname, gateway.port), 5) for _ in range(400)]
    while is_on():
        time.sleep(0.05)
    del held


def tunnels():
    with socket.create_connection((proxy.hostname, proxy.port), 5) as s:
        s.sendall(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")
        s.recv(500)


kinds = [commands] * 4 + [requests] * 16 + [refused] * 2 + [connections] + [tunnels] * 2
kinds += [names] * 2 if TIER == "strict" else []
for kind in kinds:
    if os.fork() == 0:
        while is_on():
            try:
                kind()
            except OSError:
                pass
        os._exit(0)
print("on", flush=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass

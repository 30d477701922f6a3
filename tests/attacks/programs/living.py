"""Lives and says so: what it started, reached and was told, each with its monotonic time.

Every line of `ticks` is a sign of life; `execs`, `nets` and `names` have a line for each success.
"""

import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request

gateway, token, tier = os.environ["RINGFENCE_URL"], os.environ["RINGFENCE_TOKEN"], sys.argv[1]
files = {name: open(name, "a", buffering=1) for name in ("ticks", "execs", "nets", "names", "gained")}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
victim = int(sys.argv[2])


def say(name, word=""):
    files[name].write(f"{time.monotonic():.4f} {word}\n")


def run(number):
    subprocess.run(["/usr/bin/touch", f"made/{number}"], check=True, timeout=40)
    say("execs", str(number))


def reach():
    request = urllib.request.Request(f"{gateway}/v1/models", headers={"authorization": f"Bearer {token}"})
    with opener.open(request, timeout=40) as answer:
        assert answer.status == 200
    say("nets")


def ask():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\4evil\4test\0\0\1\0\1", ("8.8.8.8", 53))
        s.recv(600)
    say("names")


def gain():
    """What must never work, whoever is dead or stopped: the host's own loopback."""
    with socket.socket() as s:
        s.settimeout(0.3)
        s.connect(("127.0.0.1", victim))
    say("gained", "the host")


number = 0
while True:
    say("ticks")
    number += 1
    for do in (lambda: run(number), reach, *([ask] if tier == "strict" else []), gain):
        try:
            do()
        except Exception:
            pass
        say("ticks")
    time.sleep(0.01)

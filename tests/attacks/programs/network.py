"""Leave by every way that a socket knows."""

import ctypes
import os
import socket
import struct
import sys

exec(os.environ["LIBRARY"])

VICTIM = int(sys.argv[1]) if len(sys.argv) > 1 else 9
FAR, FAR6 = "192.0.2.7", "2001:db8::7"
TIMEOUT = 1


def connect(family, place):
    with socket.socket(family) as made:
        made.settimeout(TIMEOUT)
        made.connect(place)
        made.sendall(b"out of here")
        return made.recv(20)


def datagram(family, place):
    """Sent, and then what the kernel says of it: nobody hears it where it is refused."""
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.settimeout(TIMEOUT)
        made.connect(place)
        made.send(b"secret")
        made.send(b"secret")
        return made.recv(20)


def fast_open(send):
    with socket.socket() as made:
        made.settimeout(TIMEOUT)
        send(made)
        made.recv(20)


def raw_connect(number, family, kind, protocol):
    made = call("socket", family, kind, protocol)
    os.close(made)


for port in (22, 25, 8080, VICTIM):
    for host in (FAR, "127.0.0.1"):
        attempt(f"tcp {host} {port}", lambda: connect(socket.AF_INET, (host, port)))
    attempt(f"tcp {FAR6} {port}", lambda: connect(socket.AF_INET6, (FAR6, port)))
    attempt(f"tcp mapped {port}", lambda: connect(socket.AF_INET6, (f"::ffff:{FAR}", port)))
for host in (FAR, "127.0.0.1"):
    attempt(f"quic {host}", lambda: datagram(socket.AF_INET, (host, 443)))
    attempt(f"udp {host}", lambda: datagram(socket.AF_INET, (host, VICTIM)))
attempt(f"quic {FAR6}", lambda: datagram(socket.AF_INET6, (FAR6, 443)))
place = ("127.0.0.1", VICTIM)
attempt("fast open sendto", lambda: fast_open(lambda s: s.sendto(b"out", 0x20000000, place)))
attempt(
    "fast open sendmsg", lambda: fast_open(lambda s: s.sendmsg([b"out"], [], 0x20000000, place))
)
attempt("fast open connect", lambda: fast_open(lambda s: s.setsockopt(6, 30, 1)))
attempt("upper layer", lambda: fast_open(lambda s: s.setsockopt(6, 31, b"tls")))
attempt("attached program", lambda: fast_open(lambda s: s.setsockopt(1, 26, bytes(16))))
KINDS = {
    "unix stream": (1, 1, 0), "unix datagram": (1, 2, 0), "raw": (2, 3, 255), "raw icmp": (2, 3, 1),
    "ping": (2, 2, 1), "ping6": (10, 2, 58), "mptcp": (2, 1, 262), "sctp": (2, 1, 132),
    "udplite": (2, 2, 136), "dccp": (2, 6, 33), "packet": (17, 3, 768), "vsock": (40, 1, 0),
    "alg": (38, 5, 0), "smc": (43, 1, 0), "xdp": (44, 3, 0), "bluetooth": (31, 3, 0),
    "can": (29, 3, 1), "rds": (21, 5, 0), "tipc": (30, 5, 0), "key": (15, 3, 2), "qipcrtr": (42, 2, 0),
    "netlink audit": (16, 3, 9), "netlink netfilter": (16, 3, 12), "netlink generic": (16, 3, 16),
    "netlink uevent": (16, 3, 15), "unix high": (1 + (1 << 32), 1, 0), "raw high": (2, 3 + (1 << 40), 255),
}  # fmt: skip
for name, (family, kind, protocol) in KINDS.items():
    attempt(name, lambda: raw_connect(0, family, kind, protocol))
attempt(
    "pair of datagrams", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].close()
)
if "netlink" in sys.argv:
    with socket.socket(16, 3, 0) as routes:
        routes.bind((0, 0))
        for name, kind in (("add a route", 24), ("remove a route", 25), ("remove the link", 17)):
            body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 255, 2, 254, 2, 0) + struct.pack(
                "=HHI", 8, 4, 1
            )
            if kind == 17:
                body = struct.pack("=BxHiII", 0, 0, 1, 0, 1)
            routes.send(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body)
            (code,) = struct.unpack_from("=i", routes.recv(4096), 16)
            tell(name, errno.errorcode[-code] if code else "DONE")

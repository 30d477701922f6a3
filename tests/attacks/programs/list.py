"""Everything of the list, one attempt after the other; prints what became of each as JSON.

Told by the test: TIER, TUNNELS, NUMBERS (system calls by name).
"""

import ctypes
import errno
import json
import os
import socket
import ssl
import struct
from urllib.parse import urlsplit

libc = ctypes.CDLL(None, use_errno=True)
proxy = urlsplit(os.environ["http_proxy"])
gateway = urlsplit(os.environ["RINGFENCE_URL"])
token = os.environ["RINGFENCE_TOKEN"]


def call(name, *arguments):
    number = NUMBERS[name] if isinstance(name, str) else name
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    given += [ctypes.c_long(0)] * (6 - len(given))
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *given) < 0:
        raise OSError(ctypes.get_errno(), str(name))


def tcp(place, data=b""):
    with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET) as s:
        s.settimeout(30)
        s.connect(place)
        s.sendall(data)
        return s.recv(200).decode("latin-1")[:12]


def request(path, host, token=""):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def hello(name):
    """A ClientHello as OpenSSL writes it."""
    reading, writing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    made = context.wrap_bio(reading, writing, server_hostname=name)
    try:
        made.do_handshake()
    except ssl.SSLWantReadError:
        return writing.read()


def tls(name):
    """`alert` or `closed` where no handshake is answered; the first byte of it is 22."""
    said = tcp(("192.0.2.1", 443), hello(name))
    return "answered" if said[:1] == "\x16" else "refused"


def question(name):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0\0\x01\0\x01"


def by_datagram(name):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(30)
        s.sendto(question(name), ("8.8.8.8", 53))
        return f"rcode {s.recv(600)[3] & 15}"


def by_stream(name):
    with socket.socket() as s:
        s.settimeout(30)
        s.connect(("8.8.8.8", 53))
        asked = question(name)
        s.sendall(struct.pack(">H", len(asked)) + asked)
        return f"rcode {s.recv(600)[5] & 15}"


def resolved(name):
    try:
        return socket.getaddrinfo(name, 443)[0][4][0]
    except socket.gaierror:
        return "no such name"


def connect(target):
    host = target.rpartition("@")[2]
    return tcp((proxy.hostname, proxy.port), f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def quic():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.sendto(b"\xc0" + bytes(1199), ("192.0.2.1", 443))
        s.recv(10)


def fast_open(send):
    with socket.socket() as s:
        s.settimeout(2)
        send(s)
        s.recv(10)


def made(family, kind, protocol=0):
    call("socket", family, kind, protocol)


def child(do):
    pid = os.fork()
    if pid == 0:
        try:
            do()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"killed {-code}" if code < 0 else errno.errorcode.get(code, "DONE")


def routed():
    with socket.socket(16, 3, 0) as routes:
        routes.bind((0, 0))
        body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 255, 2, 254, 2, 0) + struct.pack("=HHI", 8, 4, 1)
        routes.send(struct.pack("=IHHII", 16 + len(body), 24, 5, 1, 0) + body)
        (code,) = struct.unpack_from("=i", routes.recv(4096), 16)
        if code:
            raise OSError(-code, "route")


attempt("web", lambda: tcp(("192.0.2.1", 80), request("/", "web.test")))
attempt("web of IPv6", lambda: tcp(("2001:db8::1", 80), request("/", "six.test")))
attempt("web, another Host", lambda: tcp(("192.0.2.1", 80), request("/", "127.0.0.1")))
attempt("tls", lambda: tls("tls.test"))
attempt("tls without a name", lambda: tls(None))
attempt("tls, a stranger's name", lambda: tls("xn--evil-9ua.test"))
for port in (22, 25, 8080):
    attempt(f"port {port}", lambda: tcp(("192.0.2.1", port)))
attempt("port 25 of IPv6", lambda: tcp(("2001:db8::1", 25)))
attempt("mapped", lambda: tcp(("::ffff:192.0.2.9", 25)))
attempt("fast open sendto", lambda: fast_open(lambda s: s.sendto(b"x", 0x20000000, ("192.0.2.1", 25))))
attempt("fast open sendmsg", lambda: fast_open(lambda s: s.sendmsg([b"x"], [], 0x20000000, ("192.0.2.1", 25))))
attempt("fast open connect", lambda: fast_open(lambda s: s.setsockopt(6, 30, 1)))
attempt("mptcp", lambda: made(2, 1, 262))
attempt("sctp", lambda: made(2, 1, 132))
attempt("quic", quic)
attempt("ping", lambda: made(2, 2, 1))
attempt("raw", lambda: made(2, 3, 255))
attempt("packet", lambda: made(17, 3, 768))
attempt("vsock", lambda: made(40, 1))
attempt("alg", lambda: made(38, 5))
attempt("smc", lambda: made(43, 1))
attempt("netlink", lambda: made(16, 3, 9))
attempt("unix", lambda: made(1, 1))
attempt("unix, high bits", lambda: made(1 + (1 << 32), 1))
attempt("pair of datagrams", lambda: call("socketpair", 1, 2, 0, bytes(8)))
attempt("io_uring", lambda: call("io_uring_setup", 8, bytes(120)))
for name in ("bpf", "ptrace", "userfaultfd", "keyctl", "perf_event_open", "process_vm_readv"):
    attempt(name, lambda: call(name, 0, 0, 0))
attempt("setns", lambda: call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0))
attempt("unshare", lambda: call("unshare", 0x10000000))
attempt("clone", lambda: call("clone", 0x10000000 | 17))
attempt("mount", lambda: call("mount", b"x", b"/tmp", b"tmpfs", 0, 0))
attempt("fsopen", lambda: call("fsopen", b"tmpfs", 0))
attempt("pivot_root", lambda: call("pivot_root", b".", b"."))
attempt("chroot", lambda: call("chroot", b"."))
attempt("route", routed)
attempt("lease", lambda: call("fcntl", os.open("/usr/bin/true", os.O_RDONLY), 1024, 0))
attempt("lease, high bits", lambda: call("fcntl", os.open("list.py", os.O_RDONLY), 1024 + (1 << 32), 1))
attempt("TIOCSTI", lambda: call("ioctl", 0, 0x5412, b"x"))
attempt("TIOCSTI, high bits", lambda: call("ioctl", 0, 0x5412 + (1 << 32), b"x"))
attempt("TIOCLINUX", lambda: call("ioctl", 0, 0x541C, b"x"))
attempt("memory of the first process", lambda: os.close(os.open("/proc/1/mem", os.O_RDWR)) if TIER == "reduced" else call("ptrace", 16, 1))
attempt("dns", lambda: by_datagram("secret.data.test"))
attempt("dns over tcp", lambda: by_stream("stream.test"))
attempt("long labels", lambda: resolved("a" * 60 + "." + "b" * 60 + ".data.test"))
for each in TUNNELS:
    attempt(each, lambda: connect(each))
attempt("token", lambda: tcp((gateway.hostname, gateway.port), request("/v1/models", "x", "rf_inv_stolen")))
attempt("control", lambda: tcp((gateway.hostname, gateway.port), request("/api/v1/sandboxes", "x", token)))
attempt("authority", lambda: tcp((proxy.hostname, proxy.port), request("http://mitm.it/cert/pem", "mitm.it")))
attempt("plain", lambda: tcp((proxy.hostname, proxy.port), request("http://plain.test/", "plain.test")))
attempt("in scope and inside", lambda: tcp((proxy.hostname, proxy.port), request("http://localhost/", "localhost")))
if os.uname().machine == "x86_64":
    attempt("x32", lambda: child(lambda: call(0x40000000 | 39)))
print(json.dumps(became))

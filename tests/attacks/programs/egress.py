"""Speaks to an allowed host, and past it: what became of each attempt, as JSON.

Told by the test: PORT (of the allowed host), TIER.
"""

import base64
import json
import os
import socket
import ssl
import struct
import threading
import time
from urllib.parse import urlsplit

proxy = urlsplit(os.environ["http_proxy"])
gateway = urlsplit(os.environ["RINGFENCE_URL"])
trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
HOST = f"localhost:{PORT}"
became = {}


def attempt(name, do):
    try:
        result = do()
    except (OSError, ssl.SSLError) as error:
        result = type(error).__name__
    became[name] = result


def dial(place=None):
    return socket.create_connection(place or (proxy.hostname, proxy.port), 15)


def until(s, end=b"\r\n\r\n", most=65536):
    data = b""
    while end not in data and len(data) < most:
        piece = s.recv(4096)
        if not piece:
            break
        data += piece
    return data


def rest(s):
    data = b""
    try:
        while piece := s.recv(65536):
            data += piece
    except (OSError, ssl.SSLError):
        pass
    return data


def short(answer):
    """The status of an answer, and the code of a refusal of ours."""
    head = answer.split(b"\r\n\r\n")[0].decode("latin-1").lower().split("\r\n")
    code = [line.partition(": ")[2] for line in head if line.startswith("ringfence-refusal:")]
    return " ".join([head[0][9:12] if head[0].startswith("http/") else head[0][:20] or "closed", *code])


def plainly(data, place=None):
    with dial(place) as s:
        s.sendall(data)
        s.settimeout(30)
        return until(s)


def tunnel(target=HOST):
    s = dial()
    s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = until(s)
    if b" 200 " not in head[:16]:
        raise ConnectionRefusedError(short(head))
    return s


def within(data, protocols=(), name="localhost", end=b"\r\n\r\n"):
    """What is answered to these bytes in a tunnel."""
    context = trust
    if protocols:
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        context.set_alpn_protocols(list(protocols))
    with context.wrap_socket(tunnel(), server_hostname=name) as s:
        spoken = s.selected_alpn_protocol()
        s.sendall(data)
        s.settimeout(30)
        return until(s, end) if not protocols else (spoken or "none").encode()


def get(path="/", *lines, host=HOST, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""]).encode()


def hello(*more, name=b"localhost"):
    """A ClientHello made by hand, with these further extensions."""
    names = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    extensions = [(0, names), (43, b"\x02\x03\x04"), (10, b"\0\2\0\x1d"), (13, b"\0\2\4\3"),
                  (51, struct.pack(">HHH", 36, 0x1D, 32) + os.urandom(32)), *more]
    body = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
    message = b"\3\3" + os.urandom(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack(">H", len(body)) + body
    message = b"\1" + len(message).to_bytes(3, "big") + message
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


def greeted(data, by_piece=0):
    with tunnel() as s:
        s.settimeout(30)
        if by_piece:
            s.setsockopt(6, 1, 1)
            for at in range(0, len(data), by_piece):
                s.sendall(data[at : at + by_piece])
        else:
            s.sendall(data)
        first = s.recv(1)
        return {b"\x16": "answered", b"\x15": "alert", b"": "closed"}.get(first, repr(first))


def web_socket(say):
    s = trust.wrap_socket(tunnel(), server_hostname="localhost")
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(get("/socket", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}").replace(b"Connection: close", b"Connection: Upgrade"))
    s.settimeout(30)
    head = until(s)
    if b" 101 " not in head[:16]:
        return short(head)
    s.sendall(say)
    return s.recv(4).hex() if say[0] == 0x81 else ("cut" if rest(s)[4:] == b"" else "passed")


def frame(data):
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(a ^ mask[i % 4] for i, a in enumerate(data))


ECH = (0xFE0D, b"\0" + struct.pack(">HHBH", 1, 1, 7, 32) + os.urandom(32) + struct.pack(">H", 64) + os.urandom(64))
attempt("allowed", lambda: short(within(get())))
attempt("one byte at a time", lambda: greeted(hello(), by_piece=1))
attempt("hidden name", lambda: greeted(hello(ECH)))
attempt("two names", lambda: greeted(hello((0, b"\0\x0c\0\0\x09evil.test"))))
attempt("another name", lambda: greeted(hello(name=b"evil.test")))
attempt("name with nul", lambda: greeted(hello(name=b"localhost\0.evil.test")))
attempt("name beyond ascii", lambda: greeted(hello(name="lоcalhost".encode())))  # noqa: RUF001 (a Cyrillic o)
for name, target in {
    "idn": "bücher.test:443", "mixed scripts": "lоcalhost:443", "fullwidth dot": "evil。test:443",
    "fullwidth letters": "ｌocalhost:443", "soft hyphen": "local\u00adhost:443", "a-label": "xn--bcher-kva.test:443",
}.items():
    attempt(name, lambda: short(plainly(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())))
attempt("http2 to the proxy", lambda: short(plainly(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
attempt("http2 to the gateway", lambda: short(plainly(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (gateway.hostname, gateway.port))))
attempt("http2 in a tunnel", lambda: short(within(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
attempt("http2 by alpn", lambda: within(b"", ("h2",)).decode())
attempt("http2 or 1 by alpn", lambda: within(b"", ("h2", "http/1.1")).decode())
attempt("h2c", lambda: short(within(get("/", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__").replace(b"Connection: close", b"Connection: Upgrade, HTTP2-Settings"))))
attempt("another upgrade", lambda: short(within(get("/", "Upgrade: evil/1").replace(b"Connection: close", b"Connection: Upgrade"))))
attempt("trace", lambda: short(within(get(method="TRACE"))))
attempt("connect in a tunnel", lambda: short(within(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")))
attempt("absolute form in a tunnel", lambda: short(within(get("https://evil.test/"))))
attempt("another host in a tunnel", lambda: short(within(get(host="evil.test"))))
attempt("second host", lambda: short(within(get().replace(b"Connection: close", b"X: y") + get(host="evil.test"), end=b"refusal").split(b"fine")[-1]))
attempt("two hosts", lambda: short(within(get("/", "Host: evil.test"))))
attempt("two lengths", lambda: short(within(get("/", "Content-Length: 3", "Content-Length: 5", method="POST") + b"abcde")))
attempt("length and chunks", lambda: short(within(get("/", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n")))
attempt("chunks with a tail", lambda: short(within(get("/", "Transfer-Encoding: chunked, identity", method="POST") + b"0\r\n\r\n")))
attempt("folded", lambda: short(within(get("/", "X: a\r\n b"))))
attempt("bare line feed", lambda: short(within(get("/", "X: a\nContent-Length: 5", method="POST"))))
attempt("nul in a header", lambda: short(within(get("/", "X: a\0b"))))
for path in ("/allowed/../admin", "/%2e%2e/admin", "//admin", "/a;b", "/a%2fb", "/a\\b"):
    attempt(f"path {path}", lambda: short(within(get(path))))
attempt("plain to where tls is declared", lambda: short(plainly(get(f"http://{HOST}/"))))
attempt("web socket", lambda: web_socket(frame(b"hello") + frame(b"bye")))
attempt("no frames in a web socket", lambda: web_socket(b"\xff" * 50))
if TIER == "strict":
    attempt("caught", lambda: "answered" if plainly(hello(), ("192.0.2.1", 443))[:1] == b"\x16" else "refused")


def slowly(number, begun):
    """One of many that never come to an end: half of a line, of a hello, of a body, or nothing."""
    try:
        if number % 4 == 0:
            s = dial()
            s.sendall(b"GET http://evil.test/ HTTP/1.1\r\nX: ")
        elif number % 4 == 1:
            s = tunnel()
            s.sendall(hello()[:40])
        elif number % 4 == 2:
            s = tunnel()
        else:
            s = dial((gateway.hostname, gateway.port))
            s.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        begun.append(s)
    except OSError:
        pass


slow = []
threads = [threading.Thread(target=slowly, args=(each, slow)) for each in range(120)]
for each in threads:
    each.start()
for each in threads:
    each.join()
began = time.monotonic()
attempt("beside many slow ones", lambda: short(within(get())))
became["beside many slow ones"] += "" if time.monotonic() - began < 15 else " late"
became["slow ones"] = "many" if len(slow) > 60 else str(len(slow))
print(json.dumps(became))

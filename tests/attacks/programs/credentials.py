"""Asks hosts through the proxy, with and without what it should not have, and searches for more.

Prints each answer as it came, in hexadecimal, after its name.
"""

import base64
import json
import os
import socket
import ssl
import sys
from urllib.parse import urlsplit

PORT, OTHER, CANARY = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])[::-1]
HELD = os.environ["CRM_TOKEN"]
TRUST = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


def ask(name: str, path: str, *lines: str, port: int = PORT, body: bytes = b"") -> None:
    proxy = urlsplit(os.environ["https_proxy"])
    try:
        plain = socket.create_connection((proxy.hostname, proxy.port), 20)
        plain.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += plain.recv(1)
        secure = TRUST.wrap_socket(plain, server_hostname="localhost")
        framing = f"Content-Length: {len(body)}" if body else "X-Nothing: 1"
        all_lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}", framing, *lines]
        secure.sendall("\r\n".join([*all_lines, "Connection: close", "", ""]).encode() + body)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
    except OSError as error:
        answer = repr(error).encode()
    print(name, answer.hex(), flush=True)


def search(name: str, data: bytes) -> None:
    if CANARY in data:
        print("FOUND", name.encode().hex(), flush=True)


ask("nothing", "/show/plain")
ask("placeholder", "/show/plain", f"Authorization: Bearer {HELD}")
ask("own", "/show/plain", "Authorization: Bearer sk-of-the-attacker", "X-Api-Key: sk-of-the-attacker")
ask("underscore", "/show/plain", "X_Api_Key: sk-of-the-attacker", "Private_Token: sk-of-the-attacker")
ask("query", "/show/plain?access_token=sk-of-the-attacker&page=2")
ask("override", "/show/plain", "X-HTTP-Method-Override: DELETE")
ask("session", "/show/plain", "Cookie: a=sk-of-the-attacker")
for form in ("base64", "hex", "url", "json", "gzip", "drip", "header", "redirect", "cookie"):
    ask(form, f"/show/{form}", "Accept-Encoding: gzip", "Range: bytes=0-9")
ask("dots", "/show/../other/plain")
ask("encoded", "/show/%2e%2e/other/plain")
pair = base64.b64encode(f"u:{HELD}".encode()).decode()
ask("abroad", "/", f"Authorization: Bearer {HELD}", port=OTHER)
ask("abroad-pair", "/", f"Authorization: Basic {pair}", port=OTHER)
ask("abroad-target", f"/?a={HELD}", port=OTHER)
ask("abroad-body", "/", port=OTHER, body=json.dumps({"a": HELD}).encode())
ask("other", "/", "X-Plain: 1", port=OTHER)
for entry in filter(str.isdigit, os.listdir("/proc")):
    for part in ("environ", "cmdline"):
        try:
            search(f"/proc/{entry}/{part}", open(f"/proc/{entry}/{part}", "rb").read())
        except OSError:
            pass
for top, _, files in os.walk("/"):
    if top.startswith(("/usr", "/proc", "/sys", "/dev")):
        continue
    for each in files:
        try:
            if os.path.isfile(f"{top}/{each}"):
                search(f"{top}/{each}", open(f"{top}/{each}", "rb").read(1 << 20))
        except OSError:
            pass
print("end", "", flush=True)

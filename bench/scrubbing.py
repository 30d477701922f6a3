"""Prints microseconds for searching an answer for one secret: `python -m bench.scrubbing`.

Least of seven, one stream of one piece; each text is made to cost what its kind costs.
"""

import base64
import json
import random
import timeit
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

from ringfence.protocols.scrubbing import Scrub, Scrubber, Shown

SECRET = b"sk-live-9fQ2mZ7xVb4TnK1cRw8Ly0Pd"
SENTENCE = 'The quick brown fox jumps over the lazy dog; "nothing" happens.\n'
BYTES = 64 * 1024


def searched(scrub: Scrub, text: bytes) -> bytes:
    """What passes of it."""
    return Scrubber(scrub).feed(text, is_last=True)


def filled(piece: str | bytes) -> bytes:
    """64 KB of it."""
    raw = piece.encode() if isinstance(piece, str) else piece
    return (raw * (BYTES // len(raw) + 1))[:BYTES]


def texts() -> Mapping[str, bytes]:
    """By what they are."""
    noise = random.Random(1).randbytes(BYTES)  # noqa: S311 (no secret)
    rows = [{"id": number, "name": "somebody", "ok": True} for number in range(2_000)]
    chat = {"role": "assistant", "content": SENTENCE * 40}
    packed = base64.b64encode(noise)[:BYTES]
    kilobyte = (SENTENCE * 16).encode()[: 1024 - len(SECRET)] + SECRET
    return {
        "an answer of 205 bytes": json.dumps(rows[:5]).encode()[:205],
        "base64": packed,
        "JSON": json.dumps(rows).encode()[:BYTES],
        "JSON, indented": json.dumps(rows, indent=2).encode()[:BYTES],
        "JSON within JSON": json.dumps(json.dumps(rows)).encode()[:BYTES],
        "text of a chat as JSON": filled(json.dumps(chat)),
        "HTML": filled(f"<p class='row'>{SENTENCE} &amp; more&nbsp;of it</p>\n"),
        "random bytes": noise,
        "every kilobyte a hit": filled(kilobyte),
        "base64 in lines": base64.encodebytes(noise)[:BYTES],
        "every seventh byte a backslash": filled(b"abcdef\\"),
        "a third percent-encoded": filled(quote("word and ()[]/?", safe="")),
    }


def least_us(scrub: Scrub, text: bytes) -> float:
    """Of one search."""
    timer = timeit.Timer(partial(searched, scrub, text))
    count = max(1, int(0.05 / max(timer.timeit(3) / 3, 1e-7)))
    return min(timer.repeat(repeat=7, number=count)) / count * 1e6


def main() -> None:
    """Measure and print."""
    scrub = Scrub([Shown(name="crm", value=SECRET, stand_in=b"rf-placeholder-000000000000000000")])
    for name, text in texts().items():
        print(f"{name:<34} {len(text):>7,} bytes {least_us(scrub, text):10.1f} µs")
    print(f"{'no secret bound':<48} {least_us(Scrub([]), texts()['JSON']):10.1f} µs")


if __name__ == "__main__":
    main()

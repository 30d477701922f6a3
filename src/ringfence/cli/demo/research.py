"""A sample agent for Anthropic's dialect, streamed: writes a report until its budget is spent.

It imports nothing of Ringfence. A base URL and a token are all that it knows.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

SECTIONS = 6
TIMEOUT_S = 30.0
PAYMENT_REQUIRED = 402


def ask(messages: list[dict[str, str]]) -> str:
    """The text of the model's answer, read as it comes."""
    body: dict[str, Any] = {
        "model": "demo-claude",
        "system": "You write reports, one section at a time.",
        "messages": messages,
        "max_tokens": 1000,
        "stream": True,
    }
    request = urllib.request.Request(  # noqa: S310 (the base URL that this agent was given)
        f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages",
        json.dumps(body).encode(),
        {
            "x-api-key": os.environ["ANTHROPIC_API_KEY"],
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
            "user-agent": "demo-research/1",
        },
    )
    pieces: list[str] = []
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 (as above)
        for line in response:
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line.removeprefix(b"data:"))
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            pieces.append(event.get("delta", {}).get("text", ""))
    return "".join(pieces)


def main() -> None:
    """Write sections until all are written or somebody says that it is enough."""
    messages: list[dict[str, str]] = []
    for number in range(1, SECTIONS + 1):
        messages.append({"role": "user", "content": f"Write section {number} of {SECTIONS}."})
        try:
            messages.append({"role": "assistant", "content": ask(messages)})
        except urllib.error.HTTPError as error:
            if error.code != PAYMENT_REQUIRED:
                raise
            told = json.load(error)["error"]["message"]
            sys.stdout.write(f"wrote {number - 1} of {SECTIONS} sections; then: {told}\n")
            return
    sys.stdout.write(f"wrote all {SECTIONS} sections\n")


if __name__ == "__main__":
    try:
        main()
    except urllib.error.HTTPError as error:
        sys.exit(f"status {error.code}: {error.read().decode(errors='replace')}")

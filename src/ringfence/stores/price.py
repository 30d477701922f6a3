"""Published prices: the rate cards of configured models, from the data of `genai-prices`.

That package takes half a second and 100 MB to import. It is therefore read by a short child
process, `ringfence.stores.price_list`, and what it said is kept in the data folder.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from ringfence.domain.error import UnavailableError
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.price import RateCard

_REVISION = 1
"""Counted up when this module reads the same data differently, so that old answers are dropped."""

_FILE = "prices.json"
_TIMEOUT_S = 60.0

_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR")
"""What the child may see of the environment: no secret, and no `HOME`, for it needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model whose price is asked for.

    Where `has_images` or `has_media` are set, such parts are let through, and input costs the most
    of what any of them costs: usage does not tell them apart.
    """

    protocol: ProviderProtocol
    base_url: str
    model: str
    has_images: bool = False
    has_media: bool = False


class Question(msgspec.Struct):
    """What the child is asked, as JSON on its standard input."""

    now_us: int
    wanted: Sequence[Wanted]


class Answer(msgspec.Struct):
    """What it answers: a card for each wanted model, in order, or None.

    `until_us` is when the first of these prices changes, as far as it is known today.
    """

    cards: Sequence[RateCard | None]
    until_us: int | None


class _Kept(msgspec.Struct):
    key: str
    answer: Answer


def resolve(
    wanted: Sequence[Wanted], cache_folder: Path, now_us: int
) -> Mapping[Wanted, RateCard | None]:
    """Find the price of each model; None where it is unknown.

    Takes about a millisecond from the cache and 0.5 to 1 s without; blocks. A price that depends on
    the time of day is the dearest of the day. Raises UnavailableError `price_data_unavailable`.
    """
    asked = sorted(set(wanted), key=repr)
    if not asked:
        return {}
    key = _key(asked)
    answer = _recall(cache_folder / _FILE, key, now_us)
    if answer is None:
        answer = _ask(Question(now_us=now_us, wanted=asked))
        if len(answer.cards) != len(asked):
            raise _unreadable()
        _keep(cache_folder / _FILE, _Kept(key=key, answer=answer))
    return dict(zip(asked, answer.cards, strict=True))


def _key(wanted: Sequence[Wanted]) -> str:
    of = (_REVISION, version("genai-prices"), wanted)
    return hashlib.sha256(msgspec.json.encode(of)).hexdigest()


def _recall(path: Path, key: str, now_us: int) -> Answer | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_current = kept.answer.until_us is None or now_us < kept.answer.until_us
    return kept.answer if kept.key == key and is_current else None


def _keep(path: Path, kept: _Kept) -> None:
    # The cache only saves time: a folder that cannot be written is reported by those who must.
    with suppress(OSError):
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(kept))
        fresh.replace(path)


def _ask(question: Question) -> Answer:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ringfence.stores.price_list"],
            input=msgspec.json.encode(question),
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Answer)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        raise _unreadable() from error


def _unreadable() -> UnavailableError:
    return UnavailableError(
        "price_data_unavailable",
        "the published prices could not be read",
        help="reinstall genai-prices, or give every model a `price`",
    )

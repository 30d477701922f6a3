import hashlib

from ringfence.testing.http import MemoryRequest
from ringfence.testing.model.journal import Journal

SECRET = b"Bearer sk-secret"
DIGEST = "sha256:" + hashlib.sha256(SECRET).hexdigest()


def test_headers_are_kept_and_credentials_only_as_digests() -> None:
    headers = [(b"authorization", SECRET), (b"user-agent", b"x"), (b"x-api-key", SECRET)]
    entry = Journal().open(MemoryRequest("POST", "/p", headers=headers), 5)
    assert entry.headers == {"authorization": DIGEST, "user-agent": "x", "x-api-key": DIGEST}
    assert (entry.number, entry.time_us, entry.method, entry.path) == (1, 5, "POST", "/p")


def test_a_credential_in_the_query_is_kept_only_as_a_digest() -> None:
    entry = Journal().open(MemoryRequest("POST", "/p?key=Bearer%20sk-secret&alt=sse"), 0)
    assert entry.query == {"key": DIGEST, "alt": "sse"}


def test_bodies_are_kept_by_number() -> None:
    journal = Journal()
    entry = journal.open(MemoryRequest("POST", "/"), 0)
    journal.keep(entry, b"body")
    assert (entry.body_bytes, entry.body_sha256) == (4, hashlib.sha256(b"body").hexdigest())
    assert (journal.body(1), journal.body(2)) == (b"body", None)


def test_what_is_kept_is_bounded_and_what_came_is_counted() -> None:
    journal = Journal()
    for _ in range(1001):
        journal.keep(journal.open(MemoryRequest("POST", "/"), 0), b"x")
    assert (journal.total, len(journal.entries)) == (1001, 1000)
    assert journal.entries[0].number == 2
    assert journal.body(1) is None


def test_everything_can_be_forgotten() -> None:
    journal = Journal()
    journal.keep(journal.open(MemoryRequest("POST", "/"), 0), b"x")
    journal.reset()
    assert (journal.total, journal.entries, journal.body(1)) == (0, [], None)

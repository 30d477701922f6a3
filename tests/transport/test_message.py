from ringfence.transport.message import count_of


def test_headers_are_counted_by_name() -> None:
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert [count_of(name, pairs) for name in (b"a", b"b", b"c")] == [2, 1, 0]

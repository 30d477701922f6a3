from ringfence.analysis.tool_use import Use, usage


def test_use_counts_calls_and_arguments_by_tool_and_agent() -> None:
    calls = [
        Use("triage", "crm__get", b'{"q":1,"status":"open"}'),
        Use("triage", "crm__get", b'{"q":2}'),
        Use("billing", "crm__get", b"{}"),
        Use("billing", "crm__put", b'{"x":1}'),
    ]
    assert usage(calls) == {
        "crm__get": {"triage": {"": 2, "q": 2, "status": 1}, "billing": {"": 1}},
        "crm__put": {"billing": {"": 1, "x": 1}},
    }


def test_what_cannot_be_read_counts_as_a_call_alone() -> None:
    calls = [Use("triage", "t", body) for body in (None, b"", b"[1]", b"\xff", b"[" * 5000)]
    assert usage(calls) == {"t": {"triage": {"": 5}}}

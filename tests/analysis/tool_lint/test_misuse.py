from ringfence.analysis.tool_lint.misuse import Mistake, Misuse, ToolUse, misuse


def test_mistakes_are_counted_by_parameter_and_model_before_and_after_a_change() -> None:
    uses = [ToolUse("crm__find", "small", at) for at in range(10)]
    mistakes = [
        Mistake("crm__find", "small", 1, ("status", "q")),
        Mistake("crm__find", "small", 2, ("status",)),
        Mistake("crm__find", "small", 8, ("q",)),
        Mistake("crm__find", "other", 8, ("q",)),
    ]
    found = misuse(uses, mistakes, {"crm__find": 5})
    assert found[:2] == (
        Misuse(
            tool="crm__find",
            parameter="q",
            model="small",
            wrong=1,
            calls=5,
            wrong_before=1,
            calls_before=5,
        ),
        Misuse(
            tool="crm__find",
            parameter="status",
            model="small",
            wrong=0,
            calls=5,
            wrong_before=2,
            calls_before=5,
        ),
    )
    assert (found[2].model, found[2].wrong, found[2].calls) == ("other", 1, 0)


def test_a_tool_that_never_changed_has_no_before() -> None:
    [found] = misuse([ToolUse("t", "m", 1)], [Mistake("t", "m", 1, ("a",))], {})
    assert (found.wrong, found.calls, found.calls_before) == (1, 1, 0)

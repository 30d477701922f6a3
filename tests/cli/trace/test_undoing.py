from ringfence.analysis.undo import Undo
from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.undoing import undo_lines


def test_what_can_be_undone_comes_first_and_in_order() -> None:
    steps = [
        Undo(
            action="act_2",
            resource="crm__create_order",
            time_us="0",
            permission="write",
            tool="crm__cancel_order",
            arguments='{"id":7}',
        ),
        Undo(
            action="act_1",
            resource="crm__send_mail",
            time_us="0",
            permission="consequential",
            why="nothing is declared",
        ),
    ]
    lines = undo_lines(steps, Style())
    assert lines[0] == "1 of 2 can be undone, in this order:"
    assert lines[1] == '  1  crm__cancel_order {"id":7}'
    assert "undoes crm__create_order" in lines[2]
    assert lines[-2:] == ["     crm__send_mail  act_1", "     nothing is declared"]

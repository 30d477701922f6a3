"""`ringfence trace undo`: the calls that undo a trace, for people."""

from collections.abc import Sequence

from ringfence.analysis.undo import Undo
from ringfence.cli.terminal.moment import show_time
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.text import harmless


def undo_lines(found: Sequence[Undo], style: Style) -> list[str]:
    """What can be undone, in the order in which to do it; then what cannot."""
    able = [each for each in found if each.tool]
    unable = [each for each in found if not each.tool]
    lines = [style.bold(f"{len(able)} of {len(found)} can be undone, in this order:")]
    for number, each in enumerate(able, 1):
        what = f"{harmless(each.resource)} of {show_time(int(each.time_us))}"
        lines.append(f"{number:>3}  {style.name(harmless(each.tool))} {harmless(each.arguments)}")
        lines.append(style.dim(f"     undoes {what}  {each.action}"))
    if unable:
        lines += ["", style.warning("These cannot:")]
    for each in unable:
        lines.append(f"     {style.name(harmless(each.resource))}  {style.dim(each.action)}")
        lines.append(f"     {harmless(each.why)}")
    return lines

from ringfence.analysis.tool_stats import ToolStats
from ringfence.cli.terminal.style import Style
from ringfence.cli.tools.stats import stats_lines


def test_a_line_says_how_often_a_tool_works_how_fast_and_what_goes_wrong() -> None:
    stats = ToolStats(
        tool="crm__get_job",
        agent="triage",
        version="2",
        calls=1_200,
        ok=1_080,
        success_ratio=0.9,
        errors={"429": 100, "timeout": 15, "tool_error": 4, "5xx": 1},
        median_us=40_000,
        p95_us=300_000,
        cost_nano="1200000000",
    )
    [_, line] = stats_lines([stats], Style())
    assert line.split()[:8] == ["crm__get_job", "triage", "2", "1,200", "90.0%", "40", "ms", "300"]
    assert line.endswith("$1.20  429 ×100, timeout ×15, tool_error ×4")

from ringfence.analysis.branch import Branch, walk


def branch(name: str, *children: Branch) -> Branch:
    return Branch(invocation=name, children=list(children))


def test_a_walk_meets_parents_before_their_children_and_everybody_once() -> None:
    tree = branch("root", branch("a", branch("a1"), branch("a2")), branch("b"))
    assert [each.invocation for each in walk(tree)] == ["root", "a", "a1", "a2", "b"]


def test_two_branches_share_nothing_that_one_of_them_fills() -> None:
    one, other = branch("one"), branch("other")
    one.steps.clear()
    one.totals.steps = 3
    assert one.steps is not other.steps
    assert other.totals.steps == 0

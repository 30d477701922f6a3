from ringfence.testing.model import listing


def test_each_family_lists_in_its_own_form() -> None:
    models = ("a", "b")
    assert [entry["id"] for entry in listing.openai(models)["data"]] == ["a", "b"]
    anthropic = listing.anthropic(models)
    assert (anthropic["first_id"], anthropic["last_id"]) == ("a", "b")
    assert [entry["name"] for entry in listing.gemini(models)["models"]] == ["models/a", "models/b"]


def test_nothing_is_listed_as_nothing() -> None:
    assert listing.anthropic(()) == {"data": [], "has_more": False}

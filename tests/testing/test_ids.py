from ringfence.testing.ids import SequentialIds


def test_ids_count_up_over_all_types() -> None:
    ids = SequentialIds()
    made = [ids.make("inv"), ids.make("act"), ids.make("inv")]
    assert [name.partition("_")[0] for name in made] == ["inv", "act", "inv"]
    assert [name[-1] for name in made] == ["1", "2", "3"]


def test_the_same_sequence_comes_every_time() -> None:
    assert SequentialIds().make("act") == SequentialIds().make("act")

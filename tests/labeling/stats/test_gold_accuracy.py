"""How judgments are held against an answer key."""

from labeling.stats import gold_accuracy

KEY = {1: 1, 2: 2, 3: 2}


def test_each_pair_in_the_key_s_order_agrees_and_a_tie_agrees_half():
    assert gold_accuracy.with_key(KEY, {1: 1, 2: 2, 3: 3}) == (2, 2)
    assert gold_accuracy.with_key(KEY, {1: 1, 2: 1, 3: 2}) == (1.5, 2)
    assert gold_accuracy.with_key(KEY, {1: 3, 2: 2, 3: 1}) == (0, 2)


def test_a_judgment_without_ranks_is_compared_with_nothing():
    assert gold_accuracy.with_key(KEY, dict.fromkeys(KEY)) == (0, 0)


def test_figures_are_each_persons_own_over_all_their_gold_tasks():
    said = [
        ("t", person, answer, rank)
        for person, ranks in {None: KEY, 7: KEY, 8: {1: 2, 2: 1, 3: 2}}.items()
        for answer, rank in ranks.items()
    ]
    said += [("u", None, 4, 1), ("u", None, 5, 2), ("u", 8, 4, None), ("u", 8, 5, None)]
    found = gold_accuracy.by_labeler(said)

    assert found[7] == gold_accuracy.Gold(judged=1, agreed=2, pairs=2)
    assert found[8] == gold_accuracy.Gold(judged=2, agreed=0.5, pairs=2)
    assert (found[7].agreement, found[8].agreement) == (1, 0.25)


def test_nothing_compared_is_no_figure():
    assert gold_accuracy.Gold(judged=1).agreement is None
    assert gold_accuracy.by_labeler([("t", None, 1, 1), ("t", None, 2, 2)]) == {}

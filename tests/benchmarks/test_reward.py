"""The race of reward models: what is learned from, and what a part of the pairs is."""

from benchmarks import reward


def test_an_answer_with_more_liked_words_is_ranked_higher():
    for row in reward.liked_rows(prompts=20, k=4):
        texts = [answer["text"].rstrip(".").split() for answer in row["answers"]]
        liked = [sum(word in reward.LIKED for word in words) for words in texts]
        (judgment,) = row["judgments"]
        by_rank = [count for _, count in sorted(zip(judgment["ranks"], liked))]
        assert by_rank == sorted(set(liked), reverse=True)
        assert {len(words) for words in texts} == {24}


def test_a_third_of_the_prompts_is_held_out():
    splits = [row["split"] for row in reward.liked_rows(prompts=30, k=4)]
    assert splits.count("test") == 10


def test_some_pairs_are_drawn_from_all_and_the_same_each_time():
    example = {"answers": [[1], [2], [3]], "pairs": [(0, 1), (0, 2), (1, 2)]}
    drawn = [reward.some_pairs(example, 2, seed) for seed in range(20)]

    assert drawn == [reward.some_pairs(example, 2, seed) for seed in range(20)]
    assert all(len(set(part["pairs"])) == 2 for part in drawn)
    assert {pair for part in drawn for pair in part["pairs"]} == set(example["pairs"])
    assert len(reward.some_pairs(example, 9, 0)["pairs"]) == 3

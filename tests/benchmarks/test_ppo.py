"""The figures of benchmarks/ppo.py: the best of n, over all choices among the draws, and the fitted
laws.
"""

import itertools
import json
import math
import statistics

import pytest

from benchmarks import hidden_rule, ppo

pytestmark = pytest.mark.torch  # for its intervals

DRAWS = [(0.3, "I see"), (0.1, "we, you and I"), (0.9, "no"), (0.5, "the sea, the sky")]


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_best_of_m_is_the_mean_over_all_choices_of_m_draws(m):
    best = [max(choice, key=lambda draw: draw[0]) for choice in itertools.combinations(DRAWS, m)]
    point = ppo.best_of_point([DRAWS], m)
    assert point["proxy"] == pytest.approx(statistics.mean(reward for reward, _ in best))
    assert point["gold"] == pytest.approx(
        statistics.mean(hidden_rule.score(text) for _, text in best)
    )
    assert point["kl"] == pytest.approx(math.log(m) - 1 + 1 / m)


def test_the_laws_find_the_numbers_that_made_the_curve():
    distances = [0.0, 0.5, 1.0, 2.0, 3.0]
    best = [{"policy": "best of n", "kl": d**2, "gold": 7 + d * (2 - 0.3 * d)} for d in distances]
    free = [
        {"policy": "free", "kl": d**2, "gold": 7 + (d * (2 - 0.6 * math.log(d)) if d else 0)}
        for d in distances
    ]
    found = ppo.laws(best + free + [{"policy": "planted", "kl": 0.0, "gold": 7}])
    expected = {
        "best_of_n_gold_alpha": 2,
        "best_of_n_gold_beta": 0.3,
        "free_gold_alpha": 2,
        "free_gold_beta": 0.6,
    }
    assert found == pytest.approx(expected)


def test_no_prompt_to_learn_from_or_to_choose_by_is_a_fresh_one(tmp_path):
    fresh = ppo.write_rows(tmp_path, ppo.ROOT / "benchmarks" / "loop_prompts.jsonl", quick=False)
    used = [
        json.loads(line) for line in (tmp_path / "prompts" / "rows.jsonl").read_text().splitlines()
    ]
    asked = [[row["messages"][0]["content"] for row in rows] for rows in (fresh, used)]
    assert not set(asked[0]) & set(asked[1])
    assert {
        split: sum(row["split"] == split for row in used)
        for split in ("train", "validation", "test")
    } == {
        "train": 96,
        "validation": ppo.CHOOSING,
        "test": 0,
    }
    assert len(fresh) == 64 - ppo.CHOOSING

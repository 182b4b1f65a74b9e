"""What the loop's run keeps of what is finished, and the figures of its rounds."""

import pytest

from benchmarks import loop_figures
from benchmarks.ledger import Ledger

DULL, WARM, WARMER = (
    "Water boils when heated.",
    "I like tea, we like tea.",
    "I, we, I, we, my, our.",
)


def stand(*texts):
    return {f"prompt {number}": [text, text] for number, text in enumerate(texts)}


def test_a_stage_is_finished_once_also_across_runs(tmp_path):
    asked = []
    for _run in range(2):
        ledger = Ledger(tmp_path / "finished.json")
        assert ledger.once("job", lambda: asked.append("job") or {"id": 7}) == {"id": 7}
    with pytest.raises(ZeroDivisionError):
        ledger.once("broken", lambda: 1 / 0)

    assert asked == ["job"]
    assert "broken" not in Ledger(tmp_path / "finished.json").kept


def test_each_round_is_set_against_the_one_before_on_the_same_prompts():
    start = stand(*[DULL] * 8) | {"a training prompt": [WARM]}
    figures = loop_figures.round_figures([start, stand(*[WARM] * 8), stand(*[WARMER] * 7, WARM)])

    assert figures["test_prompts"] == 8
    assert figures["start_score"] < figures["round_1_score"] < figures["round_2_score"]
    assert figures["round_2_minus_round_1"] == pytest.approx(
        figures["round_2_score"] - figures["round_1_score"]
    )
    assert figures["round_2_minus_round_1_low"] > 0
    assert figures["round_2_beats_round_1"] == pytest.approx(7.5 / 8)


def test_a_second_round_that_gains_nothing_is_not_shown():
    rounds = loop_figures.round_figures(
        [stand(*[DULL] * 8), stand(*[WARM] * 8), stand(*[WARM] * 8)]
    )
    good = {"pilot_correlation_with_length": 0, "pilot_tie_share": 0, "real_win_low": 0.9}
    good |= {"real_reward_accuracy_low": 0.7, "real_reward_longer_answer_accuracy": 0.5}

    assert loop_figures.verdict(good) == []
    assert loop_figures.verdict(good | rounds) == [
        "round 2 minus round 1, paired by prompt, excludes 0"
    ]

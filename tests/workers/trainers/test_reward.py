"""The reward trainer's loss and passes, each held against a plain transcription of what it says it
is.
"""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from modelops import recipes
from tests.workers import tiny
from tests.workers.trainers.test_parts import row
from workers.modeling import gradient_cache, prefix_packing, scoring, tokens
from workers.trainers import reward
from workers.trainers.data import comparisons
from workers.trainers.ranking_loss import log_chances, ranking_loss

pytestmark = pytest.mark.torch


def recipe(**settings):
    return recipes.read("reward", settings)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cost(scores, winner, loser, **how):
    """What one pair costs by ranking_loss()."""
    margins, tied = how.pop("margin", 0.0), torch.tensor([how.pop("tied", False)])
    pair = torch.tensor([winner]), torch.tensor([loser]), torch.ones(1)
    return ranking_loss(torch.tensor(scores), *pair, torch.tensor([margins]), tied, **how).item()


# --- the formulas ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (1.5, -0.5), (-2.0, 1.0)])
def test_ties_by_rao_and_kupper_1967(first, second):
    """π_i / (π_i + θπ_j) for a win, (θ² − 1) π_i π_j / ((π_i + θπ_j)(π_j + θπ_i)) for a tie; θ from
    the share at equality.
    """
    one, other, theta = math.exp(first), math.exp(second), 1.3 / 0.7
    win = one / (one + theta * other)
    tie = (theta**2 - 1) * one * other / ((one + theta * other) * (other + theta * one))

    how = {"ties": "rao-kupper", "tie_share": 0.3}
    assert cost([first, second], 0, 1, **how) == pytest.approx(-math.log(win), abs=1e-5)
    assert cost([first, second], 0, 1, tied=True, **how) == pytest.approx(-math.log(tie), abs=1e-5)


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (1.5, -0.5), (-2.0, 1.0)])
def test_ties_by_davidson_1970(first, second):
    """π_i, π_j and ν √(π_i π_j), each over their sum; ν from the share at equality."""
    one, other, nu = math.exp(first), math.exp(second), 0.6 / 0.7
    whole = one + other + nu * math.sqrt(one * other)

    how = {"ties": "davidson", "tie_share": 0.3}
    assert cost([first, second], 0, 1, **how) == pytest.approx(-math.log(one / whole), abs=1e-5)
    tie = nu * math.sqrt(one * other) / whole
    assert cost([first, second], 0, 1, tied=True, **how) == pytest.approx(-math.log(tie), abs=1e-5)


@pytest.mark.parametrize("ties", ["rao-kupper", "davidson"])
def test_a_win_a_loss_and_a_tie_are_all_there_is_and_equals_tie_at_the_share(ties):
    chances = [part.exp() for part in log_chances(torch.tensor([0.0, 0.7, -3.0]), ties, 0.3)]
    assert sum(chances).tolist() == pytest.approx([1, 1, 1])
    assert chances[2][0].item() == pytest.approx(0.3)


def test_a_margin_asks_for_more_distance():
    """Touvron et al. 2023 (Llama 2), equation 2: −log σ(r_chosen − r_rejected − m)."""
    assert cost([1.0, 0.2], 0, 1, margin=0.5) == pytest.approx(-math.log(sigmoid(1.0 - 0.2 - 0.5)))


def test_smoothing_takes_some_judgments_for_the_wrong_way_round():
    """Mitchell 2023 (conservative DPO): −(1 − ε) log σ(d) − ε log σ(−d)."""
    expected = -0.9 * math.log(sigmoid(0.8)) - 0.1 * math.log(sigmoid(-0.8))
    assert cost([1.0, 0.2], 0, 1, smoothing=0.1) == pytest.approx(expected)


def test_each_head_has_a_loss_of_its_own_and_theirs_is_the_mean():
    pair = torch.tensor([0]), torch.tensor([1]), torch.ones(1)
    one, other = torch.tensor([1.0, 0.2]), torch.tensor([-1.0, 3.0])
    both = ranking_loss(torch.stack([one, other]), *pair)
    assert both == (ranking_loss(one, *pair) + ranking_loss(other, *pair)) / 2


# --- the judgments --------------------------------------------------------------------------------


def judged(*judgments, texts="ab"):
    return row([], texts=texts) | {"judgments": list(judgments)}


def pairs(row, **settings):
    group = comparisons.of_row(row, ties=settings.get("ties", "dropped") != "dropped")
    return example(group, **settings)["pairs"]


def example(group, **settings):
    words = tiny.tokenizer()
    return reward.example(group, group.answers(words, 512), words.pad_token_id, recipe(**settings))


def test_a_judgment_counts_by_its_weight_unless_told_otherwise():
    found = judged(
        {"ranks": [1, 2], "weight": 0.3},
        {"ranks": [2, 1], "weight": 0.1},
        {"ranks": [1, 2], "weight": 0.0},
    )
    assert [pair[2] for pair in pairs(found)] == pytest.approx([0.75, 0.25])
    assert [pair[2] for pair in pairs(found, weighted=False)] == pytest.approx([1 / 3] * 3)


def test_a_stated_strength_becomes_a_margin_whichever_side_it_favours():
    found = judged(
        {"ranks": [1, 2], "strength": 3},
        {"ranks": [2, 1], "strength": -1},
        {"ranks": [1, 2], "strength": None},
    )
    assert [pair[3] for pair in pairs(found, margin=0.5)] == [1.5, 0.5, 0.0]
    assert [pair[3] for pair in pairs(found)] == [0.0, 0.0, 0.0]


def test_a_tie_is_learned_from_only_where_ties_are_modelled():
    found = judged({"ranks": [1, 1, 2]}, texts="abc")
    assert [pair[:2] for pair in pairs(found)] == [(0, 2), (1, 2)]
    assert [(*pair[:2], pair[4]) for pair in pairs(found, ties="davidson")] == [
        (0, 2, False),
        (1, 2, False),
        (0, 1, True),
    ]


def test_the_papers_settings_are_the_papers_and_the_rate_grows_as_the_model_shrinks():
    paper = reward.preset(recipe(preset="paper", epochs=9, ties="davidson"))
    assert (paper.epochs, paper.batch, paper.ties, paper.lora) == (1.0, 64, "dropped", False)
    assert reward.at_size(paper, 6 * 10**9).learning_rate == pytest.approx(9e-6)
    assert reward.at_size(paper, 135 * 10**6).learning_rate == pytest.approx(4.1e-5, rel=0.02)
    assert reward.at_size(recipe(), 10).learning_rate == recipe().learning_rate


# --- the passes -----------------------------------------------------------------------------------


def test_a_bucket_holds_rows_of_similar_length_within_the_budget():
    assert gradient_cache.buckets([10, 50, 11, 12, 48, 12], 40) == [[0, 2, 3], [5], [4], [1]]
    assert gradient_cache.parts([10, 50, 11, 12, 48, 12], 60) == [[[0, 2, 3, 5]], [[4]], [[1]]]


def test_every_row_is_in_one_part_and_the_largest_part_comes_last():
    lengths = [(7 * i) % 97 + 3 for i in range(60)]
    found = gradient_cache.parts(lengths, 300)
    assert sorted(row for part in found for rows in part for row in rows) == list(range(60))
    size = [sum(len(rows) * max(lengths[row] for row in rows) for rows in part) for part in found]
    assert max(size) == size[-1] <= 300


@pytest.fixture(scope="module")
def dropping(tmp_path_factory):
    """A scoring model with dropout, in training, and one prompt of nine answers of many lengths as
    its inputs.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    folder = tiny.save_other(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).train()
    texts = ["the sea and the sky " * i for i in range(1, 10)]
    group = comparisons.of_row(row([3, 1, 2, 2, 5, 4, 6, 7, 3], texts=texts))
    return model, reward.collate([example(group)], tiny.tokenizer().pad_token_id, of=1)


@pytest.fixture
def unpacked(monkeypatch):
    """Each answer is a row of its own, with its prompt."""
    monkeypatch.setattr(prefix_packing, "FAMILIES", set())


def gradients(model, inputs, budget):
    model.zero_grad()
    torch.manual_seed(5)
    loss = reward.learn(model, inputs, budget)
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()]), torch.rand(1)


def forwards(model):
    seen = []
    hook = model.register_forward_hook(lambda *call: seen.append(call[2].logits.requires_grad))
    return seen, hook


def test_two_passes_give_the_loss_and_gradients_of_one_dropout_included(
    dropping, unpacked, monkeypatch
):
    model, inputs = dropping
    lengths = inputs["mask"].sum(1).tolist()
    singles = [
        [row] for row in sorted(range(9), key=lambda row: lengths[row])
    ]  # in one order, for dropout's sake
    seen, hook = forwards(model)

    monkeypatch.setattr(gradient_cache, "parts", lambda *_: [singles])
    loss, gradient, after = gradients(model, inputs, 10**6)
    once = seen.copy()
    monkeypatch.setattr(
        gradient_cache, "parts", lambda *_: [singles[:3], singles[3:5], singles[5:]]
    )
    in_two, gradient_in_two, after_two = gradients(model, inputs, 10**6)
    hook.remove()

    assert once == [True] * 9
    assert seen[9:] == [False] * 5 + [True] * 9
    assert in_two == pytest.approx(loss, rel=1e-6)
    assert torch.allclose(gradient_in_two, gradient, rtol=1e-4, atol=1e-6)
    assert after == after_two


@pytest.fixture(scope="module")
def llama(tmp_path_factory, dropping):
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    folder = tiny.save(tmp_path_factory.mktemp("models") / "llama")
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2), dropping[1]


@pytest.mark.parametrize("family", ["dropping", "llama"])
@pytest.mark.parametrize("budget", [100, 10**6])
def test_the_loss_of_packed_answers_is_that_of_one_padded_batch(request, family, budget):
    model, inputs = request.getfixturevalue(family)
    rows = [
        row[:length] for row, length in zip(inputs["ids"].tolist(), inputs["mask"].sum(1).tolist())
    ]
    assert prefix_packing.helps(model)
    assert prefix_packing.length(rows) >= prefix_packing.SHORTEST
    model.eval()
    names = ("winners", "losers", "weights")
    expected = ranking_loss(
        scoring.logits(model, inputs["ids"], inputs["mask"]).T, *(inputs[name] for name in names)
    )
    model.zero_grad()
    expected.backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()])

    loss, gradient, _ = gradients(model, inputs, budget)
    model.train()

    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-5)


CYCLE = [("the sea", "a sky"), ("a sky", "so many words of it"), ("so many words of it", "the sea")]


def judged_pairs():
    """Rows of one prompt: each pair of a cycle was judged by other people, the first by two."""
    how = [{"weight": 0.5, "strength": 2}, {"weight": 2.0}, {"weight": 1.0, "strength": -1}]
    found = [
        judged({"ranks": [1, 2]} | said, texts=texts) | {"prompt_id": "one"}
        for texts, said in zip(CYCLE, how)
    ]
    found[0]["judgments"].append({"ranks": [2, 1], "weight": 1.5})
    return [found[0], judged({"ranks": [2, 1]}) | {"prompt_id": "two"}, *found[1:]]


def test_the_rows_of_a_prompt_are_one_group_with_each_distinct_answer_once():
    first, second = comparisons.of_rows(judged_pairs())

    assert (first.prompt_id, second.prompt_id) == ("one", "two")
    assert first.texts == ["the sea", "a sky", "so many words of it"]
    assert first.pairs == first.lessons == [(0, 1), (1, 0), (1, 2), (2, 0)]
    assert [verdict.weight for verdict in first.verdicts] == [0.5, 1.5, 2.0, 1.0]
    assert [verdict.strength for verdict in first.verdicts] == [2, 0, 0, 1]


def test_an_answer_has_ended_if_it_did_in_any_row_of_its_prompt():
    found = judged_pairs()
    found[0]["answers"][1]["finish_reason"] = "length"
    found[2]["answers"][1]["finish_reason"] = "length"
    group = comparisons.of_rows(found)[0]

    assert dict(zip(group.texts, group.ended)) == {
        "the sea": True,
        "a sky": True,  # cut in the first row, whole in the second
        "so many words of it": True,  # whole in the third
    }
    found[3]["answers"][0]["finish_reason"] = "length"
    assert comparisons.of_rows(found)[0].ended == [True, True, False]


def test_rows_of_a_prompt_in_different_splits_stay_apart():
    found = judged_pairs()
    found[0]["split"] = "test"

    assert [(g.split, len(g.pairs)) for g in comparisons.of_rows(found)] == [
        ("test", 2),
        ("train", 1),
        ("train", 2),
    ]


@pytest.mark.parametrize("family", ["dropping", "llama"])
def test_judged_pairs_are_learned_as_if_each_was_read_apart(request, family):
    """The loss of each pair from two forwards of its own, weighted within its prompt: the loss and
    the gradients of the group, which reads three answers in place of eight.
    """
    model, _ = request.getfixturevalue(family)
    model.eval()
    pad, groups = tiny.tokenizer().pad_token_id, comparisons.of_rows(judged_pairs())
    settings = {"margin": 0.5, "weighted": True}
    inputs = reward.collate([example(group, **settings) for group in groups], pad, of=2)
    expected = torch.zeros(())
    for rows_of_prompt in (judged_pairs()[::2] + judged_pairs()[3:], judged_pairs()[1:2]):
        apart = [comparisons.of_row(one) for one in rows_of_prompt]
        total = sum(verdict.weight for group in apart for verdict in group.verdicts)
        for group in apart:
            answers = example(group, **settings)["answers"]
            for v in group.verdicts:
                won, lost = (
                    scoring.logits(model, torch.tensor([ids]), torch.ones(1, len(ids)).long())[0]
                    for ids in (answers[v.winner], answers[v.loser])
                )
                difference = won - lost - 0.5 * v.strength
                loss = -torch.nn.functional.logsigmoid(difference).mean()
                expected = expected + v.weight / total * loss / 2
    model.zero_grad()
    expected.backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()])
    loss, gradient, _ = gradients(model, inputs, 10**6)
    model.train()

    assert inputs["ids"].shape[0] == 3 + 2
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-5)


BEGIN = list(range(20))
ROWS = [[*BEGIN, 1, 2], [7, 8, 9], [*BEGIN, 1, 3, 4], [*BEGIN, 1], [5] * 20, [6] * 30]


def test_rows_share_what_all_of_them_begin_with_but_never_a_whole_row():
    assert prefix_packing.length([ROWS[0], ROWS[2], ROWS[3]]) == 20
    assert prefix_packing.length([ROWS[0], ROWS[2]]) == 21
    assert prefix_packing.length([ROWS[0]]) == 0
    assert prefix_packing.length([row[10:] for row in (ROWS[0], ROWS[2])]) == 0
    assert prefix_packing.own_lengths(ROWS, [0, 1, 0, 0, 2, 2]) == [2, 3, 3, 1, 20, 30]


def test_a_packed_row_holds_each_prompt_once_and_what_follows_it_goes_on_from_there():
    found = prefix_packing.pack(ROWS, [0, 1, 0, 0, 2, 2])
    assert len(found.ids) == sum(prefix_packing.own_lengths(ROWS, [0, 1, 0, 0, 2, 2])) + 20
    for number, one in enumerate(ROWS):
        assert found.ids[found.ends[number]] == one[-1]
        assert found.positions[found.ends[number]] == len(one) - 1
    assert [stretch.own.stop - stretch.own.start for stretch in found.stretches] == [
        20,
        2,
        3,
        1,
        3,
        20,
        30,
    ]


@torch.inference_mode()
@pytest.mark.parametrize("family", ["dropping", "llama"])
def test_rows_of_many_prompts_score_in_one_row_as_each_by_itself(request, family):
    model, inputs = request.getfixturevalue(family)
    model.eval()
    rows = [
        row[:length] for row, length in zip(inputs["ids"].tolist(), inputs["mask"].sum(1).tolist())
    ]
    rows = [*rows[:4], *[row[1:] for row in rows[4:7]], rows[7]]
    alone = torch.cat([scoring.logits(model, *tokens.padded([row], 0)) for row in rows])
    together = prefix_packing.logits(model, rows, [0, 0, 0, 0, 1, 1, 1, 2])
    mixed = prefix_packing.logits(model, [rows[5], rows[0], rows[4], rows[3]], [1, 0, 1, 0])
    model.train()

    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert torch.allclose(mixed, alone[[5, 0, 4, 3]], rtol=1e-4, atol=1e-5)
    assert model.config._attn_implementation != prefix_packing.NAME


def test_scores_come_in_the_order_of_the_answers_however_they_are_read(
    llama, unpacked, monkeypatch
):
    model, inputs = llama
    rows = [
        row[:length] for row, length in zip(inputs["ids"].tolist(), inputs["mask"].sum(1).tolist())
    ]
    monkeypatch.setattr(scoring, "budget", lambda: 60)
    apart = scoring.score_heads(model, rows, 0)
    monkeypatch.setattr(prefix_packing, "FAMILIES", {"llama"})
    assert torch.allclose(
        scoring.score_heads(model, rows, 0, [0] * len(rows)), apart, rtol=1e-4, atol=1e-5
    )
    assert torch.allclose(scoring.score_heads(model, rows, 0), apart, rtol=1e-4, atol=1e-5)


def test_rows_in_order_fill_a_pass_to_its_budget():
    assert gradient_cache.in_order([3, 4, 9, 1, 1, 1], 7) == [[0, 1], [2], [3, 4, 5]]


def test_prompts_share_a_pass_as_long_as_the_budget_holds_them():
    prompt = {"answers": [[1] * 10, [2] * 12], "pairs": [(0, 1, 1.0, 0.0, False)]}
    found = reward.micro_batches([prompt] * 5, pad=0, budget=50)
    assert [part["ids"].shape[0] for part in found] == [4, 4, 2]
    assert [part["prompts"].tolist() for part in found] == [[0, 0, 1, 1]] * 2 + [[0, 0]]
    assert sum(part["weights"].sum() for part in found).item() == pytest.approx(1)


# --- heads and the shift --------------------------------------------------------------------------


def test_several_heads_are_a_classifier_whose_mean_is_the_reward_and_whose_spread_is_a_figure(
    dropping,
):
    model, inputs = dropping
    model.eval()
    answers = [ids[: int(mask.sum())].tolist() for ids, mask in zip(inputs["ids"], inputs["mask"])]
    values, spreads = reward.by_prompt(
        [answers[:4], answers[4:]], model, tiny.tokenizer().pad_token_id
    )

    with torch.inference_mode():
        each = model(input_ids=inputs["ids"], attention_mask=inputs["mask"]).logits
        ours = scoring.rewards(model, inputs["ids"], inputs["mask"])
    model.train()

    assert ours.tolist() == pytest.approx(each.mean(1).tolist(), abs=1e-5)
    assert values[0] + values[1] == pytest.approx(each.mean(1).tolist(), abs=1e-4)
    spread = [abs(one - other) / 2 for one, other in each.tolist()]
    assert spreads[0] + spreads[1] == pytest.approx(spread, abs=1e-4)


def test_the_shift_is_the_mean_training_demonstration(dropping):
    model, _ = dropping
    words, turn = tiny.tokenizer(), [{"role": "user", "content": "Why?"}]
    rows = [
        {"messages": turn, "text": text, "split": split}
        for text, split in [("a", "train"), ("b", "test")]
    ]
    run = SimpleNamespace(demonstrations=lambda: rows, recipe=recipe(max_length=64))
    read = reward.demonstrated_rows(run, words)
    assert read == [sum(tokens.answered(words, turn, "a", 64), [])]
    [alone] = scoring.score(model, read, words.pad_token_id)
    assert reward.demonstrated(read, model, words.pad_token_id) == pytest.approx(alone)
    assert reward.demonstrated([], model, words.pad_token_id) is None


def test_of_many_training_prompts_only_some_are_scored_but_every_held_out_one(monkeypatch):
    monkeypatch.setattr(reward, "TRAIN_PROMPTS_SCORED", 1)
    found = [
        comparisons.of_row(row([1, 2], texts="ab", split=split))
        for split in ("train", "test", "train", "validation")
    ]
    tied = dataclasses.replace(found[1], pairs=[])
    assert reward.to_score([*found, tied]) == [0, 1, 3]

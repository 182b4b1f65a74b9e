"""Tokens come as often as transformers' own processors say they should, and the same numbers draw
them again.
"""

import math

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from workers.engines import draws
from workers.engines.draws import Sampler, likeliest, log_sums, philox, uniforms

pytestmark = pytest.mark.torch

COUNT, VOCABULARY = 100_000, 100
SETTINGS = [
    {},
    {"temperature": 0.3},
    {"temperature": 2.0},
    {"top_p": 0.5},
    {"top_p": 0.95},
    {"top_p": 0.95, "temperature": 1.7},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 20, "temperature": 0.7},
    {"top_k": 99},
    {"min_p": 0.02},
    {"min_p": 0.2, "temperature": 1.5},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"top_k": 30, "top_p": 0.9},
    {"top_k": 50, "top_p": 0.95, "temperature": 0.8},
    {"top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.8},
    {"temperature": 1.3, "top_k": 40, "top_p": 0.97, "min_p": 0.01, "repetition_penalty": 1.2},
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def made(vocabulary=VOCABULARY, seed=0):
    """Scores as a model might give them, and six tokens that were there before."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(vocabulary, generator=generator) * 2
    return scores, torch.randint(vocabulary, (6,), generator=generator)


def expected(
    scores, before, temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0
):
    """The probabilities (vocabulary,) that transformers' processors leave, in the order in which
    `generate` has them.
    """
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(repetition_penalty)])
    steps.append(TemperatureLogitsWarper(temperature))
    if top_k:
        steps.append(TopKLogitsWarper(top_k))
    steps += [TopPLogitsWarper(top_p), MinPLogitsWarper(min_p)]
    return steps(before[None], scores[None].clone()).double().softmax(-1)[0]


def seen_in(before, vocabulary=VOCABULARY):
    return torch.zeros(vocabulary, dtype=torch.bool).index_fill(0, before, True)


def drawn(scores, before, uniform, **settings):
    rows = len(uniform)
    seen = seen_in(before, len(scores))
    return Sampler(**settings).draw(scores.expand(rows, -1), uniform, seen.expand(rows, -1))


def chance(counts, probabilities):
    """The chance of counts at least as odd as these (Pearson's chi-squared test), rare tokens taken
    together.
    """
    wanted = probabilities * counts.sum()
    rare = wanted < 5
    found = torch.cat([counts[~rare], counts[rare].sum()[None]]).double()
    wanted = torch.cat([wanted[~rare], wanted[rare].sum()[None]])
    found, wanted = found[wanted > 0], wanted[wanted > 0]
    if len(wanted) < 2:
        return 1.0
    statistic = ((found - wanted) ** 2 / wanted).sum()
    return torch.special.gammaincc(
        torch.tensor((len(wanted) - 1) / 2).double(), statistic / 2
    ).item()


@pytest.mark.parametrize("how", SETTINGS, ids=str)
def test_tokens_are_drawn_as_often_as_transformers_would(how, monkeypatch):
    monkeypatch.setattr(
        draws, "PREFILTERS", (8, 32)
    )  # so that rows end in each of the three stages
    scores, before = made()
    probabilities = expected(scores, before, **how)

    tokens = drawn(scores, before, uniforms([7], COUNT)[0], **how)

    counts = tokens.bincount(minlength=VOCABULARY)
    assert counts[probabilities == 0].sum() == 0
    assert chance(counts, probabilities) > 0.001


def test_a_wrong_setting_would_be_noticed():
    scores, before = made()
    tokens = drawn(scores, before, uniforms([7], COUNT)[0], temperature=1.02)
    assert chance(tokens.bincount(minlength=VOCABULARY), expected(scores, before)) < 0.001


@pytest.mark.parametrize("how", SETTINGS, ids=str)
def test_the_prefilter_changes_no_draw(how, monkeypatch):
    vocabulary = 5000
    rows = torch.stack([made(vocabulary, seed)[0] for seed in range(40)])
    sampler, uniform = Sampler(**how), uniforms(list(range(40)), 1)[:, 0]
    seen = seen_in(torch.arange(0, vocabulary, 7), vocabulary).expand(40, -1)
    quick = sampler.draw(rows, uniform, seen)

    monkeypatch.setattr(draws, "PREFILTERS", ())

    assert quick.tolist() == sampler.draw(rows, uniform, seen).tolist()


def test_few_rows_need_the_whole_vocabulary(monkeypatch):
    widths = []
    among = Sampler._among
    monkeypatch.setattr(
        Sampler,
        "_among",
        lambda self, width, *rest: widths.append(width) or among(self, width, *rest),
    )
    peaked = torch.linspace(0, -20, 5000).expand(16, -1)

    Sampler(top_p=0.9, temperature=0.1).draw(peaked, uniforms(list(range(16)), 1)[:, 0])
    assert widths == [128]

    widths.clear()
    Sampler(top_k=50, top_p=0.95).draw(torch.zeros(16, 5000), uniforms(list(range(16)), 1)[:, 0])
    assert widths == [128, 2048, 5000]  # all are as likely as the last of the 50, and all are kept


def test_equally_likely_tokens_are_kept_together_by_top_k():
    scores = torch.tensor([0.0, 1.0, 1.0, 1.0, -1.0])
    tokens = Sampler(top_k=2).draw(scores.expand(3000, -1), uniforms([1], 3000)[0])
    assert set(tokens.tolist()) == {1, 2, 3}


def test_temperature_zero_takes_the_likeliest_token_after_the_penalty():
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    seen = torch.tensor([[False, True, False]])
    assert Sampler(temperature=0).draw(scores, torch.zeros(1)).tolist() == [1]
    assert Sampler(temperature=0, repetition_penalty=2).draw(
        scores, torch.zeros(1), seen
    ).tolist() == [2]


def test_the_largest_number_stays_within_the_cut():
    scores = torch.tensor([[0.0, 0.0, -math.inf, -math.inf]])
    for settings in [{}, {"top_p": 0.99}, {"top_k": 3}, {"min_p": 0.5}]:
        for number in [0.0, 1 - 2**-53, 1.0]:
            uniform = torch.tensor([number], dtype=torch.float64)
            assert Sampler(**settings).draw(scores, uniform).item() in (0, 1)


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"min_p": 2},
        {"repetition_penalty": 0},
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        Sampler(**how)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_words_that_its_authors_publish(counter, key, words):
    """The three vectors of Random123's kat_vectors for philox4x32 with ten rounds."""
    assert (
        philox(np.array(counter, dtype=np.uint64), np.array(key, dtype=np.uint64)).tolist() == words
    )


def test_random_numbers_depend_on_seed_and_step_alone():
    many = uniforms([3, 2**63 - 1, 3], 50)
    assert many[0].tolist() == many[2].tolist() == uniforms([3], 80)[0, :50].tolist()
    assert len(set(many.flatten().tolist())) == 100


@pytest.mark.parametrize(
    "numbers", [lambda: uniforms([5], 100_000)[0], lambda: uniforms(list(range(100_000)), 1)[:, 0]]
)
def test_random_numbers_are_even_over_steps_and_over_seeds(numbers):
    found = numbers()
    assert 0 <= found.min() < 0.001
    assert 0.999 < found.max() < 1
    counts = (found * 500).long().bincount(minlength=500)
    assert chance(counts, torch.full((500,), 1 / 500, dtype=torch.float64)) > 0.001


@pytest.mark.parametrize("vocabulary", [500, 8192, 8192 + 7])
@pytest.mark.parametrize("values", ["many", "few", "bfloat16"])
def test_the_likeliest_tokens_are_those_of_a_sort(vocabulary, values):
    scores = torch.randn(3, vocabulary, generator=torch.Generator().manual_seed(1))
    if values == "bfloat16":
        scores = scores.bfloat16()
    if values == "few":  # ties everywhere
        scores = scores.round()

    best, places = likeliest(scores, 100)

    assert best.dtype == torch.float32
    assert torch.equal(best, scores.float().sort(descending=True).values[:, :100])
    assert torch.equal(scores.gather(1, places).float(), best)
    assert all(len(set(row)) == 100 for row in places.tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_sum_of_exponentials_is_that_of_float32_whatever_the_scores_format(dtype):
    scores = (30 * torch.randn(9, 1000, generator=torch.Generator().manual_seed(1))).to(dtype)

    sums = log_sums(scores)

    assert sums.dtype == torch.float32
    assert torch.allclose(sums.double(), scores.double().logsumexp(-1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("how", SETTINGS)
def test_scores_in_bfloat16_draw_as_the_same_numbers_in_float32_do(how):
    generator = torch.Generator().manual_seed(2)
    scores = (3 * torch.randn(200, VOCABULARY, generator=generator)).bfloat16()
    uniform = torch.rand(200, generator=generator, dtype=torch.float64)
    seen = torch.rand(200, VOCABULARY, generator=generator) < 0.1
    sampler = Sampler(**how)

    lower, exact = (sampler.draw(values, uniform, seen) for values in (scores, scores.float()))

    assert torch.equal(lower, exact)

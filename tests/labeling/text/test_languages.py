"""Languages of many texts at once are those that py3langid tells of each."""

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from labeling.text import languages

TEXTS = [
    "Schreibe mir bitte einen kurzen Brief an das Finanzamt.",
    "Hm?",
    "",
    "Write a short story about the sea and an old captain.",
    "今日はとても良い天気ですね、散歩に行きましょう。明日もきっと晴れるでしょう。",
    "Écris une courte histoire sur la mer et un vieux capitaine.",
    "1234567890 " * 40,
    "Напиши мне короткое письмо в налоговую инспекцию, пожалуйста.",
    "qzxv wkjh pfft grmbl xyzzy plugh foo bar",
    "LOUD TEXT IN CAPITALS THAT SHOUTS AT EVERYBODY",
    "e\u0301crire une lettre a\u0300 la mairie du village",
    "Напиши ще один лист " + "and then in English " * 4,
    "a" * 500,
    "\ud800 a lone surrogate between many other letters",
]


@pytest.fixture(scope="module")
def identifier():
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def of_py3langid(identifier, text: str) -> str:
    if sum(map(str.isalpha, text[:200])) < languages.FEWEST_LETTERS:
        return ""
    code, probability = identifier.classify(text[:400])
    return code if probability >= languages.SURE else ""


def test_languages_of_many_texts_are_those_of_each(identifier):
    detected = languages.detect(TEXTS)

    assert detected == [of_py3langid(identifier, text) for text in TEXTS]
    assert detected[:4] == ["de", "", "", "en"]
    assert [languages.detect([text])[0] for text in TEXTS] == detected
    assert languages.detect([]) == []


def test_probabilities_differ_from_the_model_by_far_less_than_the_margin(identifier):
    texts = [text for text in TEXTS if languages._has_letters(text)]
    probabilities = languages._model()._probabilities(texts)

    for text, row in zip(texts, probabilities, strict=True):
        assert abs(identifier._decide(text) - row).max() < languages.MARGIN / 100


def test_near_the_limit_the_model_itself_decides(monkeypatch):
    model = languages._model()
    monkeypatch.setattr(model.identifier.__class__, "classify", lambda self, text: ("xx", 0.95))

    assert model._code("text", 0, languages.SURE - languages.MARGIN / 2) == "xx"
    assert model._code("text", 0, languages.SURE - 2 * languages.MARGIN) == ""

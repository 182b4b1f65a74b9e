"""What must hold for a whole mapping; also that all it says has an effect."""

from __future__ import annotations

from collections.abc import Iterator

from labeling.imports.mapping import paths
from labeling.imports.mapping.spec import POSITIONS, Answer, Judgment, Mapping

Faults = Iterator[tuple[str, str]]  # why, and the key
MARKS = ("rank", "score", "rating", "flags")  # what an answer says of itself
BESIDE = ("each", "answers", "outcome", "seconds", "strength", "ratings", "flags")
TEXTS = ("text", "parts")  # forms of contents that are no conversations


def faults(mapping: Mapping) -> Faults:
    """What is wrong with the mapping: (why, the key)."""
    if mapping.refuse:
        if not mapping.distinct:
            yield "needs the fields that such rows have, in distinct", "refuse"
        return
    yield from _left_out_faults(mapping)
    if mapping.tree:
        yield from _tree_faults(mapping)
    else:
        yield from _prompt_faults(mapping)
        yield from _group_faults(mapping)
        for key, judgment in _judgments(mapping):
            yield from _judgment_faults(mapping, judgment, key)
    yield from _answer_faults(mapping)
    for key, judgment in _judgments(mapping):
        yield from _effects(mapping, judgment, key)


def _judgments(mapping: Mapping) -> Iterator[tuple[str, Judgment]]:
    several = len(mapping.judgments) > 1
    for place, judgment in enumerate(mapping.judgments):
        yield f"judgment.{place}" if several else "judgment", judgment


def _answers(mapping: Mapping) -> Iterator[tuple[str, Answer]]:
    """Each answer with its key; that of a list's items once."""
    if mapping.preferred:
        yield from zip(("chosen", "rejected"), mapping.answers, strict=True)
    elif mapping.each:
        yield "answers", mapping.each.answer
    else:
        several = len(mapping.answers) > 1
        for place, answer in enumerate(mapping.answers):
            yield f"answers.{place}" if several else "answers", answer


def _left_out_faults(mapping: Mapping) -> Faults:
    """A field that is read or kept does not stay behind, and neither does what lies below it."""
    named = {path for path, _role in mapping.named}
    for path in mapping.leave_out:
        above = next((read for read in mapping.paths if paths.covers(read, path)), None)
        above = path if path in named else above
        if above is not None:
            written = paths.text(path)
            why = f"{written} has no effect: it is read as {mapping.role(written)}"
            where = "" if above == path else f", and lies below {paths.text(above)}"
            yield f"{why}{where}", "leave_out"


def _prompt_faults(mapping: Mapping) -> Faults:
    answered = bool(mapping.answers or mapping.each)
    if mapping.conversation:
        if mapping.prompt or mapping.demonstration or answered:
            yield "a whole conversation has its prompt and its answer in it", "conversation"
        if mapping.history:
            yield "stands before a prompt", "history"
        if mapping.conversation.form in TEXTS:
            yield "a text is no conversation", "conversation"
    elif not mapping.prompt and not answered:
        yield "needs the field of the prompt, a conversation, or answers that hold it", "prompt"
    if mapping.prompt and mapping.prompt.form == "turns" and mapping.history:
        yield "turns and a history don't go together", "history"
    if mapping.turns and not mapping.conversation:
        forms = [answer.text.form for _key, answer in _answers(mapping) if answer.text]
        if all(form in TEXTS for form in forms):
            yield "has no effect: it ends whole conversations, and there are none", "turns"
    if mapping.shared and not answered and not mapping.judgments:
        yield "has no effect: there are no answers", "shared"


def _group_faults(mapping: Mapping) -> Faults:
    if mapping.group and len(mapping.answers) != 1:
        yield "joins rows with one answer each", "group"
    if mapping.group and mapping.demonstration:
        yield "joins rows of answers, not of demonstrations", "group"


def _judgment_faults(mapping: Mapping, judgment: Judgment, key: str) -> Faults:
    one_answer = len(mapping.answers) == 1 or mapping.conversation is not None
    if judgment.rule == "label" and not one_answer:
        yield "is of one answer a row", f"{key}.label"
    if judgment.rule != "label" and one_answer and not mapping.group:
        yield "compares answers, and a row has one: rows are joined by group", key
    if mapping.group:
        if judgment.rule not in ("rank", "score"):
            yield "rows that are joined have a rank or a score each", key
        for name in BESIDE:
            if getattr(judgment, name) is not None:
                yield "is of rows with all answers of a prompt", f"{key}.{name}"
    if judgment.answers is not None and len(judgment.answers) < 2:
        yield "compares at least two answers", f"{key}.answers"
    compares = len(judgment.answers or mapping.answers or "ab")
    pairwise = judgment.rule == "scale" or judgment.strength is not None
    if pairwise and mapping.answers and compares != 2:
        yield "is of two answers", key
    named = [name for name, _path in judgment.one_hot]
    if judgment.rule == "winner" and judgment.codes:
        named = [*judgment.codes.meanings]
    places = [POSITIONS.index(name) for name in named if name in POSITIONS]
    if mapping.answers and places and max(places) >= compares:
        yield "names an answer that is not there", f"{key}.{judgment.rule}"


def _tree_faults(mapping: Mapping) -> Faults:
    single = len(mapping.answers) == 1
    if not single or mapping.answers[0].text is None:
        yield "needs the text of a message", "answers.text"
    elif not mapping.answers[0].rank:
        yield "needs the rank of a reply", "answers.rank"
    elif len(mapping.answers[0].text.paths) > 1:
        yield "a message has one text", "answers.text"
    elif mapping.answers[0].text.form not in ("auto", "text"):
        yield "the text of a message is a text", "answers.text.as"
    others = ("prompt", "conversation", "system", "history", "turns", "demonstration", "group")
    for name in others:
        if getattr(mapping, name):
            yield "does not go with a tree", name
    if len(mapping.judgments) != 1:
        yield "a tree has one judgment of each list of replies", "judgment"
    elif mapping.judgments[0].rule != "rank":
        yield "the replies of a tree have ranks", "judgment"
    for name in BESIDE:
        if mapping.judgments and getattr(mapping.judgments[0], name) is not None:
            yield "does not go with a tree", f"judgment.{name}"


# What would have no effect


def _answer_faults(mapping: Mapping) -> Faults:
    joins = mapping.group or mapping.tree is not None
    for place, (key, answer) in enumerate(_answers(mapping)):
        said = [name for name in MARKS if getattr(answer, name) is not None]
        if mapping.preferred:
            for name in (name for name in said if name in ("rank", "score")):
                why = "has no effect: chosen and rejected decide already, so keep it as metadata"
                yield why, f"{key}.{name}"
        if said and not mapping.judgments:
            yield "has no effect: it is part of a judgment, and there is none", f"{key}.{said[0]}"
        elif said and mapping.answers and not any(_is_of(j, place) for j in mapping.judgments):
            yield "has no effect: no judgment is of this answer", f"{key}.{said[0]}"
        if answer.optional and len(mapping.answers) == 1 and (joins or mapping.judgments):
            yield "has no effect: a row without its answer is bad here", f"{key}.optional"


def _is_of(judgment: Judgment, place: int) -> bool:
    return judgment.answers is None or place in judgment.answers


def _effects(mapping: Mapping, judgment: Judgment, key: str) -> Faults:
    answers = [answer for _key, answer in _answers(mapping)]
    if judgment.rule == "chosen" and judgment.answers is not None:
        yield "has no effect: chosen and rejected are its answers", f"{key}.answers"
    if judgment.rule == "chosen" and judgment.optional and judgment.each is None:
        yield "has no effect: chosen and rejected always decide", f"{key}.optional"
    if judgment.name and judgment.judge.value:
        yield "has no effect: judge names one for all rows", f"{key}.name"
    if judgment.strength is not None and judgment.with_strength:
        yield "has no effect where the scale says the strength", f"{key}.strength"
    for name, own in (("ratings", "rating"), ("flags", "flags")):
        if getattr(judgment, name) is not None and any(getattr(a, own) for a in answers):
            yield f"answers have {name} of their own", f"{key}.{name}"
    models = [mapping.each.models] if mapping.each else []
    models += [answer.model.path or answer.model.value for answer in answers]
    if judgment.by == "model" and not any(models):
        yield "has no effect: no answer has a model", f"{key}.winner.by"

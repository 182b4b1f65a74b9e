"""What must hold for a whole mapping."""

from __future__ import annotations

from collections.abc import Iterator

from labeling.imports.mapping.spec import POSITIONS, Mapping


def faults(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """What is wrong with the mapping: (why, the key)."""
    answered = bool(mapping.answers or mapping.each)
    single = len(mapping.answers) == 1
    if mapping.refuse:
        if not mapping.distinct:
            yield "needs the fields that such rows have, in distinct", "refuse"
        return
    if mapping.tree:
        yield from _tree_faults(mapping, single)
        return
    if mapping.conversation:
        if mapping.prompt or mapping.demonstration or answered:
            yield "a whole conversation has its prompt and its answer in it", "conversation"
        if mapping.history:
            yield "stands before a prompt", "history"
    elif not mapping.prompt and not answered:
        yield "needs the field of the prompt, a conversation, or answers that hold it", "prompt"
    if mapping.group and not single:
        yield "joins rows with one answer each", "group"
    if mapping.group and mapping.demonstration:
        yield "joins rows of answers, not of demonstrations", "group"
    if mapping.prompt and mapping.prompt.form == "turns" and mapping.history:
        yield "turns and a history don't go together", "history"
    one_answer = single or mapping.conversation is not None
    for place, judgment in enumerate(mapping.judgments):
        key = "judgment" if len(mapping.judgments) == 1 else f"judgment.{place}"
        if judgment.rule == "label" and not one_answer:
            yield "is of one answer a row", f"{key}.label"
        if judgment.rule != "label" and one_answer and not mapping.group:
            yield "compares answers, and a row has one: rows are joined by group", key
        if mapping.group:
            if judgment.rule not in ("rank", "score"):
                yield "rows that are joined have a rank or a score each", key
            beside = ("each", "answers", "outcome", "seconds", "strength", "ratings", "flags")
            for name in beside:
                if getattr(judgment, name) is not None:
                    yield "is of rows with all answers of a prompt", f"{key}.{name}"
        if judgment.answers is not None and len(judgment.answers) < 2:
            yield "compares at least two answers", f"{key}.answers"
        compares = len(judgment.answers or mapping.answers or "ab")
        pairwise = judgment.rule in ("scale",) or judgment.strength is not None
        if pairwise and mapping.answers and compares != 2:
            yield "is of two answers", key
        named = [name for name, _path in judgment.one_hot]
        if judgment.rule == "winner" and judgment.codes:
            named = [*judgment.codes.exact.values()]
        places = [POSITIONS.index(name) for name in named if name in POSITIONS]
        if mapping.answers and places and max(places) >= compares:
            yield "names an answer that is not there", f"{key}.{judgment.rule}"
    if mapping.group and not mapping.judgments and not mapping.answers:
        yield "joins rows of answers", "group"


def _tree_faults(mapping: Mapping, single: bool) -> Iterator[tuple[str, str]]:
    if not single or mapping.answers[0].text is None:
        yield "needs the text of a message", "answers.text"
    elif not mapping.answers[0].rank:
        yield "needs the rank of a reply", "answers.rank"
    elif mapping.answers[0].text.form not in ("auto", "text"):
        yield "the text of a message is a text", "answers.text.as"
    others = ("prompt", "conversation", "system", "history", "turns", "demonstration", "group")
    for name in others:
        if getattr(mapping, name):
            yield "does not go with a tree", name
    if len(mapping.judgments) != 1:
        yield "a tree has one judgment of each list of replies", "judgment"

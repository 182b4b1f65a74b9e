"""Random nested rows through random mappings: nothing mapped is lost, and a row is read or bad."""

import dataclasses
import json
import re
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.imports.files import Row
from labeling.imports.mapping import BadMapping, FieldTable, Mapping, Reader, paths, propose, unread
from labeling.text.conversations import Entry
from modelops import rows

WORD = re.compile(r"w\d+x")
UNFORESEEN = "does not fit the mapping"  # the reason of a row that made the reader raise
relaxed = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Words:
    """Draws texts, each with a word that no other has."""

    def __init__(self, draw):
        self.draw, self.count = draw, 0

    def __call__(self):
        self.count += 1
        around = self.draw(st.sampled_from(["{}", " {} ", "a\n{}\nb", "{}\0", "\ud800{}", "=🙂{}"]))
        return around.format(f"w{self.count}x")


# Anything at all


NAMES = ["a", "b", "c", "role", "content", "from", "value", "type", "text", "name", "tool_calls"]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["user", "assistant", "gpt", "human", "tool", "function_call", "image", "tie"]),
    st.sampled_from(["\n\nHuman: a\n\nAssistant:", '["a", {"b": 1}]', "{", "\ud800", "1", "NaN"]),
    st.just(datetime(2025, 7, 20, tzinfo=UTC)),
    st.just(b"bytes"),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=20,
)
PATHS = st.sampled_from(["a", "b", "c", "a.b", "b[0]", "c[-1].text", "a.content", 'b."c"'])
CODES = st.lists(st.sampled_from(["tie", 1, 0, True, "a*"]), min_size=1, max_size=2, unique_by=str)


@st.composite
def mappings(draw):
    """Tables of mappings of any kind, most of them sound."""
    form = st.sampled_from(
        ["auto", "text", "messages", "transcript", "exchanges", "turns", "parts"]
    )
    content = PATHS | st.builds(lambda path, as_: {"field": path, "as": as_}, PATHS, form)
    answer = st.fixed_dictionaries(
        {"text": content}, optional={"model": PATHS, "flags": PATHS, "rating": PATHS}
    )
    table = {}
    way = draw(
        st.sampled_from(["pair", "columns", "each", "single", "conversation", "tree", "bare"])
    )
    if way == "conversation":
        table["conversation"] = draw(content)
    elif way == "tree":
        table["tree"] = {name: draw(PATHS) for name in ("id", "parent", "of", "role")}
        table["answers"] = {"text": draw(PATHS), "rank": draw(PATHS)}
    elif way != "pair" or draw(st.booleans()):
        table["prompt"] = draw(content)
    if way == "pair":
        table |= {"chosen": draw(answer), "rejected": draw(answer)}
    elif way == "columns":
        table["answers"] = draw(st.lists(answer, min_size=2, max_size=3))
    elif way == "each":
        table["answers"] = draw(answer) | {"each": draw(PATHS)}
    elif way == "single":
        table["answers"] = draw(answer)
        if draw(st.booleans()):
            table |= {"group": True}
            table["answers"] |= {draw(st.sampled_from(["rank", "score"])): draw(PATHS)}
    if way in ("columns", "each") and draw(st.booleans()):
        score = draw(st.sampled_from(["rank", "score"]))
        for one in table["answers"] if way == "columns" else [table["answers"]]:
            one[score] = draw(PATHS)
    rule = draw(
        st.sampled_from(
            [
                {},
                {"winner": {"field": draw(PATHS), "a": ["a"], "b": ["b"], "tie": draw(CODES)}},
                {"one_hot": {"a": draw(PATHS), "b": draw(PATHS)}},
                {"scale": {"field": draw(PATHS), "a": -3, "b": 3, "strength": draw(st.booleans())}},
                {"ranks": draw(PATHS)},
                {"scores": draw(PATHS)},
                {"label": draw(PATHS)},
            ]
        )
    )
    if rule or way in ("pair", "tree") or draw(st.booleans()):
        optional = dict.fromkeys(("judge", "each", "outcome", "seconds", "ratings", "flags"), PATHS)
        optional["optional"] = st.booleans()
        table["judgment"] = rule | draw(
            st.fixed_dictionaries({"kind": st.just("person")}, optional=optional)
        )
    about = dict.fromkeys(("system", "language", "source", "author", "split", "time"), PATHS)
    about |= {"metadata": PATHS, "sensitive": PATHS, "keep": st.lists(PATHS, max_size=2)}
    about |= {"history": content, "turns": PATHS, "pictures": st.lists(PATHS, max_size=1)}
    about |= {"shared": st.booleans(), "only": st.dictionaries(PATHS, CODES, max_size=1)}
    return table | draw(st.fixed_dictionaries({}, optional=about))


@relaxed
@given(mappings(), st.lists(VALUES, min_size=1, max_size=4))
def test_whatever_a_row_holds_it_is_read_or_bad(table, values):
    try:
        mapping = Mapping.parse(table)
    except BadMapping:
        return
    reader = Reader(mapping)
    read = list(reader.read([Row(place, value) for place, value in enumerate(values)]))

    assert sorted(row.place for row, _entries, _reason in read) == list(range(len(values)))
    for _row, entries, reason in read:
        assert not (entries and reason)
        assert reason != UNFORESEEN
        for entry in entries:
            whole = rows.canonical(dataclasses.asdict(entry))
            assert whole.encode()  # no half surrogate
            assert "\\u0000" not in whole


@relaxed
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_fields_are_listed_and_a_mapping_is_proposed_whatever_the_rows_hold(values):
    table = FieldTable()
    for value in values:
        table.add(value)
    listed = table.fields()

    proposal = propose(listed, values)

    assert all(0 < field.share <= 1 for field in listed)
    assert isinstance(json.dumps(proposal.mapping), str)
    is_whole = proposal.mapping.keys() & {"prompt", "conversation"}
    if is_whole and "judgment" not in proposal.mapping:
        unread(Mapping.parse(proposal.mapping), listed)


# Rows that fit their mapping, and then some that do not


def turns(word, draw, last="user"):
    """A conversation of up to three turns that ends with this role, in one of the usual forms."""
    roles = draw(st.sampled_from([["user"], ["system", "user"], ["user", "assistant", "user"]]))
    roles = [*roles, "assistant"] if last == "assistant" else roles
    sharegpt = draw(st.booleans())
    spoken = {"user": "human", "assistant": "gpt"}
    return [
        {"from": spoken.get(role, role), "value": word()}
        if sharegpt
        else {"role": role, "content": word()}
        for role in roles
    ]


def content(word, draw, name, row):
    """(a mapping's content, what the row has there)."""
    form = draw(st.sampled_from(["text", "joined", "messages", "json", "parts", "transcript"]))
    if form == "text":
        row[name] = word()
        return name
    if form == "joined":
        row |= {name: word(), f"{name} more": word()}
        return [name, f"{name} more"]
    if form == "transcript":
        row[name] = f"\n\nHuman: {word()}\n\nAssistant: {word()}\n\nHuman: {word()}\n\nAssistant:"
        return {"field": name, "as": "transcript"}
    if form == "parts":
        row[name] = [{"type": "text", "text": word()}]
        return name
    row[name] = turns(word, draw)
    if form == "json":
        row[name] = json.dumps(row[name])
        return {"field": name, "as": "messages"}
    return name


@st.composite
def fitting(draw):
    """(a mapping's table, a row that fits it but for one mutation at most)."""
    word = Words(draw)
    row, table = {}, {}
    way = draw(st.sampled_from(["conversation", "whole", "columns", "each", "demonstration"]))
    if way == "conversation":
        row["c"], table["conversation"] = turns(word, draw, "assistant"), "c"
    elif way == "whole":
        shared = turns(word, draw)
        first, second = ([*shared, {"role": "assistant", "content": word()}] for _n in "ab")
        row |= {"x": first, "y": second}
        table |= {"chosen": "x", "rejected": "y", "judgment": {"kind": "person", "judge": "who"}}
        row["who"] = word()
    else:
        table["prompt"] = content(word, draw, "p", row)
        table["system"], row["s"] = "s", word()
    if way == "demonstration":
        table["demonstration"], row["d"] = "d", word()
    if way == "columns":
        for end in "ab":
            row |= {f"r{end}": word(), f"m{end}": word(), f"f{end}": [word()]}
        table["answers"] = [{"text": f"r{e}", "model": f"m{e}", "flags": f"f{e}"} for e in "ab"]
        winner = {"field": "w", "a": [1], "b": [2], "tie": [0]}
        table["judgment"] = {"kind": "model", "judge": "who", "winner": winner}
        row |= {"w": draw(st.sampled_from([0, 1, 2, "1", 2.0])), "who": word()}
    if way == "each":
        row["all"] = [
            {"t": word(), "m": word(), "s": draw(st.integers(0, 3))}
            for _n in range(draw(st.integers(2, 5)))
        ]
        table["answers"] = {"each": "all", "text": "t", "model": "m", "score": "s"}
        table["judgment"] = {"kind": "person"}
    for name in draw(st.sets(st.sampled_from(["author", "source", "language", "time"]))):
        table[name], row[name] = name, word()
    if draw(st.booleans()):
        table["keep"] = ["k.deep", "many[*].one"]
        row |= {
            "k": {"deep": {word(): [word(), 1]}},
            "many": [{"one": word()}, {"two": "unmapped"}],
        }
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(row)))
        row[name] = draw(VALUES)
    return table, row


def leaves(value, path=()):
    """(path, text) of each text in a row."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, (*path, paths.EVERY))
    elif isinstance(value, str):
        yield path, value


def mapped(mapping, row):
    """The words that stand where the mapping reads."""
    words = set(WORD.findall(json.dumps(row.get("k"), default=str)))
    for path, text in leaves(row):
        if mapping.reads(paths.text(path)):
            words |= set(WORD.findall(text))
    return words


@relaxed
@given(fitting())
def test_no_mapped_value_is_lost(table_and_row):
    table, row = table_and_row
    mapping = Mapping.parse(table)
    ((_row, entries, reason),) = Reader(mapping).read([Row(1, row)])

    assert reason != UNFORESEEN
    assert bool(entries) != bool(reason)
    if not reason:
        written = rows.canonical(dataclasses.asdict(entries[0]))
        assert written.encode()  # no half surrogate
        assert mapped(mapping, row) <= set(WORD.findall(written))


@relaxed
@given(st.data())
def test_no_mapped_value_of_joined_rows_is_lost(data):
    word = Words(data.draw)
    table = {
        "prompt": "p",
        "answers": {"text": "t", "model": "m", "score": "s"},
        "group": True,
        "judgment": {"kind": "person", "judge": "who"},
        "keep": ["k"],
    }
    values = [
        {"p": "same?", "t": word(), "m": word(), "s": score, "k": word(), "who": who}
        for score, who in data.draw(
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["w901x", "w902x"])), max_size=6)
        )
    ]
    read = list(Reader(Mapping.parse(table)).read([Row(n, v) for n, v in enumerate(values)]))

    assert len(read) == len(values)
    entries: list[Entry] = [entry for _row, made, _reason in read for entry in made]
    bad = [row.value for row, _made, reason in read if reason]
    written = json.dumps([*map(dataclasses.asdict, entries), bad], ensure_ascii=False)
    assert set(WORD.findall(json.dumps(values))) <= set(WORD.findall(written))

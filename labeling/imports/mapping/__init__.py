"""Mappings: which field of a file is what, said in a table instead of in code.

A preset is a stored mapping, `presets/NAME.toml`. The keys of a mapping; all but one way to a
prompt are optional, and an unknown key is an error:

    PATH      question · messages[-1].content · answers[*].text · a."b.c"[0] · response 1
              A text that holds JSON is opened on the way.
    FIELD     PATH · {field = PATH, prefix = "…"} · {value = "…"}, the same for all rows
    CONTENT   PATH · [PATH, …], texts joined by an empty line · {field = PATH or [PATH, …], as,
              marks}
              as: "auto" (a text stays a text; lists are turns or parts) · "text" · "messages"
              ({role, content} or ShareGPT's {from, value}; one turn or many) · "transcript"
              (marks = {user = "Human:", assistant = "Assistant:"}) · "exchanges" ([[question,
              answer], …] or [{input, output}, …]) · "turns" (a list of texts, the user's and the
              assistant's by turns; where the answers are such lists too, the user's alone) ·
              "parts". All but "auto", "text" and "transcript" may stand in the cell as JSON text.

    name, label, hub, about     of a preset: its title, names of sets on the Hub, a note to people
    distinct      [PATH, …] that a row must have besides to be recognised · {PATH = [code, …]}

    prompt        CONTENT
    conversation  CONTENT, whole: the assistant's last turn is the demonstration; with a judgment,
                  the answer
    system        PATH; an empty one is none
    history       CONTENT before the prompt
    turns         PATH to the number of the turn after whose answer whole conversations end
    demonstration CONTENT

    answers       [ANSWER, …], one column each · ANSWER with each = PATH to a list, and paths from
                  its items (no `text`: the item is the text) · ANSWER, one a row
    ANSWER        PATH · {text = CONTENT, model = FIELD, rank, score, rating, flags = PATH,
                  optional = true: may be empty}; with each also models = PATH to a list beside it
    chosen, rejected  ANSWER without rank and score: the pair decides
                  Answers that are whole conversations: the turns that all share are the prompt.
    group         true: rows of one prompt are one list of answers · PATH: rows with equal values
    tree          {id, parent, of, role = PATH}: rows are messages of trees; `of` names the tree.
                  The ranked replies to a user's message are its answers, and their rows name the
                  judge. What the rows of its turns and answers say differently is a list.
    shared        true: equal answers of a prompt are one answer, whose pairs are tasks of two

    judgment      JUDGMENT · [JUDGMENT, …]
    JUDGMENT      kind = "person" · "model" · "script" · "unknown" · {field = PATH, person = [code,
                  …], …}: must be said
                  judge = FIELD, name = "…" where there is none
                  each = PATH to a list of judgments, and paths from its items
                  answers = [0, 1]: it is of these alone, in this order
                  optional = true: a row may be without it, and answers without a rank or score
                  outcome, seconds, strength = PATH; ratings, flags = PATH to lists
                  and one of these, unless chosen and rejected, ranks or scores of answers decide:
      winner      {field = PATH, a = [code, …], b = […], …, tie = […], both_bad = […]}; by =
                  "model" or "text": a code that the table has not names an answer
      one_hot     {a = PATH, b = PATH, tie = PATH, both_bad = PATH}
      scale       {field = PATH, a = -3, b = 3, tie = 0, strength = true}: the numbers where a and b
                  are clearly better; tie is the middle if not given
      ranks       PATH to a list, 1 is best
      scores      PATH to a list
      label       PATH · {field = PATH, good = [code, …], bad = […]}
                  better = "higher" · "lower", tolerance = 0.0: of scores; answers that are no
                  further from the best of a tie belong to it (tolerance also of a scale)

    author, use_case, language, source, licence, time   FIELD
    split         FIELD · {field = PATH, train = ["*_train"], validation = […], test = […],
                  none = […]: those that name no split}
    sensitive     PATH
    metadata      PATH to an object
    keep          [PATH, …] kept as metadata, with all below
    leave_out     [PATH, …] that stay behind, with all below
    only          {PATH = [code, …]}: other rows stay behind, counted; null is written ""
    pictures      [PATH, …]: rows that hold something there are refused
    refuse        "…": why no row of this kind can come in

Codes are compared without regard to case, and numbers by value: 1, 1.0 and "1" are equal, but 1 is
not true. A code may end or begin with `*`; `*` alone is for every value that no other code is for,
but not for an empty one. A value for which two codes with a `*` have two meanings has none.

A mapping that says something which has no effect is refused, and so is one that leaves out what it
reads or keeps. It reads rows of one layout: a row that lacks a field is bad.
"""

from labeling.imports.mapping.fields import Field, FieldTable, fields, unread
from labeling.imports.mapping.parsing import load, with_fields, with_lists
from labeling.imports.mapping.presets import PRESETS, Preset
from labeling.imports.mapping.propose import Proposal, near_miss, propose
from labeling.imports.mapping.reader import LeftOut, Read, Reader
from labeling.imports.mapping.spec import BadMapping, Mapping

__all__ = [
    "PRESETS",
    "BadMapping",
    "Field",
    "FieldTable",
    "LeftOut",
    "Mapping",
    "Preset",
    "Proposal",
    "Read",
    "Reader",
    "fields",
    "load",
    "near_miss",
    "propose",
    "unread",
    "with_fields",
    "with_lists",
]

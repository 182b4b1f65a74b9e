"""What a dataset's card says in the Hugging Face Hub's own words, by which people search there.

The words are those of the Hub's documentation: the licences of *Repository licenses*, ISO 639
language codes, size categories and task categories of the card's metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from modelops.models import Dataset

IDENTIFIERS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1
ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license llama2 llama3 llama3.1 llama3.2 llama3.3
llama4 gemma unknown other
"""
LICENCES = frozenset(IDENTIFIERS.split())
CC_ADDRESS = re.compile(r"\S*creativecommons\.org/licenses/([a-z-]+)/([\d.]+)\S*")
ASIDE = re.compile(  # what may stand in a name and says nothing to the Hub
    r"\(.*?\)|\b(the|gnu|licen[cs]e|version|software|new|revised|simplified|or|any|later|only"
    r"|international|universal|unported|generic|public domain dedication)\b|(?<=\d)\+"
)
SHORT = {  # words, in this order
    "lesser general public": "lgpl",
    "affero general public": "agpl",
    "general public": "gpl",
    "mozilla public": "mpl",
    "eclipse public": "epl",
    "creative commons": "cc",
    "cc zero": "cc0",
    "cc 0": "cc0",
    "attribution": "by",
    "sharealike": "sa",
    "share alike": "sa",
    "noncommercial": "nc",
    "non commercial": "nc",
    "noderivatives": "nd",
    "noderivs": "nd",
}
OTHER_SPELLINGS = {
    "cc0": "cc0-1.0",
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "expat": "mit",
    "apache2": "apache-2.0",
    "apache2.0": "apache-2.0",
    "bsd-2": "bsd-2-clause",
    "bsd-3": "bsd-3-clause",
    "2-clause-bsd": "bsd-2-clause",
    "3-clause-bsd": "bsd-3-clause",
}
LANGUAGE = re.compile(r"[a-z]{2,3}")  # ISO 639-1 or 639-3
SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def licence(text: str) -> str:
    """The Hub's identifier of a licence that somebody typed; "other" if it has none for it."""
    text = CC_ADDRESS.sub(r"cc \1 \2", text.strip().lower())
    if text in LICENCES:
        return text
    words = ASIDE.sub(" ", re.sub(r"[\s,_\"-]+", " ", text))
    words = f" {' '.join(words.split())} "
    for spelling, short in SHORT.items():
        words = words.replace(f" {spelling} ", f" {short} ")
    name = re.sub(r"(?<=[a-z])v(?=\d)| v(?=\d)", " ", words).strip().replace(" ", "-")
    spellings = (name, f"{name}.0", OTHER_SPELLINGS.get(name))
    return next((spelling for spelling in spellings if spelling in LICENCES), "other")


def languages(names: Iterable[str]) -> list[str]:
    """The ISO 639 codes of these languages: "pt-BR" is "pt"; what is no code is left out."""
    codes = (name.lower().replace("_", "-").partition("-")[0] for name in names)
    return [code for code in dict.fromkeys(codes) if LANGUAGE.fullmatch(code)]


def size(rows: int) -> str:
    """The Hub's category of so many rows."""
    for power, limit in enumerate(SIZES, start=3):
        if rows < 10**power:
            return f"n<{limit}" if power == 3 else f"{SIZES[power - 4]}<n<{limit}"
    return f"n>{SIZES[-1]}"


def tags(dataset: Dataset) -> list[str]:
    """Words that people search for. Feedback of people or of models is said by who judged."""
    if dataset.kind != Dataset.Kind.JUDGMENTS:
        return {"demonstrations": ["sft", "trl"], "prompts": ["trl"]}.get(dataset.kind, [])
    kinds = dataset.counts.get("judge_kinds", {})
    by_people = ["human-feedback"] if kinds.get("person") else []
    by_models = ["ai-feedback"] if kinds.get("model") else []
    return ["preference", "rlhf", "trl", *by_people, *by_models]


def metadata(dataset: Dataset) -> list[str]:
    """The lines of the card's YAML header that say what the dataset is."""
    lines = []
    if dataset.licence:
        identifier = licence(dataset.licence)
        lines.append(f"license: {json.dumps(identifier)}")
        if identifier == "other":
            lines.append(f"license_name: {json.dumps(dataset.licence)}")
    of_rows = dataset.counts.get("languages", {})
    most_first = sorted(of_rows, key=lambda name: (-of_rows[name], name))
    lists = {
        "language": languages(most_first),
        "size_categories": [size(dataset.counts["rows"])],
        "task_categories": ["text-generation"],
        "tags": tags(dataset),
    }
    for name, values in lists.items():
        lines += [f"{name}:", *(f"- {json.dumps(value)}" for value in values)] if values else []
    return lines

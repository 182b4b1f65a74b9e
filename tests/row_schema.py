"""docs/row.schema.json, which every exported row fits."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[1] / "docs/row.schema.json").read_text(encoding="utf-8")
)
ROW = Draft202012Validator(SCHEMA)
KINDS = ("judgments", "demonstrations", "prompts", "text")


def faults(row: dict, kind: str) -> list[str]:
    """Where a row of this kind of dataset does not fit the schema."""
    of_kind = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})
    return [f"{error.json_path}: {error.message}" for error in of_kind.iter_errors(row)]

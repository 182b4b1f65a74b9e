"""What a later description of the API breaks for a script that was written for an earlier one.

A later one may add paths, methods, optional parameters and fields, answers, values of an enum, and
another type that a value may have (`oneOf`), which only new data have. What
was there stays: every field of an answer, every value, and no request needs more than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Objects whose keys are names, so that further names change nothing for who does not use them.
NAMED = ("paths", "properties", "schemas", "responses", "content", "headers")
METHODS = ("get", "post", "patch", "put", "delete")
NEW = object()


def breaks(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where the later description breaks the earlier one; none where it only adds."""
    asked = sent_components(now)
    others = [
        {key: part for key, part in schema.items() if key not in ("info", "paths", "components")}
        | {"securitySchemes": schema["components"].get("securitySchemes")}
        for schema in (before, now)
    ]
    return [
        *differences(*others, ("description",), False),
        *differences(before["paths"], now["paths"], ("paths",), False),
        *(
            break_
            for name, schema in before["components"]["schemas"].items()
            for break_ in differences(
                schema, now["components"]["schemas"].get(name, NEW), (name,), name in asked
            )
        ),
    ]


def sent_components(schema: dict[str, Any]) -> set[str]:
    """The names of the components that requests are made of."""
    bodies = [
        method["requestBody"]
        for methods in schema["paths"].values()
        for name, method in methods.items()
        if name in METHODS and "requestBody" in method
    ]
    names: set[str] = set()
    waiting = list(references(bodies))
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += references(schema["components"]["schemas"][name])
    return names


def references(part: Any) -> Iterator[str]:
    """The components that a part of a description names."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def differences(before: Any, now: Any, where: tuple[str, ...], asked: bool) -> Iterator[str]:
    """Where `now` is no longer what `before` was; `asked` of what a request holds."""
    name = " ".join(where)
    if isinstance(before, dict) and isinstance(now, dict) and "oneOf" in now.keys() - before.keys():
        text = {key: value for key, value in before.items() if key != "minLength"}
        if any(not list(differences(text, kind, where, asked)) for kind in now["oneOf"]):
            return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            if key in ("description", "summary") and isinstance(before.get(key, ""), str):
                continue
            inner = (*where, key)
            if key == "required" and isinstance(before.get(key, now.get(key)), list):
                yield from required(set(before.get(key, ())), now, inner, asked)
            elif key == "parameters":
                yield from parameters(before.get(key, []), now.get(key, []), inner)
            elif key not in now:
                yield f"{' '.join(inner)} is gone"
            elif key in before:
                yield from differences(before[key], now[key], inner, asked or key == "requestBody")
            elif where[-1] not in NAMED and key not in METHODS:
                yield f"{' '.join(inner)} is new"
    elif where[-1] == "enum" and isinstance(now, list):
        if gone := [value for value in before if value not in now]:
            yield f"{name} lacks {gone}"
    elif before != now:
        yield f"{name} was {before}, is {'gone' if now is NEW else now}"


def required(
    before: set[str], now: dict[str, Any], where: tuple[str, ...], asked: bool
) -> Iterator[str]:
    """An answer still has every field that it always had; a request needs no further one."""
    after = set(now.get("required", ()))
    if asked:
        fields = now.get("properties", {})
        further = {field for field in after - before if not fields[field].get("readOnly")}
        if further:
            yield f"{' '.join(where)} asks for {sorted(further)}"
    elif before - after:
        yield f"{' '.join(where)} promises no more {sorted(before - after)}"


def parameters(before: list[dict], now: list[dict], where: tuple[str, ...]) -> Iterator[str]:
    """Each parameter is there as it was, and a new one may be left out."""
    known = {(parameter["in"], parameter["name"]): parameter for parameter in before}
    for parameter in now:
        old = known.pop((parameter["in"], parameter["name"]), None)
        inner = (*where, parameter["name"])
        if old is not None:
            yield from differences(old, parameter, inner, True)
        elif parameter.get("required"):
            yield f"{' '.join(inner)} must be given"
    for _place, name in known:
        yield f"{' '.join((*where, name))} is gone"

"""What reads a file, as fields of a form: a format or a mapping, and a role for each field."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import imports
from labeling.imports import choice as choices
from labeling.imports import mapping_text, roles, saved_mappings
from labeling.imports.choice import Choice
from labeling.imports.forms import ASKED, CLEANING, FORMATS, SOURCE, ConfirmForm
from labeling.imports.found_codes import code_paths, code_text
from labeling.imports.mapping import BadMapping, Field, codes, paths
from labeling.imports.roles import KEEP, LEAVE_OUT, LETTERS
from labeling.imports.sources import MEANINGS
from labeling.models import Judge
from modelops.models import Job
from people.forms import JSONField
from people.models import Project

ROLE = "role_"
MOST = 300  # fields that are shown one by one; the others are decided together
REST = [(KEEP, roles.LABELS[KEEP]), (LEAVE_OUT, roles.LABELS[LEAVE_OUT])]
BETTER = [("higher", gettext_lazy("higher")), ("lower", gettext_lazy("lower"))]
FORMS = [
    ("auto", gettext_lazy("as it looks")),
    ("text", gettext_lazy("a text")),
    ("messages", gettext_lazy("messages")),
    ("transcript", gettext_lazy("a transcript, “Human: …”")),
    ("exchanges", gettext_lazy("pairs of question and answer")),
    ("turns", gettext_lazy("texts, the turns of a conversation")),
    ("parts", gettext_lazy("parts of a text")),
]
SCALE = {
    "a": gettext_lazy("Number if answer A is much better"),
    "tie": gettext_lazy("Number of a tie (empty: in the middle)"),
    "b": gettext_lazy("Number if answer B is much better"),
}
TYPES = {
    "text": gettext_lazy("text"),
    "number": gettext_lazy("number"),
    "boolean": gettext_lazy("yes or no"),
    "list": gettext_lazy("list"),
    "object": gettext_lazy("object"),
    "other": gettext_lazy("other"),
}


@dataclass
class FieldRow:
    """A field on the page: what it comes in as, or the choice of that."""

    field: Field
    role: str = ""  # of a field that has no choice
    choice: forms.BoundField | None = None
    is_open: bool = False  # whether somebody has to decide what becomes of it
    near: str = ""  # the name that the format reads, if this one may be a slip of it

    @property
    def depth(self) -> int:
        names = [step for step in paths.steps(self.field.path) if isinstance(step, str)]
        return min(len(names), 6)

    @property
    def percent(self) -> int:
        return round(100 * self.field.share)

    @property
    def types(self) -> str:
        return ", ".join(str(TYPES.get(kind, kind)) for kind in self.field.types)


def role_field(path: str) -> str:
    """The name of the choice for a field: without blanks, which no id may have."""
    return f"{ROLE}{quote(path, safe='')}"


def format_choices(project: Project) -> list:
    """The formats, the mappings that the project keeps, and a mapping of one's own."""
    saved = saved_mappings.choices(project)
    return [*FORMATS, *([(gettext_lazy("Mappings of this project"), saved)] if saved else [])]


class ConfirmPage(ConfirmForm):
    """The form of a file that was looked at, with a choice for each field of the file.

    `shown` holds the settings that the choices were made from: what a person changes is changed
    there, and all else that a mapping says stays.
    """

    shown = JSONField(widget=forms.HiddenInput, required=False)
    text = forms.CharField(
        label=gettext_lazy("The mapping as text"),
        help_text=gettext_lazy("TOML or JSON."),
        required=False,
        strip=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
    )
    save_as = forms.CharField(
        label=gettext_lazy("Keep this mapping in the project as"),
        help_text=gettext_lazy("A mapping of the same name is replaced."),
        required=False,
        max_length=80,
    )

    def __init__(
        self,
        job: Job,
        data: Mapping[str, Any] | None = None,
        *,
        recipe: dict[str, Any] | None = None,
    ):
        self.recipe = job.recipe if recipe is None else recipe
        super().__init__(job, data)

    def settings_shown(self) -> dict[str, Any]:
        """What the hidden field holds. Raises BadRequest where that can't be read."""
        try:
            given = self.fields["shown"].to_python(self.data.get("shown") or "{}")
        except ValidationError:
            raise BadRequest(_("The settings of this form can't be read.")) from None
        return given if isinstance(given, dict) else {}

    def make_source_fields(self) -> None:
        shown = self.recipe
        if self.is_bound:
            shown = self.settings_shown()
        self.choice = Choice(shown, *imports.fields_of(self.job, shown))
        self.fields["format"].choices = format_choices(self.job.project)
        self.fields["format"].initial = self.choice.format
        self.fields["shown"].initial = self.choice.recipe
        self.fields["text"].initial = mapping_text.written(self.choice.table)
        self.rows: list[FieldRow] = []
        self.options: list[forms.BoundField] = []
        self.codes: list[tuple[forms.BoundField, int]] = []
        self._make_roles()
        if self.choice.by_mapping:
            self._make_options(self.choice.table)

    @property
    def has_cleaning_errors(self) -> bool:
        return any(name in self.errors for name in CLEANING)

    # A choice for each field

    def _make_roles(self) -> None:
        self._roles = roles.of(self.choice.table)
        self._open = [field.path for field in self.choice.unread()]
        shown = list(self._shown_fields())
        self.further = max(0, len(shown) - MOST)
        self.rows = [self._row(field) for field in shown[:MOST]]
        if self._open:
            self.fields["rest"] = forms.ChoiceField(
                label=gettext_lazy("All fields that are not decided"),
                choices=[("", gettext_lazy("decide for each")), *REST],
                required=False,
            )

    def _shown_fields(self) -> Iterator[Field]:
        """Fields that hold a value, and lists and objects that have a role or may get one."""
        wholes = [
            paths.steps(path) for path, role in self._roles.items() if role not in roles.OPENED
        ]
        for field in self.choice.fields:
            steps = paths.steps(field.path)
            if any(whole != steps and paths.covers(whole, steps) for whole in wholes):
                continue  # a part of a field that has a role as a whole
            may_get_one = self.choice.by_mapping and self.choice.read_as(field.path) is None
            if field.holds or field.path in (*self._roles, *self._open) or may_get_one:
                yield field

    def _row(self, field: Field) -> FieldRow:
        path, role = field.path, self._roles.get(field.path, "")
        read_as = self.choice.read_as(path)
        if read_as is not None and not role:
            return FieldRow(field, read_as or _("read"))
        known = roles.choices(field) if self.choice.by_mapping else [KEEP, LEAVE_OUT]
        if role and role not in known:
            known = [role, *known]
        name = role_field(path)
        self.fields[name] = forms.ChoiceField(
            label=path,
            choices=[("", "–"), *roles.grouped(known)],
            required=False,
            initial=role,
        )
        is_open = path in self._open
        near = self.choice.near_miss(path) if is_open else ""
        return FieldRow(field, choice=self[name], is_open=is_open, near=near)

    # What a mapping says besides

    def _make_options(self, table: dict[str, Any]) -> None:
        self._prompt_key = "conversation" if "conversation" in table else "prompt"
        prompt = table.get(self._prompt_key)
        if isinstance(prompt, str | dict):
            form = prompt.get("as", "auto") if isinstance(prompt, dict) else "auto"
            field = forms.ChoiceField(label=gettext_lazy("The prompt is"), choices=FORMS)
            self._option("prompt_as", field, form)
        judgment = table.get("judgment", {})
        if isinstance(judgment, dict) and "each" not in judgment:
            self._make_judgment(judgment)

    def _make_judgment(self, judgment: dict[str, Any]) -> None:
        kind = judgment.get("kind", "")
        kinds = [("", gettext_lazy("nobody judged")), *Judge.Kind.choices]
        if isinstance(kind, dict):
            kinds, kind = [*kinds, ("field", gettext_lazy("what a field says"))], "field"
        field = forms.ChoiceField(label=gettext_lazy("Who judged"), choices=kinds)
        self._option("kind", field, kind)
        name = forms.CharField(
            label=gettext_lazy("Name of the judge, where no field has it"), max_length=200
        )
        self._option("judge_name", name, _of_all(judgment) or judgment.get("name", ""))
        used = set(self._roles.values())
        if any(role == "scores" or role.endswith(".score") for role in used):
            field = forms.ChoiceField(label=gettext_lazy("Better scores are"), choices=BETTER)
            self._option("better", field, judgment.get("better", "higher"))
        if isinstance(judgment.get("scale"), dict):
            for name, label in SCALE.items():
                number = forms.FloatField(label=label)
                self._option(f"scale_{name}", number, judgment["scale"].get(name))
        self._make_codes(judgment)

    def _option(self, name: str, field: forms.Field, initial: Any) -> None:
        field.required, field.initial = False, initial
        self.fields[name] = field
        self.options.append(self[name])

    def _make_codes(self, judgment: dict[str, Any]) -> None:
        """A choice for each code that the file or the mapping has: what it means."""
        self._rule = next((name for name in ("winner", "label") if name in judgment), "")
        given = judgment.get(self._rule, {})
        if not self._rule or (isinstance(given, dict) and given.get("by")):
            return
        known = _meanings(given, self._rule)
        path = next(iter(code_paths(self.choice.table)), "")
        counts = self.choice.found.get(path, {})
        listed = ("good", "bad") if self._rule == "label" else (*LETTERS, "tie", "both_bad")
        offered = [("", gettext_lazy("nothing: a bad row"))]
        offered += [(meaning, MEANINGS[meaning]) for meaning in listed]
        self._codes = {}
        for number, code in enumerate(dict.fromkeys([*counts, *known])):
            self._codes[f"code_{number}"] = code
            self.fields[f"code_{number}"] = forms.ChoiceField(
                label=code or gettext_lazy("(empty)"),
                choices=offered,
                required=False,
                initial=codes.Codes(_by_meaning(known)).meaning(code) or "",
            )
            self.codes.append((self[f"code_{number}"], counts.get(code, 0)))

    # What was chosen

    def clean(self) -> dict:
        """The settings of what was chosen. A mapping that is only looked at may lack something."""
        self.cleaned_data |= self._settings()
        if self.only_looks:
            return self.cleaned_data
        if "save" in self.data and not self.cleaned_data.get("save_as"):
            self.add_error("save_as", _("Give it a name."))
        return super().clean()

    @property
    def only_looks(self) -> bool:
        return "look" in self.data or "use_text" in self.data

    def chosen(self) -> dict[str, Any]:
        """The recipe's settings as they were chosen, to show them again."""
        names = (*ASKED, *CLEANING, *SOURCE)
        return {name: self.cleaned_data[name] for name in names}

    @property
    def new_table(self) -> dict[str, Any]:
        """The table of the mapping that was chosen, with the fields to keep and to leave out."""
        return Choice(self.cleaned_data, [], {}).table

    def refuse_unread(self) -> None:
        """Add an error at each field of which nobody has said what becomes of it."""
        for field in self.unread():
            name = role_field(field.path)
            message = _("Nothing reads it: leave it out, or keep it as metadata.")
            if name in self.fields:
                self.add_error(name, message)
            else:
                at = "rest" if "rest" in self.fields else None
                self.add_error(at, f"{field.path}: {message}")

    def _settings(self) -> dict[str, Any]:
        """The settings that say how the file is read. Adds errors at the fields."""
        data = self.cleaned_data
        try:
            if "text" in self.data and "use_text" in self.data:
                return choices.of_table(mapping_text.read(data.get("text") or ""))
            if data.get("format", self.choice.format) != self.choice.format:
                return saved_mappings.settings_of(self.job.project, data["format"])
            return self.choice.with_table(self._table())
        except BadMapping as error:
            self.add_error("text", str(error))
        except roles.Clash as error:
            self.add_error(None, str(error))
        return dict(self.choice.recipe)

    def _table(self) -> dict[str, Any]:
        """The table of the mapping with all that was chosen. Raises roles.Clash."""
        data = self.cleaned_data
        chosen = {
            unquote(name.removeprefix(ROLE)): role
            for name, role in data.items()
            if name.startswith(ROLE)
        }
        if data.get("rest"):
            chosen |= {path: data["rest"] for path in self._open if not chosen.get(path)}
        table = copy.deepcopy(roles.changed(self.choice.table, chosen))
        if self.choice.by_mapping:
            self._put_options(table)
        return table

    def _put_options(self, table: dict[str, Any]) -> None:
        data = self.cleaned_data
        if "prompt_as" in data and self._prompt_key in table:
            roles.put_option(table, self._prompt_key, "as", data["prompt_as"], "auto")
        if "kind" not in data:
            return
        judgment = table.setdefault("judgment", {})
        if data["kind"] != "field":
            _put(judgment, "kind", data["kind"])
        if _of_all(judgment):
            _put(judgment, "judge", data["judge_name"] and {"value": data["judge_name"]})
        else:
            _put(judgment, "name", data["judge_name"])
        if "better" in data:
            _put(judgment, "better", "" if data["better"] == "higher" else data["better"])
        if isinstance(judgment.get("scale"), dict):
            for name in SCALE:
                if f"scale_{name}" in data:
                    _put(judgment["scale"], name, data[f"scale_{name}"])
        if self.codes and self._rule in judgment:
            self._put_codes(judgment)
        if not judgment:
            del table["judgment"]

    def _put_codes(self, judgment: dict[str, Any]) -> None:
        given = judgment[self._rule]
        if {name: self.cleaned_data.get(name, "") for name in self._codes} == {
            name: self.fields[name].initial for name in self._codes
        } and not _is_new(given):
            return  # as the mapping says it: beginnings and ends of codes stay
        rest = {key: item for key, item in _long(given).items() if key not in MEANINGS}
        table: dict[str, list[str]] = {}
        for name, code in self._codes.items():
            if meaning := self.cleaned_data.get(name):
                table.setdefault(meaning, []).append(code)
        judgment[self._rule] = rest | table


def _put(table: dict[str, Any], name: str, value: Any) -> None:
    if value in ("", None):
        table.pop(name, None)
    else:
        table[name] = value


def _of_all(judgment: dict[str, Any]) -> str:
    """The judge that a mapping names for all rows."""
    judge = judgment.get("judge")
    return judge.get("value", "") if isinstance(judge, dict) else ""


def _long(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {"field": given}


def _is_new(given: Any) -> bool:
    return not set(_long(given)) & set(MEANINGS)


def _meanings(given: Any, rule: str) -> dict[str, str]:
    """What each code of a table means; a label without codes has the usual ones."""
    table = {name: item for name, item in _long(given).items() if name in MEANINGS}
    if not table and rule == "label":
        table = codes.LABELS
    return {code_text(code): meaning for meaning, listed in table.items() for code in listed}


def _by_meaning(known: dict[str, str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for code, meaning in known.items():
        table.setdefault(meaning, []).append(code)
    return table

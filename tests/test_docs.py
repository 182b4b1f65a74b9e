"""The documentation says what the code does: settings, recipes, links, targets and keys are held
against it.
"""

import ast
import re
import runpy
from pathlib import Path

import pytest

from labeling.judging import shortcuts
from people.models import Webhook
from people.webhooks import delivery

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
SETTINGS = (ROOT / "config/settings.py").read_text(encoding="utf-8")
OPERATOR = (ROOT / "docs/operator.md").read_text(encoding="utf-8")
PACKAGES = ("config", "people", "modelops", "labeling", "workers", "benchmarks")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_in(text):
    """Fenced blocks and inline code."""
    return "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.M | re.S))


def test_every_environment_variable_is_documented():
    read = set(re.findall(r'(?:env\.\w+|environ\.get)\(\s*"(\w+)"', SETTINGS))

    assert "PODIUM_VAR" in read
    assert {name for name in read if f"| `{name}` |" not in OPERATOR} == set()


def test_every_variable_keeps_its_sentence():
    sentences = re.findall(r'^# (.+)\n[A-Z_]+ = .*?env\.\w+\("(\w+)"', SETTINGS, re.M)

    assert len(sentences) > 15
    assert [name for sentence, name in sentences if sentence not in OPERATOR] == []


def test_no_variable_is_documented_that_nothing_reads():
    documented = re.findall(r"^\| `([A-Z_]+)` \|", OPERATOR, re.M)

    assert [name for name in documented if f'"{name}"' not in SETTINGS] == []


def test_the_recipes_page_is_made_from_the_recipes():
    made = runpy.run_path(str(ROOT / "docs/make_recipes.py"))["text"]()

    assert (ROOT / "docs/recipes.md").read_text(encoding="utf-8") == made, (
        "run: python docs/make_recipes.py"
    )


def test_the_page_of_presets_is_made_from_the_presets():
    made = runpy.run_path(str(ROOT / "docs/make_presets.py"))["text"]()

    assert (ROOT / "docs/presets.md").read_text(encoding="utf-8") == made, (
        "run: python docs/make_presets.py"
    )


@each_page
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
    files = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in files if not (page.parent / link).exists()] == []


@each_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b", code_in(page.read_text(encoding="utf-8"))))

    assert named - targets == set()


def test_the_labelers_keys_are_the_page_s():
    script = (ROOT / "static/js/ranking.js").read_text(encoding="utf-8")
    moves, verbs = (
        re.search(rf"^const {name} = {{(.*?)^}};", script, re.M | re.S).group(1)
        for name in ("moves", "verbs")
    )
    handled = set(re.findall(r"^  (\w+): ", moves, re.M)) | set(
        re.findall(r'key === "([\w?]+)"', script)
    )
    handled |= {shortcut.key for shortcut in shortcuts.SHORTCUTS.values()}
    table = (
        (ROOT / "docs/labeler.md").read_text(encoding="utf-8").split("## Keys")[1].split("\n## ")[0]
    )
    cells = "".join(re.findall(r"^\| (`.*?) \|", table, re.M))
    names = {"←": "arrowleft", "→": "arrowright", "↑": "arrowup", "↓": "arrowdown", "Esc": "escape"}
    documented = {names.get(key, key.lower()) for key in re.findall(r"`([^`]+)`", cells)}

    assert set(re.findall(r"^  (\w+)[:,]", verbs, re.M)) == set(shortcuts.SHORTCUTS)
    assert documented - set("ai0917") - {"shift"} == handled
    assert documented >= set("ai0917"), "letters, digits and steps"


def test_every_event_of_webhooks_is_documented_and_how_often_it_is_tried():
    admin = (ROOT / "docs/admin.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+\.\w+)` \|", admin, re.M)

    assert documented == Webhook.Event.values
    assert "5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours" in admin
    assert [pause / 3600 for pause in delivery.RETRY_SECONDS[3:]] == [2, 5, 10, 14, 20, 24]
    assert delivery.RETRY_SECONDS[:3] == (5, 300, 1800)


def modules_below(folder):
    """Its modules, and its folders with modules in them, which end with a slash."""
    files = [path.relative_to(folder) for path in folder.rglob("*.py")]
    packages = {f"{path.parent}/" for path in files if path.parent != Path()}
    modules = {str(path) for path in files if path.name != "__init__.py"}
    return packages | {name for name in modules if not name.startswith("migrations/")}


def listed_in(readme):
    """The first column of its tables."""
    return re.findall(r"^\| `([^`]+)` \|", readme.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_readme_of_a_package_lists_every_module_once(package):
    listed = listed_in(ROOT / package / "README.md")

    assert sorted(listed) == sorted(modules_below(ROOT / package)), (
        f"give each new module a line in {package}/README.md, and drop the lines of removed ones"
    )


def test_the_readme_of_the_tests_lists_every_folder_once():
    folders = {f"{path.split('/')[0]}/" for path in modules_below(ROOT / "tests") if "/" in path}
    modules = {path.name for path in (ROOT / "tests").glob("*.py")} - {"__init__.py"}

    assert sorted(listed_in(ROOT / "tests/README.md")) == sorted(folders | modules)


def defined_in(body):
    """Functions, classes, constants and fields, with their class before them: `Job.Kind`."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name
        if isinstance(statement, ast.ClassDef):
            yield from (f"{statement.name}.{name}" for name in defined_in(statement.body))
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which names what there was
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_files_and_what_they_define_are_named_as_they_are(page):
    code = code_in(page.read_text(encoding="utf-8"))
    named = re.findall(r"`((?:\w+/)+\w+\.(?:py|js|css|html))(?::([\w.]+))?`", code)
    named = [(path, name) for path, name in named if not Path(path).stem.isupper()]
    homes = (ROOT, page.parent)
    files = {
        path: next((home / path for home in homes if (home / path).exists()), None)
        for path, _ in named
    }

    assert [path for path, file in files.items() if file is None] == []
    assert [
        f"{path}:{name}"
        for path, name in named
        if name
        and name not in set(defined_in(ast.parse(files[path].read_text(encoding="utf-8")).body))
    ] == []


def test_each_walk_has_at_most_ten_stations():
    walks = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walks = walks.split("## Three walks")[1].split("\n## ")[0].split("\n**")[1:]

    assert len(walks) == 3
    for walk in walks:
        stations = re.findall(r"^\d+\. .*", walk, re.M)
        assert 5 <= len(stations) <= 10
        assert [line for line in stations if not re.search(r"`\w+/[\w/]+\.(py|js)", line)] == []

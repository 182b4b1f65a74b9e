"""What must hold for every template."""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parent.parent / "templates"
HTML = sorted(TEMPLATES.rglob("*.html"))
each_template = pytest.mark.parametrize(
    "template", HTML, ids=lambda path: str(path.relative_to(TEMPLATES))
)


@each_template
def test_a_text_shown_as_it_was_written_has_no_white_space_of_the_template(template):
    around = re.findall(r'class="plain"[^>]*>(.*?)</', template.read_text("utf-8"), re.S)

    assert [text for text in around if text != text.strip()] == []

"""Pages of frozen rows: from any row on, there and back, and a part of the file each."""

import pytest

from labeling.exports import row_pages
from labeling.exports.row_pages import Filter
from modelops import datasets
from modelops import rows as frozen
from tests.factories import make_project

pytestmark = pytest.mark.django_db
SPLITS = ("train", "validation", "test")


@pytest.fixture
def dataset(project):
    """Seven prompts of different lengths, one longer than the blocks that are read."""
    lines = [
        frozen.canonical({"prompt_id": str(n), "split": SPLITS[n % 3], "text": f"{n} é " * size})
        for n, size in enumerate((1, 30, 2, row_pages.BLOCK, 3, 9000, 1))
    ]
    digest, folder = datasets.write(lines, "text")
    return datasets.register(project, "text", digest, folder)[0]


def ids(page) -> list[str]:
    return [row["prompt_id"] for _start, row in page.rows]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("looked_at", [1, 2, 100])
def test_pages_lead_there_and_back_and_leave_nothing_out(dataset, monkeypatch, size, looked_at):
    monkeypatch.setattr(row_pages, "LOOKED_AT", looked_at)
    for wanted, expected in (
        (Filter(), "0123456"),
        (Filter(split="train"), "036"),
        (Filter(search="5 É"), "5"),
    ):
        there, start, end = [], 0, None
        while start is not None:
            page = row_pages.page(dataset, size, start, wanted)
            assert len(page.rows) <= size
            there += ids(page)
            end, start = (page.rows[-1][0], page.following) if page.rows else (end, page.following)
        assert there == list(expected)

        back, end = [], (datasets.path(dataset) / "rows.jsonl").stat().st_size
        while end is not None:
            page = row_pages.page(dataset, size, end, wanted, backward=True)
            back = ids(page) + back
            end = page.preceding
        assert back == list(expected)


def test_a_page_knows_what_is_before_and_after_it(dataset):
    first = row_pages.page(dataset, 3)
    second = row_pages.page(dataset, 3, first.following)

    assert (first.preceding, first.share, first.cut) == (None, 0, False)
    assert second.preceding == first.following == second.rows[0][0]
    assert ids(row_pages.page(dataset, 3, second.preceding, backward=True)) == ["0", "1", "2"]
    assert row_pages.page(dataset, 7).following is None


def test_a_page_that_ends_early_says_so(dataset, monkeypatch):
    monkeypatch.setattr(row_pages, "LOOKED_AT", 2)
    page = row_pages.page(dataset, 5, 0, Filter(split="test"))

    assert ids(page) == []
    assert page.cut
    assert ids(row_pages.page(dataset, 5, page.following, Filter(split="test"))) == ["2"]


def test_words_are_found_in_texts_and_not_in_the_names_of_fields(project):
    lines = [frozen.canonical({"split": "train", "text": 'Say "Hé\n" 你好'})]
    digest, folder = datasets.write(lines, "text")
    dataset, _new = datasets.register(project, "text", digest, folder)

    for words, number in (('"hé', 1), ("你好", 1), ("é\n", 1), ("\\n", 0), ("he", 0), ("split", 0)):
        assert len(row_pages.page(dataset, 5, 0, Filter(search=words)).rows) == number


@pytest.mark.parametrize("start", [1, 5, 10**9, -1])
def test_no_row_starts_in_the_middle_of_another(dataset, start):
    with pytest.raises(row_pages.NoSuchRow):
        row_pages.page(dataset, 3, start)
    with pytest.raises(row_pages.NoSuchRow):
        row_pages.row_at(dataset, start)


def test_no_row_starts_at_the_end_of_the_file(dataset):
    end = (datasets.path(dataset) / "rows.jsonl").stat().st_size

    assert row_pages.page(dataset, 3, end).rows == []
    with pytest.raises(row_pages.NoSuchRow):
        row_pages.row_at(dataset, end)


def test_one_row_is_read_where_it_starts(dataset):
    page = row_pages.page(dataset, 7)

    for start, row in page.rows:
        assert row_pages.row_at(dataset, start) == row


def test_a_page_reads_a_part_of_the_file(dataset, monkeypatch):
    """Three rows from the middle: no more bytes are read than they and a block or two hold."""
    start = row_pages.page(dataset, 1).following
    read = []

    class Counted:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def read(self, size=-1):
            text = self.file.read(size)
            read.append(len(text))
            return text

        def __iter__(self):
            for line in self.file:
                read.append(len(line))
                yield line

    opened = row_pages.opened
    monkeypatch.setattr(row_pages, "opened", lambda dataset: Counted(opened(dataset)))
    row_pages.page(dataset, 1, start)

    assert sum(read) < 2 * row_pages.BLOCK


def test_a_withdrawn_dataset_shows_no_rows(dataset):
    datasets.withdraw(None, dataset, "erased")
    dataset.refresh_from_db()
    with pytest.raises(datasets.Withheld, match="erased"):
        row_pages.page(dataset, 3)


def test_a_dataset_whose_file_is_gone_says_so(dataset):
    (datasets.path(dataset) / "rows.jsonl").unlink()
    with pytest.raises(datasets.Withheld, match="restore it"):
        row_pages.row_at(dataset, 0)


def test_rows_of_another_project_s_dataset_are_not_found(client_for, carol, dataset):
    dataset.project = make_project()
    dataset.save()

    for address in ("", "0/"):
        page = client_for(carol).get(f"/p/demo/datasets/{dataset.pk}/rows/{address}")
        assert page.status_code == 404

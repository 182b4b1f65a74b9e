"""What is known of a dataset's prompts besides: source, licence and metadata, by prompt_id.

It is kept with the prompts and never enters rows, so that it changes no dataset's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labeling.exports import formats
from labeling.models import Prompt
from modelops import datasets, parquet
from modelops.hashing import Watch, unwatched
from modelops.models import Dataset

BATCH = 500  # prompts read together
NOTHING = ("", "", None)  # is known of a prompt that the project has no more


def of(dataset: Dataset, split: str = "", watch: Watch = unwatched) -> Iterator[dict[str, Any]]:
    """{prompt_id, source, licence, metadata} of each prompt of the dataset's rows, once."""
    for group in parquet.groups(_prompt_ids(dataset, split, watch), BATCH):
        known = Prompt.objects.filter(
            project=dataset.project_id, digest__in=[row["prompt_id"] for row in group]
        )
        fields = ("digest", "source", "licence", "metadata")
        about = {digest: rest for digest, *rest in known.values_list(*fields)}
        for row in group:
            source, licence, metadata = about.get(row["prompt_id"], NOTHING)
            yield row | {"source": source, "licence": licence, "metadata": metadata or {}}


def _prompt_ids(dataset: Dataset, split: str, watch: Watch) -> Iterator[dict[str, Any]]:
    seen = set()
    for _line, row in formats.read(datasets.path(dataset), split, watch):
        key = bytes.fromhex(row["prompt_id"])
        if key not in seen:
            seen.add(key)
            yield {"prompt_id": row["prompt_id"]}

"""What a long run has finished, in one JSON file: a run that was killed goes on from there.
Standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Ledger:
    """Stages by name, each with what it gave. Without a file it lasts as long as the process."""

    def __init__(self, file: Path | None = None):
        self.file = file
        self.kept: dict[str, Any] = json.loads(file.read_text()) if file and file.exists() else {}

    def once(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` gave when this stage was finished, now or in an earlier go: something that
        JSON holds.
        """
        if stage not in self.kept:
            self.kept[stage] = work()
            self._write()
        return self.kept[stage]

    def _write(self) -> None:
        if self.file is None:
            return
        part = self.file.with_suffix(".part")
        part.touch(mode=0o600)  # it may hold passwords
        with part.open("w", encoding="utf-8") as stream:
            json.dump(self.kept, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.file)

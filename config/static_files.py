"""Static files, with those that were collected after this process started.

During a reload, pages of new processes name files that old ones don't know yet.
"""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import IsDirectoryError, MissingFileError


class StaticFiles(WhiteNoiseMiddleware):
    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.startswith(self.static_prefix) and path not in self.files:
            self.look_for(path)
        return super().__call__(request)

    def look_for(self, path: str) -> None:
        """Only for files whose name has their digest: another content has another name."""
        file = os.path.join(self.static_root or "", path.removeprefix(self.static_prefix))
        if not self.url_is_canonical(path) or not self.immutable_file_test(file, path):
            return
        try:
            self.files[path] = self.find_file_at_path(file, path)
        except (MissingFileError, IsDirectoryError):
            return

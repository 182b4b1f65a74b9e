"""The Hugging Face Hub: files of models and datasets come from it, and frozen datasets go to it.

Its address is HF_ENDPOINT; a mirror or a server of one's own will do. HF_TOKEN is sent with each
request to it, and to nobody else: it is never stored, logged or shown.

A file that a break has cut off goes on where it ended, and what arrives is compared with the hash
that the Hub states. What goes up is sent file by file; a file that has arrived is not sent again.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx2
from django.conf import settings
from django.utils.translation import gettext as _
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    hf_hub_url,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers

from modelops.hashing import Watch, add_file
from modelops.jobs import Cancelled, Interrupted, JobFailed, LostClaim
from modelops.progress import Transfer

TIMEOUT = 60  # seconds without a byte
SPARE = 10**9  # bytes of a disk that stay free
STOPS = (Cancelled, Interrupted, LostClaim)  # what a beat raises


@dataclass(frozen=True)
class File:
    """A file of a repository: its path there, its size in bytes, and a hash of its content."""

    path: str
    size: int
    sha256: str = ""
    git: str = ""  # where there is no sha256: of git's blob

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Repository:
    """A model or a dataset of the Hub, at one commit."""

    type: str
    id: str
    commit: str
    private: bool
    files: tuple[File, ...]


def _api() -> HfApi:
    get_session().timeout = httpx2.Timeout(TIMEOUT)
    return HfApi(
        endpoint=settings.HUB_ENDPOINT,
        token=settings.HUB_TOKEN or False,  # False: nor the one that a login has left in the home
        library_name="podium",
    )


# What went wrong, in a sentence


@contextmanager
def _in_sentences(type: str, repo: str, revision: str = "") -> Iterator[None]:
    """Raises JobFailed with what to do, for whatever the Hub or the way to it refuses."""
    about = {"type": type, "repo": repo, "hub": settings.HUB_ENDPOINT, "revision": revision}
    try:
        yield
    except GatedRepoError as error:
        raise JobFailed(
            _("%(repo)s is gated: accept its terms at %(hub)s with the account of HF_TOKEN.")
            % about
        ) from error
    except RevisionNotFoundError as error:
        raise JobFailed(_("%(repo)s has no revision %(revision)s.") % about) from error
    except RepositoryNotFoundError as error:
        raise JobFailed(_not_found(about)) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise JobFailed(_refused(about)) from error
        answer = {"status": status, "message": error.server_message or ""}
        raise JobFailed(
            _without_token(
                _("%(hub)s answered %(status)s. %(message)s").strip() % (about | answer)
            ).strip()
        ) from error
    except HFValidationError as error:
        raise JobFailed(str(error)) from error
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        reason = {"error": _without_token(str(error)) or error.__class__.__name__}
        raise JobFailed(
            _(
                "%(hub)s can't be reached (%(error)s): resume the job when there is a network, or "
                "set HF_ENDPOINT to a server that can be."
            )
            % (about | reason)
        ) from error
    except (OSError, ValueError) as error:  # of the disk, or of huggingface_hub itself
        reason = {"error": _without_token(_first_sentence(error))}
        raise JobFailed(
            _("%(repo)s could not be transferred whole (%(error)s): resume the job.")
            % (about | reason)
        ) from error


def _first_sentence(error: Exception) -> str:
    """What went wrong, without what a caller of huggingface_hub could do about it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first_line = str(error).strip().partition("\n")[0]
    return first_line.rstrip(".") or error.__class__.__name__


def _not_found(about: dict) -> str:
    if settings.HUB_TOKEN:
        return _("%(hub)s has no %(type)s %(repo)s that the account of HF_TOKEN may read.") % about
    return _("%(hub)s has no public %(type)s %(repo)s; a private one needs HF_TOKEN.") % about


def _refused(about: dict) -> str:
    if settings.HUB_TOKEN:
        return _("%(hub)s does not let the account of HF_TOKEN do this with %(repo)s.") % about
    return _("%(hub)s wants a token: set HF_TOKEN in the environment of Podium.") % about


def _without_token(text: str) -> str:
    return text.replace(settings.HUB_TOKEN, "…") if settings.HUB_TOKEN else text


# Down


def look_up(type: str, repo: str, revision: str = "") -> Repository:
    """What the Hub has under this id. Raises JobFailed."""
    with _in_sentences(type, repo, revision):
        info = _api().repo_info(
            repo,
            repo_type=type,
            revision=revision or None,
            files_metadata=True,
            timeout=TIMEOUT,
        )
    return Repository(
        type, repo, info.sha or "", bool(info.private), tuple(_files(info.siblings or ()))
    )


def _files(siblings: Iterable[RepoSibling]) -> Iterator[File]:
    for sibling in siblings:
        sha256 = sibling.lfs.sha256 if sibling.lfs else ""
        yield File(sibling.rfilename, sibling.size or 0, sha256, sibling.blob_id or "")


def refuse_too_large(files: Iterable[tuple[File, Path]]) -> None:
    """Raises JobFailed unless the disk has room for what has not arrived yet of these files, each
    with the path where it goes, and SPARE besides.
    """
    files = list(files)
    wanted = sum(file.size - _arrived(file, to) for file, to in files)
    free = min(shutil.disk_usage(to.parent).free for _file, to in files)
    if wanted + SPARE > free:
        figures = {"wanted": f"{wanted / 1e9:.1f}", "free": f"{free / 1e9:.1f}"}
        raise JobFailed(
            _(
                "%(wanted)s GB are still to be downloaded, and the disk has %(free)s GB left: make "
                "room first."
            )
            % figures
        )


def _arrived(file: File, to: Path) -> int:
    """Bytes of the file that are here already, whole or in part."""
    if to.exists():
        return file.size
    part = _part(to)
    size = part.stat().st_size if part.exists() else 0
    return size if size <= file.size else 0


def _part(to: Path) -> Path:
    """Where a file is kept until it is whole."""
    return to.with_name(f"{to.name}.part")


def download(repository: Repository, file: File, to: Path, transfer: Transfer) -> None:
    """The file at `to`, whole or not at all. What an earlier call left half done is gone on with.

    Raises JobFailed, and what a beat raises.
    """
    transfer.begin(file.name)
    here = _arrived(file, to)
    transfer.watch(here)
    if to.exists():
        return
    part = _part(to)
    if not here:
        part.write_bytes(b"")
    with _in_sentences(repository.type, repository.id), open(part, "r+b") as out:
        out.seek(here)
        http_get(
            hf_hub_url(
                repository.id,
                file.path,
                repo_type=repository.type,
                revision=repository.commit,
                endpoint=settings.HUB_ENDPOINT,
            ),
            out,
            resume_size=here,
            headers=_headers(),
            expected_size=file.size,
            displayed_filename=file.name,
            tqdm_class=_progress(transfer.watch),
        )
    if not _is_whole(part, file, transfer.alive):
        part.unlink()
        raise JobFailed(
            _("%(file)s arrived with another content than the Hub states: resume the job.")
            % {"file": file.path}
        )
    part.replace(to)


def _headers() -> dict[str, str]:
    headers = build_hf_headers(token=settings.HUB_TOKEN or False, library_name="podium")
    return headers | {"Accept-Encoding": "identity"}  # ranges count the file's own bytes


def _progress(watch: Watch) -> type:
    """A class in place of tqdm's, as huggingface_hub makes and uses it."""

    class Progress:
        def __init__(self, *about, **settings_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, count: int) -> None:
            watch(count)

    return Progress


def _is_whole(part: Path, file: File, watch: Watch) -> bool:
    if file.sha256:
        return add_file(hashlib.sha256(), part, watch).hexdigest() == file.sha256
    if file.git:
        blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        return add_file(blob, part, watch).hexdigest() == file.git
    return part.stat().st_size == file.size


# Up


class Watched(io.BufferedIOBase):
    """A file that tells how much of it was read, so that an upload has a progress and can stop."""

    def __init__(self, file: IO[bytes], watch: Watch):
        self.file, self.watch, self.furthest = file, watch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        content = self.file.read(-1 if size is None else size)
        self._passed(self.file.tell())
        return content

    def _passed(self, position: int) -> None:
        """What is read again, after a failure or to hash it first, is no progress."""
        if position > self.furthest:
            self.watch(position - self.furthest)
            self.furthest = position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()


def open_for_upload(repo: str, private: bool) -> Repository:
    """The dataset of this id, made if there is none. Raises JobFailed, also for a public one where
    a private one is wanted.
    """
    if not settings.HUB_TOKEN:
        raise JobFailed(_("Set HF_TOKEN in the environment of Podium: the Hub wants it to push."))
    with _in_sentences("dataset", repo):
        _api().create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    repository = look_up("dataset", repo)
    if private and not repository.private:
        raise JobFailed(
            _("%(repo)s is public already: choose another name, or push it as public.")
            % {"repo": repo}
        )
    return repository


def upload(
    repo: str,
    files: Mapping[str, IO[bytes]],
    gone: Iterable[str],
    message: str,
    transfer: Transfer,
) -> tuple[str, str]:
    """One commit of these files, by their paths, and without those that are `gone`; returns its id
    and its address.

    Raises JobFailed, and what a beat raises; after the commit nothing is raised.
    """
    api = _api()
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    with _in_sentences("dataset", repo), _stops_pass():
        for path, file in files.items():
            watched = Watched(file, transfer.alive)  # it is read once to be hashed
            operation = CommitOperationAdd(path, watched)
            watched.furthest, watched.watch = 0, transfer.watch
            api.preupload_lfs_files(repo, [operation], repo_type="dataset", free_memory=False)
            watched._passed(operation.upload_info.size)  # also where it was there already
            operations.append(operation)
        operations += map(CommitOperationDelete, gone)
        transfer.finish()
        commit = api.create_commit(repo, operations, commit_message=message, repo_type="dataset")
    return commit.oid, commit.commit_url


@contextmanager
def _stops_pass() -> Iterator[None]:
    """What a beat raises while a file is sent reaches the job as itself, and so does what the Hub
    answers: huggingface_hub wraps both in errors of its own.
    """
    try:
        yield
    except RuntimeError as error:
        raise _cause(error) from error.__context__


def _cause(error: BaseException) -> BaseException:
    known = (*STOPS, HfHubHTTPError, httpx2.HTTPError)
    cause = error.__cause__
    while cause is not None and not isinstance(cause, known):
        cause = cause.__cause__
    return cause or error

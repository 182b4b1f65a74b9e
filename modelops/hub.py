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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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
from huggingface_hub.utils import build_hf_headers

from modelops import jobs
from modelops.jobs import Cancelled, Interrupted, JobFailed, LostClaim
from modelops.models import Job

TIMEOUT = 60  # seconds without a byte
STEP = 4 * 2**20  # bytes between two beats
MEGABYTE = 10**6
STOPS = (Cancelled, Interrupted, LostClaim)  # what a beat raises
Watch = Callable[[int], None]  # told how many more bytes have passed


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


class Transfer:
    """The progress of a job that moves files, in megabytes."""

    def __init__(self, job: Job, total: int):
        self.job, self.total, self.done, self.told = job, total, 0, 0

    def begin(self, file: str) -> None:
        """Say on the job's page which file is next."""
        self._beat(f"MB; {file}"[:200])

    def watch(self, count: int) -> None:
        """So many more bytes have passed. Raises what a beat raises."""
        self.done += count
        if self.done - self.told >= STEP:
            self._beat(None)

    def finish(self) -> None:
        """All is here, or there, also what was moved by an earlier attempt."""
        self.done = self.total
        self._beat(None)

    def _beat(self, note: str | None) -> None:
        self.told = self.done
        done, total = (-(-count // MEGABYTE) for count in (self.done, self.total))
        jobs.beat(self.job, done=done, total=total, note=note)


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
        told = {"status": status, "message": error.server_message or ""}
        raise JobFailed(
            _without_token(
                _("%(hub)s answered %(status)s. %(message)s").strip() % (about | told)
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


def _files(siblings) -> Iterator[File]:
    for sibling in siblings:
        sha256 = sibling.lfs.sha256 if sibling.lfs else ""
        yield File(sibling.rfilename, sibling.size or 0, sha256, sibling.blob_id or "")


def refuse_too_large(files: list[File], folder: Path) -> None:
    """Raises JobFailed unless the disk has room for the files, and a gigabyte besides."""
    wanted, free = sum(file.size for file in files), shutil.disk_usage(folder).free
    if wanted + 10**9 > free:
        figures = {"wanted": f"{wanted / 1e9:.1f}", "free": f"{free / 1e9:.1f}"}
        raise JobFailed(
            _("It has %(wanted)s GB, and the disk has %(free)s GB left: make room first.") % figures
        )


def download(repository: Repository, file: File, to: Path, watch: Watch) -> None:
    """The file at `to`, whole or not at all. What an earlier call left half done is gone on with.

    Raises JobFailed, and what `watch` raises.
    """
    if to.exists():
        watch(file.size)
        return
    part = to.with_name(f"{to.name}.part")
    part.touch()
    if part.stat().st_size > file.size:
        part.write_bytes(b"")
    with _in_sentences(repository.type, repository.id), open(part, "r+b") as out:
        here = out.seek(0, io.SEEK_END)
        watch(here)
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
            tqdm_class=_progress(watch),
        )
    if not _is_whole(part, file):
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


def _is_whole(part: Path, file: File) -> bool:
    if file.sha256:
        with open(part, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    if file.git:
        blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        with open(part, "rb") as stream:
            return hashlib.file_digest(stream, lambda: blob).hexdigest() == file.git
    return part.stat().st_size == file.size


# Up


class Watched(io.BufferedIOBase):
    """A file that tells how much of it was read, so that an upload has a progress and can stop."""

    def __init__(self, file: BinaryIO, watch: Watch):
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
    files: dict[str, BinaryIO],
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
            watched = Watched(file, lambda count: None)  # it is read once to be hashed
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

"""Models come from the Hub, through huggingface_hub and over real HTTP."""

import errno
import os
from pathlib import Path

import pytest

from modelops import hashing, jobs, progress, pull, registry, store
from modelops import hub as hub_client
from modelops.models import Job, LogLine, ModelVersion
from people.models import AuditEvent
from tests.factories import make_model
from tests.modelops import hub_server
from tests.modelops.hub_server import COMMIT, TOKEN
from tests.worker import work

pytestmark = pytest.mark.django_db
QWEN = "Qwen/Qwen2.5-0.5B-Instruct"
WEIGHTS = bytes(range(256)) * 200  # 51,200 bytes
FILES = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "LICENSE": b"Apache",
    "modeling_qwen.py": b"import os",
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"onnx",
}


@pytest.fixture
def qwen(hub):
    hub.add("model", QWEN, FILES)
    return hub


def start(project, actor=None, **recipe) -> Job:
    return jobs.request(actor, project, Job.Kind.PULL_MODEL, {"repo": QWEN} | recipe)


def pull_it(project, **recipe) -> Job:
    return work(start(project, **recipe))


# A model


def test_a_model_is_pulled_by_its_id_and_becomes_a_version(project, carol, qwen, settings):
    job = work(start(project, carol))
    made = ModelVersion.objects.get()
    folder = registry.path(made)

    assert job.state == "done", job.error
    assert (made.name, made.kind, made.project, made.job) == (QWEN, "policy", project, job)
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "LICENSE",
    }
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert made.sha256 == registry.artifact_digest(folder)
    assert job.result == {
        "model": made.pk,
        "repo": QWEN,
        "commit": COMMIT,
        "files": 4,
        "bytes": 23 + len(WEIGHTS) + 2 + 6,
        "left_out": ["modeling_qwen.py", "pytorch_model.bin", "onnx/model.onnx"],
    }
    assert AuditEvent.objects.get(verb="register").actor == carol
    assert list(registry.policies(project)) == [made]


def test_a_model_gets_the_name_that_was_said(project, qwen):
    assert pull_it(project, name="base").state == "done"
    assert ModelVersion.objects.get().name == "base"


def test_a_name_that_is_taken_is_refused_before_anything_is_downloaded(project, qwen):
    make_model(project, QWEN)
    job = pull_it(project)

    assert (job.state, job.error) == ("failed", f"There is a version named {QWEN} already.")
    assert not qwen.asked


def test_a_revision_is_pulled_as_its_commit(project, qwen):
    pull_it(project, revision="main")

    assert f"/api/models/{QWEN}/revision/main" in qwen.paths()
    assert f"/{QWEN}/resolve/{COMMIT}/config.json" in qwen.paths()


def test_weights_in_two_forms_are_downloaded_once(project, hub):
    hub.add("model", QWEN, FILES | {"consolidated.safetensors": b"the same again"})
    job = pull_it(project)

    assert "consolidated.safetensors" in job.result["left_out"]
    assert not [path for path in hub.paths() if "consolidated" in path]


NO_MODELS = {
    "no safetensors": ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "no .safetensors files"),
    "no configuration": ({"adapter_model.safetensors": b"x"}, "has no config.json"),
}


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_can_not_be_loaded_is_refused_before_it_is_downloaded(project, hub, name):
    files, reason = NO_MODELS[name]
    hub.add("model", QWEN, files)
    job = pull_it(project)

    assert job.state == "failed"
    assert reason in job.error
    assert not [path for path in hub.paths() if "/resolve/" in path]


def test_what_does_not_fit_the_disk_is_refused(project, qwen, monkeypatch):
    full = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(hub_client.shutil, "disk_usage", lambda folder: full)

    assert "make room first" in pull_it(project).error


def part_of(job: Job, settings) -> Path:
    return settings.VAR / "models" / f".pull-{job.pk}" / "model.safetensors.part"


def test_what_has_arrived_already_needs_no_room(project, qwen, settings, monkeypatch):
    """There is room for the last 1,200 bytes of the weights and the 31 of the other files."""
    almost_full = type("Usage", (), {"free": hub_client.SPARE + 1_231})
    monkeypatch.setattr(hub_client.shutil, "disk_usage", lambda folder: almost_full)
    assert "make room first" in pull_it(project).error

    job = start(project)
    part = part_of(job, settings)
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:50_000])
    (part.parent / "config.json").write_bytes(FILES["config.json"])
    assert work(job).state == "done"
    assert ranges(qwen) == ["bytes=50000-"]


def test_more_than_a_file_has_is_no_part_of_it(project, qwen, settings):
    job = start(project)
    part = part_of(job, settings)
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS + b"x")

    assert work(job).state == "done"
    assert ranges(qwen) == [None]


# Breaks


def ranges(hub) -> list[str | None]:
    """The ranges that were asked of the weights."""
    return [
        about.get("range")
        for _method, path, about in hub.asked
        if "/resolve/" in path and path.endswith("model.safetensors")
    ]


def test_a_connection_that_ends_early_goes_on_where_it_ended(project, qwen):
    qwen.cut["model.safetensors"] = 20_000
    job = pull_it(project)

    assert job.state == "done", job.error
    assert ranges(qwen) == [None, "bytes=20000-"]
    assert (registry.path(ModelVersion.objects.get()) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_cancelled_pull_goes_on_where_it_was(project, qwen, settings, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    job, watch = start(project), progress.Transfer.watch

    def cancel_half_way(transfer, count):
        if transfer.done > 25_000:
            Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        watch(transfer, count)

    with monkeypatch.context() as patch:
        patch.setattr(progress.Transfer, "watch", cancel_half_way)
        assert work(job).state == "cancelled"
    here = part_of(job, settings).stat().st_size
    assert 20_000 < here < len(WEIGHTS)
    assert not ModelVersion.objects.exists()

    qwen.asked.clear()
    jobs.resume(None, job)
    assert work(job).state == "done"
    assert ranges(qwen) == [f"bytes={here}-"]
    assert f"/{QWEN}/resolve/{COMMIT}/config.json" not in qwen.paths(), "it was here already"
    assert f"/api/models/{QWEN}/revision/{COMMIT}" in qwen.paths(), "the same commit"
    assert (registry.path(ModelVersion.objects.get()) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_job_shows_how_many_megabytes_are_here(project, qwen, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(progress, "MEGABYTE", 1000)
    seen, beat = [], jobs.beat

    def record(job, done, total, note):
        seen.append((done, total, note))
        beat(job, done=done, total=total, note=note)

    monkeypatch.setattr(jobs, "beat", record)
    pull_it(project)

    assert {total for _done, total, _note in seen} == {52}
    assert [done for done, _total, _note in seen] == sorted(done for done, _total, _note in seen)
    assert "MB; model.safetensors" in [note for _done, _total, note in seen]


def test_a_file_that_arrives_changed_is_thrown_away(project, qwen, settings):
    qwen.corrupts.add("model.safetensors")
    job = pull_it(project)

    assert (job.state, "another content" in job.error) == ("failed", True)
    assert not part_of(job, settings).exists()
    assert not ModelVersion.objects.exists()

    qwen.corrupts.clear()
    jobs.resume(None, job)
    assert work(job).state == "done"


def test_a_worker_that_died_before_the_model_was_registered_downloads_nothing_again(
    project, qwen, monkeypatch
):
    def died(*about, **links):
        raise jobs.Crashed("killed")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", died)
        job = pull_it(project)
    assert job.state == "queued"

    qwen.asked.clear()
    assert work(job).state == "done"
    assert not qwen.asked
    assert work_again(job) == 1


def work_again(job: Job) -> int:
    """How many versions there are after the finished job was run once more."""
    pull.run(Job.objects.select_related("project").get(pk=job.pk))
    return ModelVersion.objects.count()


NAME_TAKEN = f"There is a version named {QWEN} already."


def test_files_that_can_not_be_registered_do_not_stay(project, qwen, settings, monkeypatch):
    register = registry.register

    def another_was_first(*about, **links):
        make_model(project, QWEN)
        return register(*about, **links)

    monkeypatch.setattr(registry, "register", another_was_first)
    assert pull_it(project).error == NAME_TAKEN
    assert list((settings.VAR / "models").iterdir()) == []


def test_nor_do_those_of_a_worker_that_died_before(project, qwen, settings, monkeypatch):
    def died(*about, **links):
        raise jobs.Crashed("killed")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", died)
        job = pull_it(project)
    make_model(project, QWEN)

    assert work(job).error == NAME_TAKEN
    assert list((settings.VAR / "models").iterdir()) == []


HASHED = {"what arrived": (hub_client, "_is_whole"), "the model": (store, "put")}


@pytest.mark.parametrize("name", HASHED)
def test_a_job_is_cancelled_also_while_files_are_hashed(project, qwen, monkeypatch, name):
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(hashing, "BLOCK", 1000)
    module, function = HASHED[name]
    job, hash_it = start(project), getattr(module, function)

    def cancel_first(*about):
        Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        return hash_it(*about)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, cancel_first)
        assert work(job).state == "cancelled"
    assert not ModelVersion.objects.exists()

    jobs.resume(None, job)
    assert work(job).state == "done"


# The token, and what the Hub refuses


def test_the_token_goes_to_the_hub_alone_and_is_kept_nowhere(project, qwen, caplog, settings):
    caplog.set_level("DEBUG")
    qwen.repos["model", QWEN]["private"] = True
    job = pull_it(project)

    assert job.state == "done", job.error
    sent = {path for _method, path, about in qwen.asked if "authorization" in about}
    assert sent
    assert not [path for path in sent if "signature" in path], "the CDN gets none"
    assert TOKEN not in caplog.text
    assert TOKEN not in f"{job.recipe} {job.result} {job.error} {job.note}"
    assert not LogLine.objects.filter(text__contains=TOKEN).exists()
    kept = [file for file in settings.VAR.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if TOKEN.encode() in file.read_bytes()]


def test_without_a_token_none_is_sent(project, qwen, settings, monkeypatch, tmp_path):
    """Nor one that somebody's login has left in their home."""
    (tmp_path / "token").write_text("hf_of_a_login")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    settings.HUB_TOKEN = ""

    assert pull_it(project).state == "done"
    assert not [path for _method, path, about in qwen.asked if "authorization" in about]


REFUSALS = {
    "an unknown model": ({}, "", "has no model Qwen/Nothing that the account of HF_TOKEN may read"),
    "a private one": ({"private": True}, "none", "has no public model"),
    "a gated one": ({"gated": True}, "", "is gated: accept its terms at"),
    "an unknown revision": ({}, "", "has no revision dev"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_hub_refuses_is_one_sentence(project, qwen, settings, name):
    about, token, sentence = REFUSALS[name]
    qwen.repos["model", QWEN] |= about
    settings.HUB_TOKEN = "" if token == "none" else settings.HUB_TOKEN
    recipe = {
        "an unknown model": {"repo": "Qwen/Nothing"},
        "an unknown revision": {"revision": "dev"},
    }
    job = pull_it(project, **recipe.get(name, {}))

    assert job.state == "failed"
    assert sentence in job.error
    assert "Traceback" not in job.error
    assert "\n" not in job.error


def test_a_hub_that_fails_is_one_sentence(project, qwen):
    qwen.refuses["/api/models"] = 503
    job = pull_it(project)

    assert (job.state, job.error) == ("failed", f"{qwen.address} answered 503. Not today.")


BREAKS = {
    "a file of another size": "Consistency check failed: file should be of size 28 but has size 23",
    "a file too large for it": "The file is too large to be downloaded using the regular download",
    "a full disk": "No space left on device",
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_huggingface_hub_and_the_disk_refuse_is_one_sentence(project, qwen, monkeypatch, name):
    plain = hub_server.sibling
    if name == "a file of another size":
        monkeypatch.setattr(
            hub_server, "sibling", lambda path, content: plain(path, content) | {"size": 28}
        )
    elif name == "a file too large for it":
        monkeypatch.setattr("huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE", 10)
    else:
        monkeypatch.setattr(hub_client, "http_get", full)
    job = pull_it(project)

    assert job.state == "failed"
    assert job.error.startswith(f"{QWEN} could not be transferred whole ({BREAKS[name]}")
    assert job.error.endswith("): resume the job.")
    assert "\n" not in job.error


def full(*about, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_without_a_network_the_sentence_says_what_to_do(project, settings):
    settings.HUB_ENDPOINT = "http://127.0.0.1:9"
    job = pull_it(project)

    assert job.state == "failed"
    assert job.error.startswith("http://127.0.0.1:9 can't be reached (")
    assert job.error.endswith(
        "resume the job when there is a network, or set HF_ENDPOINT to a server that can be."
    )


def test_the_endpoint_and_the_token_come_from_the_environment():
    code = "from django.conf import settings; print(settings.HUB_ENDPOINT, settings.HUB_TOKEN)"
    environment = {"HF_ENDPOINT": "https://hub.example/", "HF_TOKEN": "hf_other"}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings"}

    assert run_python(code, environment) == "https://hub.example hf_other"


def run_python(code: str, environment: dict[str, str]) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


# Page and API


def test_an_admin_types_the_id(client_for, carol, project, qwen):
    browser = client_for(carol)
    assert "/p/demo/jobs/new/pull_model/" in browser.get("/p/demo/models/").content.decode()
    sent = browser.post("/p/demo/jobs/new/pull_model/", {"repo": QWEN})
    job = Job.objects.get()

    assert sent.url == f"/p/demo/jobs/{job.pk}/"
    work(job)
    page = browser.get(sent.url).content.decode()
    assert "3 files were left out: modeling_qwen.py, pytorch_model.bin, onnx/model.onnx." in page
    assert f"/p/demo/models/{ModelVersion.objects.get().pk}/" in page


@pytest.mark.parametrize("repo", ["", "two words", "a/b/c", "https://huggingface.co/a/b", "../x"])
def test_what_is_no_id_is_refused_at_its_field(client_for, carol, project, repo):
    answer = client_for(carol).post("/p/demo/jobs/new/pull_model/", {"repo": repo})

    assert answer.status_code == 422
    assert "must be an id at the Hub" in answer.content.decode()
    assert not Job.objects.exists()


def test_a_script_pulls_a_model(client_for, carol, project, qwen):
    answer = client_for(carol).post(
        "/api/v1/projects/demo/jobs",
        {"kind": "pull_model", "recipe": {"repo": QWEN, "name": "base"}},
        content_type="application/json",
    )
    assert answer.status_code == 202, answer.content
    work(Job.objects.get())
    told = client_for(carol).get(answer["Location"]).json()
    assert (told["state"], told["model_made"]) == ("done", ModelVersion.objects.get().pk)

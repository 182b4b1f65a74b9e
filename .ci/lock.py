"""Write the lock files of deploy/: all packages that an image installs, with their hashes.

torch is left out: its builds for processors and for GPUs differ, so the Dockerfile installs it in a
step of its own, pinned in requirements-worker.txt.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes"]
COMMAND += ["--strip-extras", "--no-header", "--no-annotate", "--allow-unsafe"]
COMMAND += ["--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links"]
HEAD = "# Written by `make lock` from {name}.\n"
# what only a build of torch for GPUs needs
APART = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")


def main() -> None:
    for name in ("requirements-web.txt", "requirements-worker.txt"):
        file = ROOT / "deploy" / f"{name.removesuffix('.txt')}.lock"
        subprocess.run([*COMMAND, "--output-file", file, name], cwd=ROOT, check=True)
        file.write_text(HEAD.format(name=name) + without_torch(file.read_text()))


def without_torch(lock: str) -> str:
    """The lock file without comments, and without what is installed apart."""
    entries = re.findall(r"^\S+==.*(?:\n    .*)*\n", lock, re.MULTILINE)
    return "".join(entry for entry in entries if not APART.match(entry))


if __name__ == "__main__":
    main()

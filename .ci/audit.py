"""Look up the installed packages among PyPI's advisories, by pip-audit. Fails for a known one.

Where the advisories are not reachable, it says so and does not fail.
"""

import json
import subprocess
import sys

COMMAND = [sys.executable, "-m", "pip_audit", "--local", "--format=json", "--progress-spinner=off"]
SECONDS = 300  # for all of it


def main() -> int:
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        text, failed = report("", f"no answer in {SECONDS} seconds")
    else:
        text, failed = report(done.stdout, done.stderr)
    print(text)
    return failed


def report(output: str, errors: str) -> tuple[str, bool]:
    """What to say of pip-audit's output, and whether it names an advisory."""
    try:
        packages = json.loads(output)["dependencies"]
    except ValueError:
        why = errors.strip().rpartition("\n")[2] or "no reason given"
        return f"Advisories: not checked ({why}).", False
    known = [package for package in packages if "vulns" in package]
    advisories = [
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in "
        f"{', '.join(advisory['fix_versions']) or 'no version'}"
        for package in known
        for advisory in package["vulns"]
    ]
    if not known:
        return f"Advisories: not checked (PyPI knows none of {len(packages)} packages).", False
    skipped = [package["name"] for package in packages if "vulns" not in package]
    unknown = f"; not on PyPI, not checked: {', '.join(skipped)}" if skipped else ""
    checked = f"Advisories: {len(advisories)} for {len(known)} packages{unknown}."
    return "\n".join([checked, *advisories]), bool(advisories)


if __name__ == "__main__":
    sys.exit(main())

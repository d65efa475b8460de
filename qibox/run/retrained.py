"""Policies that were trained anew under their name since they answered below a run.

A manifest below a run (:mod:`qibox.run.layout`) tells under which lineage each of the run's
policies was asked. Where another lineage stands under that name now, the answers are those of a
policy that is there no more: no view shows them until the policy is asked again.
"""

import hashlib
from collections.abc import Iterator

from qibox.errors import command
from qibox.run.directory import RUN_FILE, RunManifest, read_run_manifest
from qibox.run.finished import POLICY_FILE
from qibox.run.layout import PROFILES, policy_path
from qibox.run.storage import Storage


def lineage_digest(storage: Storage, policy: str) -> str | None:
    """The sha256 of a policy's lineage, in hex; None where the run has no such policy.

    Raises:
        DamagedFileError: it is not what was written, which must not be taken for another training.
    """
    path = policy_path(policy, POLICY_FILE)
    if not storage.exists(path):
        return None
    text = storage.read_text(path)
    if not text.strip():
        raise storage.fault(path)("it is empty")
    return hashlib.sha256(text.encode()).hexdigest()


def retrained_in(storage: Storage, manifest: RunManifest) -> frozenset[str]:
    """Which policies of a manifest below the run were trained anew; a deleted one was not."""
    now = {name: lineage_digest(storage, name) for name in manifest.policies}
    return frozenset(n for n, then in manifest.policies.items() if now[n] not in (None, then))


def retrained(storage: Storage) -> dict[str, frozenset[str]]:
    """Those policies by the home of their answers; homes without any are left out."""
    found = {}
    for home in homes(storage):
        manifest = read_run_manifest(storage, home)
        assert manifest is not None
        if policies := retrained_in(storage, manifest):
            found[home] = policies
    return found


def homes(storage: Storage) -> list[str]:
    """The folders below a run where policies' answers lie, sorted; each ends in a slash."""
    files = [file for folder in ("evaluations", "profiles") for file in storage.files(folder)]
    return [file.removesuffix(RUN_FILE) for file in files if file.endswith(f"/{RUN_FILE}")]


def said_of_retrained(storage: Storage, below: str = "") -> Iterator[str]:
    """A sentence for each such policy, with the command that asks it again."""
    for home, policies in retrained(storage).items():
        if not home.startswith(below):
            continue
        what = home.rstrip("/").partition("/")[2]
        for policy in sorted(policies):
            again = (
                command("profile", storage.url, policy=policy)
                if home.startswith(PROFILES)
                else command("eval", storage.url, policy=policy, pool=what)
            )
            yield (
                f"policy {policy} was trained anew since it answered in {home.rstrip('/')}: its "
                f"answers there are left out until {again} asks it again"
            )

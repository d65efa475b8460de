"""At which commit a run asked a policy from the hub, when none was named.

Looked up on the hub once: a branch that moves between two evaluations of one run would make two
policies of one name, and an evaluation that has all it needs would wait for the network. The commit
stands in the manifests below the run, RUN/evaluations/<benchmark>/ and RUN/profiles/<policy>/, and
goes when the answers go. A panel's manifest that names another revision asks that one.
"""

from qibox.run.directory import read_run_manifest
from qibox.run.retrained import homes
from qibox.run.storage import Storage


def pinned_commit(storage: Storage, source: str) -> str | None:
    """The commit of a hub id under which answers stand in a run; None where there are none.

    Raises:
        UsageError: a manifest below the run cannot be read.
    """
    for home in homes(storage):
        manifest = read_run_manifest(storage, home)
        assert manifest is not None
        for spec in manifest.panel.models.values():
            asked_at_commit = spec.source == source and spec.engine not in ("openai", "replay")
            if asked_at_commit and spec.revision and not spec.revision.startswith("sha256:"):
                return spec.revision
    return None

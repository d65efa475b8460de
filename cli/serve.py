"""`qibox serve`: a judge's, a panel model's or a policy's vLLM server."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.manifests.panel import ModelSpec

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class Served:
    """What is to be served, and what is told about it."""

    name: str  # its id
    spec: "ModelSpec"
    use: str  # how it is asked; {url} is where it is


@click.command(short_help="Serve a judge, a panel's model or a policy with vLLM.")
@click.argument("name")
@click.option("--panel", multiple=True, help="Panel of the model: a name or .yaml path.")
@click.option("--run", default=DEFAULT_RUN, show_default=True, help="Run of the policy.")
@click.option("--gpus", metavar="0,1", help="Cards to run on.  [default: those its manifest takes]")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 lets other machines ask.",
)
@click.option("--trust-remote-code", is_flag=True, help="Let the model run code of its own.")
@click.option("-q", "--quiet", is_flag=True, help="Without the server's own log.")
def command(
    name: str,
    panel: tuple[str, ...],
    run: str,
    gpus: str | None,
    port: int,
    host: str,
    trust_remote_code: bool,
    quiet: bool,
) -> None:
    """Start vLLM's server for NAME, a judge or a panel's model with its manifest's settings, or a
    policy of RUN; say how to ask it once it answers; end it on Ctrl-C.

    A judge that is served is the same judge: what it said before counts as before. Whoever asks
    must know the key that $QIBOX_KEY holds here, if it holds one.

    \b
    Example: qibox serve grm --gpus 0,1 --port 8000
    """
    from qibox.cli import console
    from qibox.engines.serving import ModelServer, servable
    from qibox.errors import QiboxError

    cards = tuple(part.strip() for part in gpus.split(",") if part.strip()) if gpus else ()
    with _found(name, panel, run) as found, _ended_on_request(found.name):
        spec = servable(found.name, found.spec)
        console.err.print(
            f"starting vLLM's server for {found.name} ({found.spec.source}) at {host}:{port}",
            soft_wrap=True,
            highlight=False,
        )
        made = ModelServer(
            found.name,
            spec,
            host=host,
            port=port,
            gpus=cards,
            show_log=not quiet,
            allow_remote_code=trust_remote_code,
        )
        with closing(made) as server:
            server.wait()
            console.out.print(found.use.format(url=server.url), soft_wrap=True, highlight=False)
            status = server.run()
    raise QiboxError(f"the server of '{found.name}' ended with status {status}")


@contextmanager
def _found(name: str, panels: tuple[str, ...], run: str) -> Iterator[Served]:
    """What a name stands for: a judge, then a model of the panels, then a policy of the run.

    Raises:
        UsageError: nothing of that name can be served.
    """
    from qibox.errors import UsageError
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.load import list_manifests, load_manifest
    from qibox.manifests.panel import ModelSpec, PanelManifest
    from qibox.policies.directory import model_directory
    from qibox.run.finished import policy_names
    from qibox.run.storage import Storage

    if name in list_manifests(JudgeManifest) or name.endswith((".yaml", ".yml")):
        judge = load_manifest(JudgeManifest, name)
        if judge.model is None:
            raise UsageError(f"judge '{judge.name}' has no model to serve: it is asked as it is")
        yield Served(judge.name, judge.model, "--judge-at {url}")
        return
    given = [load_manifest(PanelManifest, p) for p in panels or list_manifests(PanelManifest)]
    for each in given:
        if name in each.models:
            yield Served(name, each.models[name], f"models.{name}.at: {{url}}")
            return
    storage = Storage(run)
    if name in policy_names(storage):
        with model_directory(storage, name) as folder:
            yield Served(name, ModelSpec(source=str(folder)), f"{{url}} serves model {name}")
        return
    models = ", ".join(model for each in given for model in each.models)
    policies = ", ".join(policy_names(storage)) or "none"
    raise UsageError(
        f"nothing named '{name}' can be served: there are the judges "
        f"{', '.join(list_manifests(JudgeManifest))}; the models {models}; and the policies of "
        f"{run}: {policies}"
    )


@contextmanager
def _ended_on_request(name: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work, and are no failure of it."""
    from qibox.cli import console

    def end(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        console.err.print(f"the server of {name} is ended", highlight=False)
        raise SystemExit(0) from None
    finally:
        signal.signal(signal.SIGTERM, before)

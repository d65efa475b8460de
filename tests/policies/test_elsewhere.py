"""A trained policy where qibox is not: plain transformers, and vLLM's own server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from openai import OpenAI

from qibox.engines.load import has_vllm
from qibox.engines.serving import free_port
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.run.kept_files import damaged_others
from tests.grpo.conftest import run

__all__ = ["run"]  # a fixture

ASK = "what is in the room ?"
PLAIN = f"""
import sys
from transformers import AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
processor = AutoProcessor.from_pretrained(sys.argv[1])
chat = [{{"role": "user", "content": [{{"type": "text", "text": {ASK!r}}}]}}]
given = processor.apply_chat_template(
    chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
)
drawn = model.generate(**given, do_sample=False, max_new_tokens=20)
ours = [name for name in sys.modules if name.startswith("qibox")]
hook = {{"qibox", "qibox.version", "qibox.torchvision_ops"}}  # of this environment: see its module
assert set(ours) <= hook, ours
print(processor.decode(drawn[0, given["input_ids"].shape[1]:], skip_special_tokens=True))
"""


@pytest.fixture
def policy(run: Run) -> Path:
    """One step from the shipped start policy."""
    changes = {"steps": 1, "prompts_per_step": 2, "samples_per_prompt": 2}
    recipe = load_manifest(RecipeManifest, "mini").model_copy(update=changes)
    plan = resolve_training(run, "default", recipe, load_manifest(JudgeManifest, "oracle"), "mine")
    train(run, plan, recipe)
    return Path(run.storage.path("policies/mine"))


@pytest.fixture
def url(run: Run, policy: Path) -> Iterator[str]:
    """Where `qibox serve mine` serves it: vLLM's server, given the folder and no more."""
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "qibox.cli", "serve", "mine", "--run", run.storage.url]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline().strip()
        assert line == f"http://127.0.0.1:{port}/v1 serves model mine", server.communicate()[1]
        yield line.split()[0]
    finally:
        server.terminate()
        server.communicate()


def plain_answer(policy: Path) -> str:
    command = [sys.executable, "-c", PLAIN, str(policy / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=policy)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.vllm
@pytest.mark.xdist_group("vllm")
@pytest.mark.skipif(not has_vllm(), reason="vLLM IS NOT INSTALLED: make setup-vllm adds it")
def test_plain_transformers_and_vllms_server_answer_alike(run: Run, policy: Path, url: str) -> None:
    answer = plain_answer(policy)
    assert len(answer.split()) > 2
    client = OpenAI(base_url=url, api_key="none")
    (choice,) = client.chat.completions.create(
        model="mine",
        messages=[{"role": "user", "content": ASK}],
        temperature=0,
        max_tokens=20,
    ).choices
    assert str(choice.message.content).strip() == answer
    card = ModelCard.load(policy / "README.md")
    assert card.data.library_name == "transformers"
    assert "It knows drawn rooms" in card.text
    assert str(policy.parents[1]) not in card.content
    (policy / "README.md").write_text("As an evaluation writes it anew.\n")
    assert damaged_others(run.storage) == {}

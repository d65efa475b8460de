from typing import Any

import pytest
from tinymodel import prompts

from qibox.engines import load
from qibox.engines.load import load_engine, resolve_model
from qibox.engines.process import parent
from qibox.engines.process.parent import ChildEngine
from qibox.engines.sources import WHOLE, fingerprint, local_directory
from qibox.engines.transformers import TransformersEngine
from qibox.errors import UsageError
from qibox.manifests.panel import ModelSpec
from qibox.manifests.sampling import Sampling


def test_auto_is_transformers_without_a_gpu_and_vllm_with_one(tiny_model, monkeypatch):
    spec = ModelSpec(source=str(tiny_model))
    monkeypatch.setattr(load, "has_vllm", lambda: True)
    monkeypatch.setattr(load, "has_gpu", lambda: False)
    assert resolve_model(spec).engine == "transformers"
    monkeypatch.setattr(load, "has_gpu", lambda: True)
    assert resolve_model(spec).engine == "vllm"
    monkeypatch.setattr(load, "has_vllm", lambda: False)
    assert resolve_model(spec).engine == "transformers"


def test_auto_keeps_the_settings_that_the_found_engine_has(tiny_model, monkeypatch):
    monkeypatch.setattr(load, "has_gpu", lambda: False)
    settings = {"max_model_len": 99, "tensor_parallel_size": 2}
    resolved = resolve_model(ModelSpec(source=str(tiny_model), settings=settings))
    assert resolved.settings == {"max_model_len": 99}


@pytest.mark.parametrize(
    ("engine", "settings", "message"),
    [
        ("transformers", {"batchsize": 3}, "unknown option 'batchsize' .allowed: .*batch_size"),
        ("auto", {"batchsize": 3}, "unknown option 'batchsize'"),
        ("transformers", {"batch_size": 0}, "batch_size is 0: .*greater than or equal to 1"),
        ("vllm", {"gpu_memory_utilization": 2}, "gpu_memory_utilization is 2"),
        ("openai", {}, "option 'base_url' is missing"),
        ("replay", {"path": "x"}, "unknown option 'path'"),
    ],
)
def test_settings_are_checked_before_anything_is_loaded(tiny_model, engine, settings, message):
    with pytest.raises(UsageError, match=message):
        resolve_model(ModelSpec(source=str(tiny_model), engine=engine, settings=settings))


def test_a_directory_is_fingerprinted_by_its_content(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"one")
    first = fingerprint(tmp_path)
    assert first == fingerprint(tmp_path)
    (tmp_path / ".hidden").write_bytes(b"x")
    assert fingerprint(tmp_path) == first
    (tmp_path / "a.safetensors").write_bytes(b"two")
    second = fingerprint(tmp_path)
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    assert len({first, second, fingerprint(tmp_path)}) == 3


def test_a_large_file_is_fingerprinted_by_samples_its_ends_among_them(tmp_path):
    path = tmp_path / "w.safetensors"
    digests = set()
    for change in (None, 0, WHOLE + 4095, WHOLE):
        with path.open("wb") as file:
            file.truncate(WHOLE + 4096)
            if change is not None:
                file.seek(change)
                file.write(b"x")
        digests.add(fingerprint(tmp_path))
    assert len(digests) == 4


def test_sources(tiny_model, tmp_path):
    assert local_directory(str(tiny_model)) == tiny_model
    assert local_directory("owner/name") is None
    shipped = local_directory("builtin:strong")
    assert shipped is not None
    assert (shipped / "config.json").is_file()
    with pytest.raises(UsageError, match=r"no shipped model named 'nobody': .*strong"):
        local_directory("builtin:nobody")
    with pytest.raises(UsageError, match=r"no shipped model named '../x'"):
        local_directory("builtin:../x")
    with pytest.raises(UsageError, match="is not a directory"):
        local_directory(str(tmp_path / "nowhere"))


def test_a_hub_id_that_cannot_be_had_is_refused_at_once():
    with pytest.raises(UsageError, match="'owner/never-made' is neither a directory nor"):
        resolve_model(ModelSpec(source="owner/never-made", engine="transformers"))


def test_code_of_a_model_needs_both_consents(tiny_model):
    settings = {"isolate": False}
    spec = ModelSpec(
        source=str(tiny_model), engine="transformers", trust_remote_code=True, settings=settings
    )
    with pytest.raises(UsageError, match="then allow it") as refused:
        load_engine("m", spec)
    assert refused.value.fields == ("trust_remote_code",)
    engine = load_engine("m", spec, allow_remote_code=True)
    assert isinstance(engine, TransformersEngine)


def test_models_with_one_noise_id_are_drawn_alike(tiny_model):
    def drawn(model, noise_id):
        spec = ModelSpec(
            source=str(tiny_model),
            engine="transformers",
            settings={"isolate": False},
            noise_id=noise_id,
        )
        engine = load_engine(model, spec)
        table = engine.generate(prompts(["one", "two"]), Sampling(samples=3, max_tokens=12))
        engine.close()
        return table["text"].to_pylist()

    own = drawn("a", None)
    assert drawn("b", "a") == own
    assert drawn("b", None) != own


def test_vllm_is_given_the_id_of_its_noise(tiny_model, monkeypatch):
    monkeypatch.setattr(load, "has_vllm", lambda: True)
    monkeypatch.setattr(load, "_vllm", lambda arguments, settings: arguments["model"])
    spec = ModelSpec(source=str(tiny_model), engine="vllm")
    assert load_engine("m", spec) == "m"
    assert load_engine("m", spec.model_copy(update={"noise_id": "policy"})) == "policy"


def test_transformers_runs_in_a_child_unless_told_otherwise(tiny_model):
    engine = load_engine(
        "m", resolve_model(ModelSpec(source=str(tiny_model), engine="transformers"))
    )
    assert isinstance(engine, ChildEngine)
    engine.close()


def test_vllm_that_is_not_installed_is_said_so(tiny_model, monkeypatch):
    monkeypatch.setattr(load, "has_vllm", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'qibox\[vllm\]'"):
        load_engine("m", ModelSpec(source=str(tiny_model), engine="vllm"))


def test_a_chat_template_is_kept_as_its_text_so_that_an_edit_changes_the_run(tmp_path):
    path = tmp_path / "mine.jinja"
    resolved = []
    for text in ("{{ messages }}", "{{ messages[0] }}"):
        path.write_text(text)
        settings = {"chat_template": str(path)}
        spec = ModelSpec(source="builtin:strong", engine="vllm", settings=settings)
        resolved.append(resolve_model(spec))
        assert resolve_model(resolved[-1]) == resolved[-1]
    assert [spec.settings["chat_template"] for spec in resolved] == [
        "{{ messages }}",
        "{{ messages[0] }}",
    ]


@pytest.mark.parametrize("name", ["load_format", "worker_cls", "trust_remote_code"])
def test_further_arguments_cannot_undo_what_keeps_a_run_safe(name):
    spec = ModelSpec(source="builtin:strong", engine="vllm", settings={"extra": {name: "x"}})
    with pytest.raises(UsageError, match=name):
        resolve_model(spec)


@pytest.mark.parametrize(
    ("settings", "cards"),
    [
        ({}, ["4", "5", "6", "7"]),
        ({"tensor_parallel_size": 2}, ["4,5", "6,7"]),
        ({"tensor_parallel_size": 3}, [None]),  # one copy fits, and takes the cards it wants
        ({"data_parallel_size": 2}, ["4", "5"]),
        ({"data_parallel_size": 1}, [None]),
    ],
)
def test_there_are_as_many_copies_as_cards_unless_told_otherwise(
    settings: dict[str, Any], cards: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []

    class Child:
        def __init__(self, *args: Any, environment: dict[str, str] | None = None) -> None:
            started.append((environment or {}).get("CUDA_VISIBLE_DEVICES"))

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr(load, "has_gpu", lambda: True)
    monkeypatch.setattr(load, "has_vllm", lambda: True)
    monkeypatch.setattr(parent, "ChildEngine", Child)
    spec = ModelSpec(source="builtin:strong", engine="vllm", settings=settings, revision="x")
    load_engine("strong", spec)
    assert started == cards

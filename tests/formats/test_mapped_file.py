"""Arrays that are views of files: what is mapped, and that it stays."""

import numpy as np
import pytest

from fluidlite.formats.files import open_source
from fluidlite.formats.mapped_file import SMALLEST_MAPPED, MappedFile, map_file


class TestMappedFile:
    def _source(self, tmp_path, nbytes):
        path = tmp_path / "file"
        path.write_bytes(bytes(range(256)) * (nbytes // 256))
        return open_source(path)

    def test_small_files_are_not_mapped(self, tmp_path):
        with self._source(tmp_path, SMALLEST_MAPPED - 256) as source:
            assert map_file(source) is None

    @pytest.mark.parametrize("preload", [False, True])
    def test_arrays_outlive_the_open_file(self, tmp_path, preload):
        with self._source(tmp_path, SMALLEST_MAPPED) as source:
            mapped = MappedFile(map_file(source, preload=preload), any_address=True)
        array = mapped.array(3, (2, 5), np.dtype(np.float32))
        assert not array.flags.writeable and not array.flags.aligned
        assert array.tobytes() == bytes(range(3, 43))

    def test_what_is_offered(self, tmp_path):
        with self._source(tmp_path, SMALLEST_MAPPED) as source:
            memory = map_file(source)
        double = np.dtype(np.float64)
        for any_address in (False, True):
            mapped = MappedFile(memory, any_address=any_address)
            assert mapped.offers(16, SMALLEST_MAPPED, double)
            assert mapped.offers(20, SMALLEST_MAPPED, double) == any_address
            assert not mapped.offers(16, SMALLEST_MAPPED - 8, double)
            assert not mapped.offers(16, SMALLEST_MAPPED, np.dtype(bool))

    def test_a_file_system_without_mappings(self, tmp_path, monkeypatch):
        def refuse(*args, **options):
            raise OSError("No such device")

        monkeypatch.setattr("fluidlite.formats.mapped_file.mmap.mmap", refuse)
        with self._source(tmp_path, SMALLEST_MAPPED) as source:
            assert map_file(source) is None

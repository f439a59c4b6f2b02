"""Record what Fluid 1.8.5 gives for the archives of the tests: run this with a Python that has it."""

import json
import os
import tempfile

import paddle.dataset
from archives import make
from results import results


def main():
    """Write data/datasets.json."""
    common = paddle.dataset.common
    with tempfile.TemporaryDirectory() as home:
        make(home)
        common.DATA_HOME = home
        common.download = lambda url, module, md5, save_name=None: os.path.join(home, module, url.split("/")[-1])
        paddle.dataset.uci_housing.feature_range = lambda *ranges: None  # needs matplotlib, and writes a picture
        found = results(paddle.dataset)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "datasets.json")
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in sorted(found.items())) + "\n}\n")


if __name__ == "__main__":
    main()

"""Record what PyTorch's SparseAdam does to a table: run with a Python that has torch 2.13.0.

The batches have duplicates, hot rows, and rows that come back after 20 steps; every gradient is at least 1e-2 large.
"""

import os

import numpy as np
import torch

V, D, N, STEPS = 23, 5, 12, 40
OPTIONS = {"lr": 0.02, "betas": (0.9, 0.999), "eps": 1e-8}


def batches():
    rng = np.random.RandomState(7)
    for step in range(STEPS):
        rows = rng.randint(0, 15, N)
        rows[0] = 0
        if step % 20 == 0:
            rows[1:3] = 20
        value = rng.uniform(0.01, 1.0, (N, D)) * rng.choice([-1.0, 1.0], (1, D))
        yield rows, value.astype("float32")


def main():
    start = np.random.RandomState(8).uniform(-1, 1, (V, D)).astype("float32")
    table = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.SparseAdam([table], **OPTIONS)
    params, all_rows, all_values = [], [], []
    for rows, value in batches():
        table.grad = torch.sparse_coo_tensor(torch.from_numpy(rows)[None], torch.from_numpy(value), (V, D))
        optimizer.step()
        params.append(table.detach().numpy().copy())
        all_rows.append(rows)
        all_values.append(value)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "torch_sparse_adam.npz")
    np.savez_compressed(path, start=start, rows=all_rows, values=all_values, params=np.array(params)[[0, 9, 19, 39]])


if __name__ == "__main__":
    main()

"""Record 20 steps of an ``nn.Embedding`` under torch's SparseAdam, with its state in the middle (torch 2.13.0).

python tests/golden/record_torch_embedding.py          # writes data/torch_embedding.npz
python tests/golden/record_torch_embedding.py check    # also needs fluidlite: training goes on there and back
"""

import sys
from pathlib import Path

import numpy as np
import torch

HEIGHT, WIDTH, RATE, STEPS = 11, 3, 0.05, 20
PATH = Path(__file__).parent / "data" / "torch_embedding.npz"


def batches():
    """Ids (some twice, some never) and what their rows are multiplied with, so that gradients are large."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, HEIGHT - 2, (STEPS, 7))
    factors = rng.uniform(0.2, 1, (STEPS, 7, WIDTH)) * rng.choice([-1, 1], (STEPS, 7, WIDTH))
    return ids, factors.astype(np.float32)


def make():
    torch.manual_seed(1)
    embedding = torch.nn.Embedding(HEIGHT, WIDTH, sparse=True)
    return embedding, torch.optim.SparseAdam(embedding.parameters(), lr=RATE)


def train(embedding, optimizer, first, last):
    ids, factors = batches()
    for step in range(first, last):
        optimizer.zero_grad()
        (embedding(torch.from_numpy(ids[step])) * torch.from_numpy(factors[step])).sum().backward()
        optimizer.step()


def state(embedding, optimizer, name):
    moments = optimizer.state[embedding.weight]
    found = {"weight": embedding.weight.detach(), "exp_avg": moments["exp_avg"], "exp_avg_sq": moments["exp_avg_sq"]}
    return {f"{key}_{name}": value.numpy().copy() for key, value in found.items()}


def record():
    embedding, optimizer = make()
    found = {"start": embedding.weight.detach().numpy().copy()}
    train(embedding, optimizer, 0, STEPS // 2)
    found |= state(embedding, optimizer, "middle")
    train(embedding, optimizer, STEPS // 2, STEPS)
    found |= state(embedding, optimizer, "end")
    ids, factors = batches()
    np.savez_compressed(PATH, ids=ids, factors=factors, **found)


def check():
    """Half of the steps in torch, half here, and the other way round, end where torch alone ends."""
    import fluidlite as fluid

    end = np.load(PATH)["weight_end"]
    for name, make_optimizer in (
        ("SparseAdam", lambda: fluid.optimizer.SparseAdam(RATE)),
        ("Adam(lazy_mode=True)", lambda: fluid.optimizer.Adam(RATE, lazy_mode=True)),
    ):
        main, startup, scope, exe = fluid.Program(), fluid.Program(), fluid.Scope(), fluid.Executor()
        with fluid.program_guard(main, startup):
            ids, factor = fluid.data("ids", [None], "int64"), fluid.data("factor", [None, WIDTH])
            rows = fluid.embedding(ids, size=[HEIGHT, WIDTH], is_sparse=True, param_attr="table")
            loss = fluid.layers.reduce_sum(fluid.layers.elementwise_mul(rows, factor))
            make_optimizer().minimize(loss)
        exe.run(startup, scope=scope)

        def train_here(first, last, main=main, scope=scope, exe=exe):
            for one, factors in list(zip(*batches(), strict=True))[first:last]:
                exe.run(main, feed={"ids": one, "factor": factors}, scope=scope)

        embedding, optimizer = make()
        train(embedding, optimizer, 0, STEPS // 2)
        fluid.exchange.from_torch("table", embedding, optimizer, program=main, scope=scope)
        train_here(STEPS // 2, STEPS)
        here = np.array(scope.find_var("table").get_tensor())
        fluid.exchange.from_torch("table", *make(), program=main, scope=scope)
        train_here(0, STEPS // 2)
        embedding, optimizer = make()
        fluid.exchange.to_torch("table", embedding, optimizer, program=main, scope=scope)
        optimizer.load_state_dict(optimizer.state_dict())
        train(embedding, optimizer, STEPS // 2, STEPS)
        there = embedding.weight.detach().numpy()
        print(f"{name}: torch, then here {abs(here - end).max():.1e}; here, then torch {abs(there - end).max():.1e}")  # noqa: T201
        assert abs(here - end).max() < 1e-5 and abs(there - end).max() < 1e-5


if __name__ == "__main__":
    check() if sys.argv[1:] == ["check"] else record()

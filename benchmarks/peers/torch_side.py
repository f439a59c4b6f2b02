"""PyTorch's side: sparse embeddings with SparseAdam, dense layers with Adam."""

import torch
from batches import CYCLE, DENSE_FEATURES, FIELDS, make_batches, update_grad
from torch import nn
from torch.nn import functional

HIDDEN = 400

_tables = {}


def versions():
    return {"PyTorch": torch.__version__}


def set_threads(n):
    torch.set_num_threads(n)


def build(workload):
    batches = make_batches(workload)
    builders = {"update": build_update, "ngram": build_ngram, "deepfm": build_deepfm}
    step, prepare = builders.get(workload["kind"], build_step)(workload, batches)
    return step, batches, prepare


def build_update(workload, batches):
    """`SparseAdam.step` alone. The gradient is set outside the time measured, uncoalesced, as backward leaves it."""
    height, width = workload["V"], workload["D"]
    if (height, width) not in _tables:
        param = nn.Parameter(torch.zeros(height, width))
        _tables[height, width] = param, torch.optim.SparseAdam([param], lr=0.01)
    param, optimizer = _tables[height, width]
    value = torch.from_numpy(update_grad(workload))
    grads = [
        torch.sparse_coo_tensor(torch.from_numpy(ids)[None], value, (height, width), check_invariants=False)
        for ids in batches
    ]

    def prepare(s):
        param.grad = grads[s % CYCLE]

    def step(s):
        optimizer.step()

    return step, prepare


def build_step(workload, batches):
    table = nn.Embedding(workload["V"], workload["D"], sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.01)
    ids = [torch.from_numpy(batch) for batch in batches]

    def step(s):
        optimizer.zero_grad()
        table(ids[s % len(ids)]).pow(2).sum().backward()
        optimizer.step()

    return step, None


def build_ngram(workload, batches):
    count, height, width, hidden = (workload[key] for key in ("N", "V", "D", "H"))
    table = nn.Embedding(height, width, sparse=True)
    first, second = nn.Linear(4 * width, hidden), nn.Linear(hidden, height)
    sparse = torch.optim.SparseAdam(table.parameters(), lr=0.001)
    dense = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.001)
    words = [torch.from_numpy(batch) for batch in batches]

    def step(s):
        batch = words[s % CYCLE]
        sparse.zero_grad()
        dense.zero_grad()
        scores = second(torch.sigmoid(first(table(batch[:, :4]).reshape(count, -1))))
        loss = functional.cross_entropy(scores, batch[:, 4])
        loss.backward()
        sparse.step()
        dense.step()
        return loss.item()

    return step, None


def build_deepfm(workload, batches):
    count, height, width = workload["N"], workload["V"], workload["D"]
    table, weight = nn.Embedding(height, width, sparse=True), nn.Embedding(height, 1, sparse=True)
    layers, size = [], FIELDS * width + DENSE_FEATURES
    for _ in range(3):
        layers += [nn.Linear(size, HIDDEN), nn.ReLU()]
        size = HIDDEN
    deep = nn.Sequential(*layers, nn.Linear(HIDDEN, 1))
    sparse = torch.optim.SparseAdam([*table.parameters(), *weight.parameters()], lr=0.001)
    dense = torch.optim.Adam(deep.parameters(), lr=0.001)
    data = [tuple(torch.from_numpy(array) for array in batch) for batch in batches]

    def step(s):
        ids, features, labels = data[s % CYCLE]
        sparse.zero_grad(set_to_none=True)
        dense.zero_grad(set_to_none=True)
        rows = table(ids)
        total = rows.sum(1)
        second = 0.5 * (total * total - (rows * rows).sum(1)).sum(1, keepdim=True)
        score = weight(ids).sum(1) + second + deep(torch.cat([rows.reshape(count, -1), features], 1))
        loss = functional.binary_cross_entropy_with_logits(score, labels)
        loss.backward()
        sparse.step()
        dense.step()
        return loss.item()

    return step, None

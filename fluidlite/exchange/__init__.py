"""Values to and from other programs: word2vec, NumPy's ``.npz``, safetensors, PyTorch."""

from .npz import load_npz, save_npz
from .pytorch import from_torch, to_torch
from .safetensors import load_safetensors, save_safetensors
from .values import parameters, writable_view
from .word2vec import WordVectors, load_word2vec, save_word2vec

__all__ = [
    "WordVectors",
    "from_torch",
    "load_npz",
    "load_safetensors",
    "load_word2vec",
    "parameters",
    "save_npz",
    "save_safetensors",
    "save_word2vec",
    "to_torch",
    "writable_view",
]

"""Optimizers: they append the update ops of parameters, and keep their state as persistable variables.

Every optimizer has two names, as in Fluid: `SGD` is `SGDOptimizer`, and so on.
"""

from .adam import Adam, AdamOptimizer, SparseAdam, SparseAdamOptimizer
from .adaptive import Adagrad, AdagradOptimizer, Ftrl, FtrlOptimizer, RMSProp, RMSPropOptimizer
from .base import Optimizer
from .sgd import SGD, Momentum, MomentumOptimizer, SGDOptimizer

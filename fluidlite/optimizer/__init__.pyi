# Made by tools/make_stubs.py.
from . import adam as adam
from . import adaptive as adaptive
from . import base as base
from . import sgd as sgd
from fluidlite.optimizer.adam import Adam as Adam
from fluidlite.optimizer.adam import AdamOptimizer as AdamOptimizer
from fluidlite.optimizer.adam import SparseAdam as SparseAdam
from fluidlite.optimizer.adam import SparseAdamOptimizer as SparseAdamOptimizer
from fluidlite.optimizer.adaptive import Adagrad as Adagrad
from fluidlite.optimizer.adaptive import AdagradOptimizer as AdagradOptimizer
from fluidlite.optimizer.adaptive import Ftrl as Ftrl
from fluidlite.optimizer.adaptive import FtrlOptimizer as FtrlOptimizer
from fluidlite.optimizer.adaptive import RMSProp as RMSProp
from fluidlite.optimizer.adaptive import RMSPropOptimizer as RMSPropOptimizer
from fluidlite.optimizer.base import Optimizer as Optimizer
from fluidlite.optimizer.sgd import Momentum as Momentum
from fluidlite.optimizer.sgd import MomentumOptimizer as MomentumOptimizer
from fluidlite.optimizer.sgd import SGD as SGD
from fluidlite.optimizer.sgd import SGDOptimizer as SGDOptimizer



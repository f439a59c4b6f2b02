# Made by tools/make_stubs.py.
from fluidlite.framework import Program
from typing import Any

class DistributedMode:
    SYNC: Any
    ASYNC: Any
    HALF_ASYNC: Any
    GEO: Any
class ServerRuntimeConfig:
    def __init__(self) -> None: ...
class DistributeTranspilerConfig:
    slice_var_up: Any
    split_method: Any
    min_block_size: Any
    enable_dc_asgd: Any
    mode: Any
    print_log: Any
    wait_port: Any
    half_async: Any
    completely_not_async: Any
    geo_sgd_mode: Any
    geo_sgd_need_push_nums: Any
    nccl_comm_num: Any
    use_hierarchical_allreduce: Any
    hierarchical_allreduce_inter_nranks: Any
    collective_mode: Any
    max_staleness: Any
    prefetch: Any
    @property
    def runtime_split_send_recv(self) -> Any: ...
    @runtime_split_send_recv.setter
    def runtime_split_send_recv(self, value: Any) -> None: ...
    @property
    def sync_mode(self) -> Any: ...
    @sync_mode.setter
    def sync_mode(self, value: Any) -> None: ...
class DistributeTranspiler:
    def __init__(self, config: Any = ...) -> None: ...
    def transpile(self, trainer_id: Any, program: Any = ..., pservers: str = ..., trainers: Any = ..., sync_mode: bool = ..., startup_program: Program | None = ..., current_endpoint: str = ...) -> None: ...
    def get_trainer_program(self, wait_port: bool = ...) -> Any: ...
    def get_pserver_program(self, endpoint: Any) -> Any: ...
    def get_pserver_programs(self, endpoint: Any) -> Any: ...
    def get_startup_program(self, endpoint: Any, pserver_program: Any = ..., startup_program: Program | None = ...) -> Any: ...
    config: Any
    distributed_mode: Any
    origin_program: Any
    server_config: Any
    startup_program: Any

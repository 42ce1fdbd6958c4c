"""Several processes that train together: torchrun's agent starts those of a node, srun an agent on each node."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from genocontrast.config import TrainingConfig
from genocontrast.errors import ConfigError, GenocontrastError, MissingToolError, ModelError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_log = logging.getLogger(__name__)

WORKER = "genocontrast.cli.worker"
"""Module that each of the processes runs, with the arguments of the command that was given."""
LOST = ("Connection closed by peer", "Connection reset by peer")
"""What gloo says where another process is gone."""
AT_ONCE = 5
"""Seconds within which failures have one cause; a process that hangs is killed later than that."""


def joined() -> bool:
    """Whether torchrun, or `spread`, has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def first_process() -> bool:
    """Whether this is the only process, or the first of those that train together: the one that writes."""
    return not joined() or os.environ["RANK"] == "0"


def spread(config: TrainingConfig) -> None:
    """Return where this process is one that trains; otherwise start those that do, wait, and exit as they did.

    Parameters
    ----------
    config : TrainingConfig
        Its `processes` and `nodes`: one of each is this process. Others run the command that this one was given.

    Raises
    ------
    ConfigError
        Where several nodes are wanted outside of a Slurm job.
    MissingToolError
        Where there is no srun.
    ModelError
        Where one of the processes was killed.
    """
    if joined() or config.processes * config.nodes == 1:
        return
    if config.nodes == 1 or on_each_node(config.nodes, os.environ):
        _start(config)
    try:
        os.execvp("srun", over_nodes(config, sys.orig_argv, os.environ))
    except FileNotFoundError:
        raise MissingToolError("there is no srun", remedy="run where Slurm is, or set training.nodes to 1") from None


def on_each_node(nodes: int, environment: Mapping[str, str]) -> bool:
    """Whether srun has started this process as the one of its node."""
    return all(environment.get(f"SLURM_STEP_NUM_{each}") == str(nodes) for each in ("NODES", "TASKS"))


def over_nodes(config: TrainingConfig, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command that runs `command` once on each node of a Slurm job.

    Raises
    ------
    ConfigError
        Outside of a job.
    """
    if "SLURM_JOB_ID" not in environment:
        raise ConfigError(
            "several nodes are those of a Slurm job, and this is none",
            value=config.nodes,
            remedy="run the workflow with --workflow-profile workflow/profiles/slurm, or set training.nodes to 1",
        )
    options = [f"--nodes={config.nodes}", f"--ntasks={config.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    if "OMP_NUM_THREADS" in environment:
        # a step does not take over the job's cores by itself
        options.append(f"--cpus-per-task={environment['OMP_NUM_THREADS']}")
    return ["srun", *options, *command]


def meeting_place(nodes: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Where the agents of all nodes find each other, as keywords of torch's LaunchConfig."""
    if nodes == 1:
        return {"rdzv_endpoint": "localhost:0", "run_id": "one node", "local_addr": "localhost"}
    from lightning.fabric.plugins.environments import SLURMEnvironment

    host = SLURMEnvironment.resolve_root_node_address(environment["SLURM_STEP_NODELIST"])
    job = environment["SLURM_JOB_ID"]
    # below the ports that systems give out, and another one for each job
    port = 20_000 + int(job) % 10_000
    first = environment["SLURM_NODEID"] == "0"
    return {"rdzv_endpoint": f"{host}:{port}", "run_id": job, "rdzv_configs": {"is_host": first}}


def _start(config: TrainingConfig) -> NoReturn:
    """Start this node's processes, wait for them, and exit as they did."""
    # before torch is there: it would show the stack of each connection that ends
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // config.processes))
    threads = os.environ["OMP_NUM_THREADS"]
    _log.info("training in %d x %d processes, %s threads each", config.nodes, config.processes, threads)
    logging.disable()  # the agent's own account of a failure; ours is shorter
    with TemporaryDirectory() as folder:
        launch = LaunchConfig(
            min_nodes=config.nodes,
            max_nodes=config.nodes,
            nproc_per_node=config.processes,
            rdzv_backend="c10d",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            **meeting_place(config.nodes, os.environ),
        )
        try:
            elastic_launch(launch, sys.executable)("-m", WORKER, *sys.argv[1:])
        except SignalException as stopped:
            sys.exit(128 + stopped.sigval)
        except RendezvousError:
            raise ModelError(
                f"this node lost the others, or never found them ({launch.rdzv_endpoint})",
                remedy="see what another node said; if none did, let nodes reach each other at this port",
            ) from None
        except ChildFailedError as failed:
            _tell(cause(list(failed.failures.values())))
    sys.exit(0)


def cause(failures: Sequence[ProcessFailure]) -> ProcessFailure:
    """The failure that the others follow from: they lose the connection to a process, or are told to stop."""

    def when(failure: ProcessFailure) -> float:
        return float(failure.error_file_data.get("timestamp", failure.timestamp))

    def order(failure: ProcessFailure) -> tuple[int, float]:
        killed = failure.exitcode < 0 and -failure.exitcode != signal.SIGTERM
        noted = "timestamp" in failure.error_file_data
        return (0 if killed else 1 if noted else 2), when(failure)

    first = min(map(when, failures))
    return min((failure for failure in failures if when(failure) <= first + AT_ONCE), key=order)


def _tell(failure: ProcessFailure) -> NoReturn:
    """Say once what ended the processes."""
    if "timestamp" in failure.error_file_data:
        print(failure.message, file=sys.stderr)
        sys.exit(failure.exitcode)
    how = f"killed by {failure.signal_name()}" if failure.exitcode < 0 else f"ended with {failure.exitcode}"
    raise ModelError(
        f"training stopped: one of its processes was {how}",
        remedy="start it again, it goes on at its last epoch; SIGKILL mostly means that memory ran out: ask for more, "
        "or lower training.processes",
    )


def note(error: Exception) -> NoReturn:
    """Leave word of an error to the process that started this one, and exit.

    A GenocontrastError is its message, any other a traceback, but for what follows from another process's end.
    """
    if isinstance(error, GenocontrastError):
        text = f"error: {error}"
    elif any(each in str(error) for each in LOST):
        text = "error: the connection to another of the processes was lost, which says why itself"
    else:
        text = "".join(traceback.format_exception(error)).rstrip()
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps({"message": text, "timestamp": time.time()}))
    # not sys.exit: a process that waits for one that is gone would hold up the end
    os._exit(error.exit_code if isinstance(error, GenocontrastError) else 1)


def end_with_parent() -> None:
    """Be killed when the process that started this one ends: it has a session of its own, and would go on alone."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)

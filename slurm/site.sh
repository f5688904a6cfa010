# What differs from one cluster to the next, in one place. Edit this file; the job scripts stay as they are.
# Every job sources it on its first node; srun hands the environment on to all tasks.

# Software: modules first (say, module load python/3.11), then the virtual environment that `make setup` made.
CXR_VENV="${CXR_VENV:-.venv}"
source "$CXR_VENV/bin/activate"

# Weights from the hub: on a disk that all nodes see. Where nodes have no way out, fetch them once on the login node
# (huggingface-cli download NAME) and switch the hub off here.
export HF_HOME="${HF_HOME:-${SCRATCH:-$HOME}/huggingface}"
# export HF_HUB_OFFLINE=1

# Network. NCCL finds InfiniBand by itself; name the interface where a node has several and a job hangs at its start.
# Who the master is, and its port, Lightning reads from Slurm; set MASTER_PORT where two jobs share a node.
export NCCL_DEBUG="${NCCL_DEBUG:-WARN}"
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0

# Logs appear as they are written, and without colours.
export PYTHONUNBUFFERED=1 NO_COLOR=1

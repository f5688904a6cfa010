# What differs from one cluster to the next, in one place. Edit this file; the job scripts stay as they are.
# Every job sources it on its first node; srun hands the environment on to all tasks.

# Software: modules first (say, module load python/3.11), then the virtual environment that `make setup` made.
CXR_VENV="${CXR_VENV:-.venv}"
source "$CXR_VENV/bin/activate"
# Or a container that holds it, before every task: CXR_CONTAINER=(apptainer exec --nv /images/cxr.sif)
# (The environment above stays: what puts a job back into the queue needs scontrol, which containers have not.)
CXR_CONTAINER=()

# Weights from the hub: on a disk that all nodes see. Where nodes have no way out, fetch them once on the login node
# (huggingface-cli download NAME) and switch the hub off here.
export HF_HOME="${HF_HOME:-${SCRATCH:-$HOME}/huggingface}"
# export HF_HUB_OFFLINE=1

# Network. NCCL finds InfiniBand by itself; name the interface where a node has several and a job hangs at its start.
# Who the master is comes from Slurm; its port, a free one on the first node, from slurm/job.sh.
export NCCL_DEBUG="${NCCL_DEBUG:-WARN}"
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0

# The look at all nodes before a training (cxr preflight); 0 leaves it out.
# export CXR_PREFLIGHT=0
CXR_PREFLIGHT_OPTIONS=() # say, (--preflight.wait 600) where a thousand ranks import from one slow disk

# Logs appear as they are written, and without colours.
export PYTHONUNBUFFERED=1 NO_COLOR=1

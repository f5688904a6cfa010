# What every job does around its program; nothing here differs between clusters (that is slurm/site.sh).

set -euo pipefail
source slurm/site.sh
unset SLURM_GPUS_PER_NODE # srun would ask for what the script says, also where --gres gave the job fewer

# One task a GPU. A rank that dies ends the whole step, instead of leaving the others to wait for it.
tasks() {
  # On the first node, where rank 0 will listen: a port that no other job of this node has.
  MASTER_PORT=$("${CXR_CONTAINER[@]}" python -m cxr_lightning.cluster.port) || return
  export MASTER_PORT
  srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "${CXR_CONTAINER[@]}" "$@"
}

# train CONFIG [OPTIONS]: looks at the nodes, trains, and goes back into the queue after a crash if steps were gained.
train() {
  # Tasks of an array are runs of their own. What Slurm gave comes last, so that no option can contradict it.
  local options=(
    --config "$1" --run "runs/$SLURM_JOB_NAME${SLURM_ARRAY_TASK_ID:+-$SLURM_ARRAY_TASK_ID}" --ckpt_path auto "${@:2}"
    --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE"
  )
  local status=0
  if [[ ${CXR_PREFLIGHT:-1} == 1 ]]; then tasks cxr preflight "${options[@]}" "${CXR_PREFLIGHT_OPTIONS[@]}" || status=$?; fi
  if ((!status)); then tasks cxr fit "${options[@]}" || status=$?; fi
  if ((status)); then
    cxr requeue --status "$status" "${options[@]}" || true
    exit "$status"
  fi
}

#!/usr/bin/env bash
# Stage 0, language: the language model learns how radiologists write, before it is shown an image.
#
#     sbatch slurm/stage0.sh --data.shards /data/cxr/shards
#     sbatch --nodes 4 slurm/stage0.sh --data.shards /data/cxr/shards --data.global_batch 512
#
# Options before the script are sbatch's and win over the lines below; options after it go to `cxr fit`. Submit from the
# repository's folder. A job that is submitted again, or requeued by Slurm, goes on from the newest complete checkpoint.
#
#SBATCH --job-name=stage0
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

set -euo pipefail
source slurm/site.sh

# One task a GPU. What Slurm gave comes last, so that no option can contradict it; a rank that dies ends the whole job.
srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  cxr fit --config configs/stage0.yaml --run "runs/$SLURM_JOB_NAME" --ckpt_path auto "$@" \
  --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE"

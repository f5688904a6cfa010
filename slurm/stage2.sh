#!/usr/bin/env bash
# Stage 2, instruction tuning: LoRA on the language model, from stage 1's run.
#
#     sbatch slurm/stage2.sh --data.shards /data/cxr/shards --model.init_from runs/stage1
#     sbatch --dependency=afterok:JOB slurm/stage2.sh --data.shards ...          # once stage 1, job JOB, is done
#
# Options before the script are sbatch's and win over the lines below; options after it go to `cxr fit`. Submit from the
# repository's folder. A job that is submitted again, or requeued by Slurm, goes on from the newest complete checkpoint.
#
#SBATCH --job-name=stage2
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

set -euo pipefail
source slurm/site.sh

# One task a GPU. What Slurm gave comes last, so that no option can contradict it; a rank that dies ends the whole job.
srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  cxr fit --config configs/stage2.yaml --run "runs/$SLURM_JOB_NAME" --ckpt_path auto "$@" \
  --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE"

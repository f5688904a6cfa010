#!/usr/bin/env bash
# Stage 2, instruction tuning: LoRA on the language model, from stage 1's run.
#
#     sbatch slurm/stage2.sh --data.shards /data/cxr/shards --model.init_from runs/stage1
#     sbatch --dependency=afterok:JOB slurm/stage2.sh --data.shards ...          # once stage 1, job JOB, is done
#
# Options before the script are sbatch's and win over the lines below; options after it go to `cxr fit`. Submit from the
# repository's folder. Before its time limit, and when it is preempted, the job saves and goes back into the queue; one that
# is submitted again goes on from its newest checkpoint. runs/ and the job's name is the run: slurm/README.md.
#
#SBATCH --job-name=stage2
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

source slurm/job.sh
train configs/stage2.yaml "$@"

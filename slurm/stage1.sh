#!/usr/bin/env bash
# Stage 1, alignment: the projector learns what the vision tower sees.
#
#     sbatch slurm/stage1.sh --data.shards /data/cxr/shards
#     sbatch --nodes 4 slurm/stage1.sh --data.shards /data/cxr/shards --data.global_batch 512
#
# Options before the script are sbatch's and win over the lines below; options after it go to `cxr fit`. Submit from the
# repository's folder. Before its time limit, and when it is preempted, the job saves and goes back into the queue; one that
# is submitted again goes on from its newest checkpoint. runs/ and the job's name is the run: slurm/README.md.
#
#SBATCH --job-name=stage1
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

source slurm/job.sh
train configs/stage1.yaml "$@"

#!/usr/bin/env bash
# Evaluation: an exported model answers about studies that it has not seen, with their images, with others and with none.
#
#     sbatch slurm/evaluate.sh models/cxr /data/cxr/shards --out models/cxr-evaluation
#
# All GPUs of the node answer, a process each; with --nodes 4 four nodes share the studies. A job that is requeued goes on.
# Options before the script are sbatch's; what stands after it goes to `cxr evaluate`.
#
#SBATCH --job-name=evaluate
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

source slurm/job.sh
tasks cxr evaluate "$@"

#!/usr/bin/env bash
# Export: what a run learned is merged into its base model, proven, and written as a folder that serves as it is.
#
#     sbatch slurm/export.sh runs/stage2 --out models/cxr
#     sbatch --dependency=afterok:JOB slurm/export.sh runs/stage2/checkpoints/best --out models/cxr
#
# Options before the script are sbatch's; what stands after it goes to `cxr export`. Needs no GPU. Weights go from file to
# file one by one, so 32 GB are ample for any model of safetensors; a GGUF base is held in memory, in float32.
#
#SBATCH --job-name=export
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

source slurm/job.sh
tasks cxr export "$@"

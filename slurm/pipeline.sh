#!/usr/bin/env bash
# The whole way: stage 1, stage 2, export, evaluation, submitted at once; each job waits until the one before has succeeded.
#
#     bash slurm/pipeline.sh /data/cxr/shards
#     NAME=vicuna TRAIN_JOB="--nodes 4" STAGE1="--data.epochs 2" STAGE2="--model.lora.rank 64" bash slurm/pipeline.sh /data/cxr/shards
#
# Run it on the login node, in the repository's folder. What it leaves: runs/NAME-stage1, runs/NAME-stage2, models/NAME
# and models/NAME-evaluation. Words to set, each split at blanks:
#
#   NAME       of the runs and the model (default: cxr)
#   JOB        sbatch's options for all jobs, say "--account radiology --partition a100"
#   TRAIN_JOB  more of them for the two stages, say "--nodes 4 --time 08:00:00"
#   STAGE1, STAGE2, EXPORT, EVALUATE   options of `cxr fit`, `cxr export` and `cxr evaluate`

set -euo pipefail
if (($# != 1)); then sed -n '2,/^$/s/^# \?//p' "$0" >&2; exit 2; fi
shards=$1 name=${NAME:-cxr}
read -ra job <<<"${JOB:-}"
read -ra train_job <<<"${TRAIN_JOB:-}"
read -ra stage1 <<<"${STAGE1:-}"
read -ra stage2 <<<"${STAGE2:-}"
read -ra export <<<"${EXPORT:-}"
read -ra evaluate <<<"${EVALUATE:-}"

# submit NAME AFTER SBATCH-OPTIONS... SCRIPT ARGUMENTS...: a job whose forerunner failed is cancelled, and does not wait for ever.
submit() {
  local wait=()
  if [[ $2 ]]; then wait=(--dependency="afterok:$2" --kill-on-invalid-dep=yes); fi
  sbatch --parsable --job-name="$name-$1" "${wait[@]}" "${job[@]}" "${@:3}" | cut -d';' -f1
}

mkdir -p models
first=$(submit stage1 "" "${train_job[@]}" slurm/stage1.sh --data.shards "$shards" "${stage1[@]}")
second=$(submit stage2 "$first" "${train_job[@]}" slurm/stage2.sh \
  --data.shards "$shards" --model.init_from "runs/$name-stage1" "${stage2[@]}")
third=$(submit export "$second" slurm/export.sh "runs/$name-stage2" --out "models/$name" "${export[@]}")
fourth=$(submit evaluate "$third" slurm/evaluate.sh "models/$name" "$shards" --out "models/$name-evaluation" "${evaluate[@]}")

echo "stage 1    job $first    slurm-$name-stage1-$first.log    runs/$name-stage1"
echo "stage 2    job $second    slurm-$name-stage2-$second.log    runs/$name-stage2"
echo "export     job $third    slurm-$name-export-$third.log    models/$name"
echo "evaluation job $fourth    slurm-$name-evaluate-$fourth.log    models/$name-evaluation/index.html"
echo "squeue --me shows how far they are; scancel $first $second $third $fourth takes them back."

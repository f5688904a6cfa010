#!/usr/bin/env bash
# Packing: an archive becomes shards, each task of the array making every so-many-th one; the last to be done joins them.
#
#     sbatch slurm/pack.sh mimic-cxr-jpg /data/mimic-cxr-jpg --out /data/cxr/shards --patient_key_file ~/.cxr_patient_key
#     sbatch --array 0-63 --cpus-per-task 16 slurm/pack.sh mimic-cxr /data/mimic-cxr --out /data/cxr/shards
#
# Options before the script are sbatch's; what stands after it goes to `cxr pack`. Needs no GPU. The shards are those that
# one machine would make, to the byte. A task that is preempted or dies goes on where it was: a shard that is made is made
# again only if its texts or images have changed. OUT lies on a disk that all nodes see. Some of 16 tasks again, after a
# failure, by the same numbers: CXR_PARTS=16 sbatch --array 3,7 slurm/pack.sh ... An array begins at 0.
#
#SBATCH --job-name=pack
#SBATCH --array=0-15
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%A_%a.log

source slurm/job.sh

# A task's part is its number, in the first array and in one that repeats some of it: else they would mean other shards.
parts=${CXR_PARTS:-$SLURM_ARRAY_TASK_COUNT} part=$SLURM_ARRAY_TASK_ID
if [[ -z ${CXR_PARTS:-} ]] && ((SLURM_ARRAY_TASK_MIN != 0 || SLURM_ARRAY_TASK_MAX != parts - 1)); then
  echo "pack.sh: the tasks of an array are its parts, from 0 and without gaps (--array 0-15); others would leave shards" \
    "unmade. To run some of 16 parts again, say how many there were: CXR_PARTS=16 sbatch --array 3,7 slurm/pack.sh ..." >&2
  exit 2
fi
echo "part $part/$parts"
tasks cxr pack "$@" --part "$part/$parts"

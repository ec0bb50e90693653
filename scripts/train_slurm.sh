#!/bin/bash
# Train on 2 nodes with 4 GPUs each.  Lightning starts from SLURM's variables: one task per GPU.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
set -euo pipefail
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
srun nnpot train --config configs/acsf.yaml --data.train "$1" --out runs/slurm \
  --trainer.accelerator gpu --trainer.devices 4 --trainer.num_nodes 2 --trainer.strategy ddp

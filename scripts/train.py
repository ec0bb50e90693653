"""Train a potential: the same as `nnpot train`, ready to be copied and changed.

python scripts/train.py --config configs/acsf.yaml --data.train my.xyz --trainer.devices 2
"""

import sys

from nnpot.__main__ import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])

"""Training, and talking with what was trained."""

import os

# PyTorch's threads spin while they wait for each other, which this, read when torch is imported, changes to sleeping.
# On 2 cores beside other busy programs a nano step then took 0.16 to 0.33 s instead of 0.4 to 4.3 s; on idle ones it
# takes 0.12 s instead of 0.09 s. Set OMP_WAIT_POLICY=active where nothing else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

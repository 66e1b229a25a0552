"""Makes tests/unit/h5_hostile/*.h5 (h5py 3): files that core/io/h5 must refuse.

    python3 make_h5_hostile.py FOLDER
"""

import os
import sys

import h5py
import numpy as np

FOLDER = sys.argv[1]


def new(name):
    return h5py.File(os.path.join(FOLDER, name), "w", libver=("v110", "v110"))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    with new("soft_link.h5") as f:
        f["a"] = np.zeros(3, "f4")
        f["link"] = h5py.SoftLink("/a")
    with new("external_link.h5") as f:
        f["link"] = h5py.ExternalLink("/etc/passwd", "/a")
    with new("external_data.h5") as f:
        f.create_dataset("a", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    with new("virtual.h5") as f:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("elsewhere.h5", "a", shape=(4,))
        f.create_virtual_dataset("a", layout)
    with new("gzip.h5") as f:
        f.create_dataset("a", data=np.zeros(100, "f4"), compression="gzip")
    with new("rank5.h5") as f:
        f["a"] = np.zeros((1, 1, 1, 1, 1), "f4")
    with new("named_type.h5") as f:
        f["t"] = np.dtype("f4")
    with new("cycle.h5") as f:
        f.create_group("a/b")
        f["a/b/up"] = f["a"]  # a hard link to its own grandparent


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""kernel.py STATE [ARGUMENT]: an asyncio program that the kernel, or the collector, has at work.

	gc OBJECTS	collects a heap of so many objects over and over, in the loop
	fds N		has N descriptors open, sleeps
	faults FILE	has pages of FILE read from disk over and over, in the loop
	idle		sleeps
"""
import asyncio
import gc
import mmap
import os
import resource
import sys
import time

import truth

SECONDS = 60


def collect(heap):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        gc.collect()
    return heap


def fault(path):
    """Pages that are in no cache any more must come from the disk."""
    page = mmap.PAGESIZE
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
                if hasattr(mmap, "MADV_RANDOM"):
                    pages.madvise(mmap.MADV_RANDOM)
                for at in range(0, size, page):
                    pages[at]


async def main(state, argument):
    if state == "gc":
        gc.disable()
        heap = [[i] for i in range(int(argument))]
        truth.tell(state)
        collect(heap)
    elif state == "fds":
        now = len(os.listdir("/proc/self/fd")) - 1
        kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(argument) - now)]
        truth.tell(state, fds=len(os.listdir("/proc/self/fd")) - 1, kept=len(kept))
    elif state == "faults":
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        truth.tell(state, majflt=before)
        fault(argument)
    else:
        truth.tell(state)
    await asyncio.sleep(SECONDS)


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))

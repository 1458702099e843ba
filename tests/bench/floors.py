# SPDX-License-Identifier: Apache-2.0
"""Which memory a plain copy would have to copy: what a look was made of, and the whole heap."""
import array
import re
import struct

PAGE = 4096
PT_LOAD, PN_XNUM = 1, 0xFFFF
PRESENT, SWAPPED = 1 << 63, 1 << 62


def merged(ranges):
    """As whole pages, neighbours together."""
    result = []
    for start, end in sorted((start // PAGE * PAGE, -(-end // PAGE) * PAGE) for start, end in ranges):
        if result and start <= result[-1][1]:
            result[-1][1] = max(end, result[-1][1])
        else:
            result.append([start, end])
    return result


def looked_at(core):
    """The pages in the PT_LOAD segments of a core that --save wrote."""
    with open(core, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            raise ValueError("%s is no 64-bit ELF file" % core)
        phoff, shoff = struct.unpack_from("=QQ", header, 32)
        phentsize, phnum = struct.unpack_from("=HH", header, 54)
        if phnum == PN_XNUM:  # then section header 0 has the number, in sh_info
            file.seek(shoff)
            phnum = struct.unpack_from("=I", file.read(64), 44)[0]
        file.seek(phoff)
        table = file.read(phentsize * phnum)
    ranges = []
    for at in range(0, len(table), phentsize):
        kind, _, _, vaddr, _, filesz = struct.unpack_from("=IIQQQQ", table, at)
        if kind == PT_LOAD and filesz:
            ranges.append((vaddr, vaddr + filesz))
    return merged(ranges)


def heap(pid):
    """The pages that are there in private, anonymous, writable mappings, the stack left out."""
    ranges = []
    with open("/proc/%s/maps" % pid, encoding="utf-8") as maps, open("/proc/%s/pagemap" % pid, "rb") as pagemap:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw.p \S+ \S+ 0 *(?:\[heap\]|\[anon.*\])?$", line)
            if not match:
                continue
            start, end = (int(text, 16) for text in match.groups())
            pagemap.seek(start // PAGE * 8)
            entries = array.array("Q", pagemap.read((end - start) // PAGE * 8))
            for number, entry in enumerate(entries):
                if entry & (PRESENT | SWAPPED):
                    ranges.append((start + number * PAGE, start + (number + 1) * PAGE))
    return merged(ranges)


def size(ranges):
    return sum(end - start for start, end in ranges)


def text(ranges):
    return "".join("%x %x\n" % (start, end) for start, end in ranges)

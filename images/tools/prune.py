#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""prune.py IN OUT: drop from a 64-bit little-endian ELF file what does not run and differs between build machines.

Kept: every byte a program header covers, the headers of the allocated sections, and the symbols that name code or data.
Dropped: debug sections (they hold absolute paths), .comment, local labels (.L...), mapping symbols, file symbols.
Written because `zig objcopy` has no --strip-debug for ELF and zig's own -Wl,-S drops the symbol table too."""
import os
import struct
import sys

SHT_SYMTAB, SHT_RISCV_ATTRIBUTES, SHF_ALLOC, PT_RISCV_ATTRIBUTES = 2, 0x70000003, 2, 0x70000003


def main(source, target):
    data = open(source, "rb").read()
    if data[:6] == b"\x7fELF\x01\x01":
        # A 32-bit image was linked without symbols and sections of that kind: there is nothing to drop.
        with open(target, "wb") as out:
            out.write(data)
        return
    if data[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"prune.py: {source} is not a 64-bit little-endian ELF file")
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    phsize, phnum, shsize, shnum, shstrndx = struct.unpack_from("<5H", data, 54)
    sections = [list(struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shsize)) for i in range(shnum)]
    segments = [list(struct.unpack_from("<IIQQQQQQ", data, phoff + i * phsize)) for i in range(phnum)]

    def string(table, at):
        start = sections[table][4] + at
        return data[start:data.index(b"\0", start)]

    # What runs ends with the last file byte of a loaded segment; all that follows is rebuilt.
    end = max([phoff + phnum * phsize] + [p[2] + p[5] for p in segments if p[0] == 1])
    out = bytearray(data[:end])
    kept, renumber, names = [[0] * 10], {0: 0}, [b""]
    for i, s in enumerate(sections):
        if s[2] & SHF_ALLOC or s[1] == SHT_RISCV_ATTRIBUTES:
            renumber[i] = len(kept)
            names.append(string(shstrndx, s[0]))
            s = list(s)
            if s[1] == SHT_RISCV_ATTRIBUTES:
                body = data[s[4]:s[4] + s[5]]
                for k, p in enumerate(segments):
                    if p[0] == PT_RISCV_ATTRIBUTES:
                        struct.pack_into("<Q", out, phoff + k * phsize + 8, len(out))
                s[4] = len(out)
                out += body
            kept.append(s)
    for s in kept:
        s[6] = renumber.get(s[6], 0)

    local, everyone, strings = [], [], bytearray(b"\0")
    for i, s in enumerate(sections):
        if s[1] != SHT_SYMTAB:
            continue
        for at in range(s[4] + 24, s[4] + s[5], 24):
            name, info, other, shndx, value, size = struct.unpack_from("<IBBHQQ", data, at)
            text = string(s[6], name)
            if info & 15 in (3, 4) or not text or text[:1] in b".$" or shndx == 0:
                continue
            if shndx < 0xff00:
                if shndx not in renumber:
                    continue
                shndx = renumber[shndx]
            (local if info >> 4 == 0 else everyone).append((value, text, info, other, shndx, size))
    symbols = bytearray(24)
    offset = {}
    # By address, then name: the linker's order follows the order of its inputs.
    for value, text, info, other, shndx, size in sorted(local) + sorted(everyone):
        if text not in offset:
            offset[text] = len(strings)
            strings += text + b"\0"
        symbols += struct.pack("<IBBHQQ", offset[text], info, other, shndx, value, size)

    def section(name, kind, body, link=0, info=0, align=1, entry=0):
        out.extend(bytes(-len(out) % align))
        names.append(name)
        kept.append([0, kind, 0, 0, len(out), len(body), link, info, align, entry])
        out.extend(body)

    section(b".symtab", SHT_SYMTAB, symbols, len(kept) + 1, 1 + len(local), 8, 24)
    section(b".strtab", 3, strings)
    table = bytearray()
    names.append(b".shstrtab")
    for s, name in zip(kept, names):
        s[0] = len(table)
        table += name + b"\0"
    last = len(table)
    table += b".shstrtab\0"
    names.pop()
    section(b".shstrtab", 3, table)
    kept[-1][0] = last
    out.extend(bytes(-len(out) % 8))
    struct.pack_into("<Q", out, 40, len(out))
    struct.pack_into("<3H", out, 58, 64, len(kept), len(kept) - 1)
    for s in kept:
        out += struct.pack("<IIQQQQIIQQ", *s)
    with open(target, "wb") as f:
        f.write(out)
    os.chmod(target, 0o755)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: prune.py IN OUT")
    main(*sys.argv[1:])

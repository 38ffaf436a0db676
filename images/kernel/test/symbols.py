#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""symbols.py ELF: the symbols of a 64-bit little-endian ELF file as C constants K_<name>."""
import re
import struct
import sys

data = open(sys.argv[1], "rb").read()
shoff, = struct.unpack_from("<Q", data, 40)
shsize, shnum = struct.unpack_from("<HH", data, 58)
sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shsize) for i in range(shnum)]
found = {}
for s in sections:
    if s[1] != 2:
        continue
    for at in range(s[4] + 24, s[4] + s[5], 24):
        name, info, _, shndx, value, _ = struct.unpack_from("<IBBHQQ", data, at)
        start = sections[s[6]][4] + name
        text = data[start:data.index(b"\0", start)].decode()
        if shndx and info >> 4 and re.fullmatch(r"\w+", text):
            found[text] = value
for text in sorted(found):
    print(f"#define K_{text} {found[text]:#x}UL")

import Engine

extension X64 {
  /// MXCSR.
  public var floatControl: UInt8? { UInt8(Registers.mxcsr) }

  /// They do.
  public var hasConditionCodes: Bool { true }

  /// What the host's own SSE does as helpers do.
  public var nativeHelpers: [(helper: Helper, native: NativeHelper)] {
    var rows: [(helper: Helper, native: NativeHelper)] = [
      (checkTarget, .check(.canonical)), (checkAlignment, .check(.aligned)),
    ]
    func add(_ op: Op, _ vector: NativeVector) {
      if let helper = VectorHelpers.helper(op) { rows.append((helper, .vector(vector))) }
    }
    // Packed single, packed double, scalar single, scalar double.
    let prefixes: [UInt8] = [0, 0x66, 0xf3, 0xf2]
    let arithmetic: [(UInt8, [Op])] = [
      (0x58, [.addps, .addpd, .addss, .addsd]), (0x59, [.mulps, .mulpd, .mulss, .mulsd]),
      (0x5c, [.subps, .subpd, .subss, .subsd]), (0x5d, [.minps, .minpd, .minss, .minsd]),
      (0x5e, [.divps, .divpd, .divss, .divsd]), (0x5f, [.maxps, .maxpd, .maxss, .maxsd]),
      (0x51, [.sqrtps, .sqrtpd, .sqrtss, .sqrtsd]),
    ]
    for (opcode, ops) in arithmetic {
      for (op, prefix) in zip(ops, prefixes) {
        add(op, NativeVector(opcode, prefix: prefix, isFloat: true))
      }
    }
    for (op, prefix) in zip([Op.cmpps, .cmppd, .cmpss, .cmpsd], prefixes) {
      add(op, NativeVector(0xc2, prefix: prefix, .predicate, isFloat: true))
    }
    for (op, opcode, prefix) in [
      (Op.ucomiss, UInt8(0x2e), UInt8(0)), (.ucomisd, 0x2e, 0x66), (.comiss, 0x2f, 0),
      (.comisd, 0x2f, 0x66),
    ] {
      add(op, NativeVector(opcode, prefix: prefix, .compare, isFloat: true))
    }
    for (op, opcode, prefix) in [(Op.cvtsi2ss, UInt8(0x2a), UInt8(0xf3)), (.cvtsi2sd, 0x2a, 0xf2)] {
      add(op, NativeVector(opcode, prefix: prefix, .fromGeneral, isFloat: true))
    }
    for (op, opcode, prefix) in [
      (Op.cvttss2si, UInt8(0x2c), UInt8(0xf3)), (.cvttsd2si, 0x2c, 0xf2), (.cvtss2si, 0x2d, 0xf3),
      (.cvtsd2si, 0x2d, 0xf2),
    ] {
      add(op, NativeVector(opcode, prefix: prefix, .toGeneral, isFloat: true))
    }
    for (op, opcode, prefix) in [
      (Op.cvtss2sd, UInt8(0x5a), UInt8(0xf3)), (.cvtsd2ss, 0x5a, 0xf2), (.cvtps2pd, 0x5a, 0),
      (.cvtpd2ps, 0x5a, 0x66), (.cvtdq2pd, 0xe6, 0xf3), (.cvtdq2ps, 0x5b, 0),
    ] {
      add(op, NativeVector(opcode, prefix: prefix, isFloat: true))
    }
    for (op, opcode) in [
      (Op.pand, UInt8(0xdb)), (.pandn, 0xdf), (.por, 0xeb), (.pxor, 0xef), (.paddb, 0xfc),
      (.paddw, 0xfd), (.paddd, 0xfe), (.paddq, 0xd4), (.psubb, 0xf8), (.psubw, 0xf9),
      (.psubd, 0xfa), (.psubq, 0xfb), (.pcmpeqb, 0x74), (.pcmpeqw, 0x75), (.pcmpeqd, 0x76),
      (.pcmpgtb, 0x64), (.pcmpgtw, 0x65), (.pcmpgtd, 0x66), (.pmuludq, 0xf4), (.pmullw, 0xd5),
      (.pmaddwd, 0xf5), (.pminub, 0xda), (.pmaxub, 0xde), (.pminsw, 0xea), (.pmaxsw, 0xee),
      (.punpcklbw, 0x60), (.punpcklwd, 0x61), (.punpckldq, 0x62), (.punpcklqdq, 0x6c),
      (.punpckhbw, 0x68), (.punpckhwd, 0x69), (.punpckhdq, 0x6a), (.punpckhqdq, 0x6d),
      (.packsswb, 0x63), (.packuswb, 0x67), (.packssdw, 0x6b),
    ] {
      add(op, NativeVector(opcode, prefix: 0x66))
    }
    for (op, opcode, prefix) in [
      (Op.pshufd, UInt8(0x70), UInt8(0x66)), (.pshufhw, 0x70, 0xf3), (.pshuflw, 0x70, 0xf2),
      (.shufps, 0xc6, 0), (.shufpd, 0xc6, 0x66),
    ] {
      add(op, NativeVector(opcode, prefix: prefix, .immediate))
    }
    return rows
  }
}

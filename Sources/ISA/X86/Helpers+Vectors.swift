import Engine

// Integer operations on vectors.

enum VectorHelpers {
  private static let groups: [@Sendable (Op) -> Helper?] = [
    arithmetic, comparison, arrangement, shifts, special, LaneHelpers.helper,
    FusedHelpers.helper, FloatHelpers.helper, ConversionHelpers.helper, CryptoHelpers.helper,
    SHAHelpers.helper,
  ]

  /// What does an operation, `nil` where none is one of vectors.
  static func helper(_ op: Op) -> Helper? {
    for group in groups { if let helper = group(op) { return helper } }
    return nil
  }

  private static func arithmetic(_ op: Op) -> Helper? {
    switch op {
    case .paddb: { x, r in binary(x, r, B16.self) { $0 &+ $1 } }
    case .paddw: { x, r in binary(x, r, H8.self) { $0 &+ $1 } }
    case .paddd: { x, r in binary(x, r, D4.self) { $0 &+ $1 } }
    case .paddq: { x, r in binary(x, r, Q2.self) { $0 &+ $1 } }
    case .psubb: { x, r in binary(x, r, B16.self) { $0 &- $1 } }
    case .psubw: { x, r in binary(x, r, H8.self) { $0 &- $1 } }
    case .psubd: { x, r in binary(x, r, D4.self) { $0 &- $1 } }
    case .psubq: { x, r in binary(x, r, Q2.self) { $0 &- $1 } }
    case .paddusb: { x, r in each(x, r, B16.self) { UInt8(clamping: Int($0) + Int($1)) } }
    case .paddusw: { x, r in each(x, r, H8.self) { UInt16(clamping: Int($0) + Int($1)) } }
    case .paddsb: { x, r in each(x, r, SB16.self) { Int8(clamping: Int($0) + Int($1)) } }
    case .paddsw: { x, r in each(x, r, SH8.self) { Int16(clamping: Int($0) + Int($1)) } }
    case .psubusb: { x, r in each(x, r, B16.self) { UInt8(clamping: Int($0) - Int($1)) } }
    case .psubusw: { x, r in each(x, r, H8.self) { UInt16(clamping: Int($0) - Int($1)) } }
    case .psubsb: { x, r in each(x, r, SB16.self) { Int8(clamping: Int($0) - Int($1)) } }
    case .psubsw: { x, r in each(x, r, SH8.self) { Int16(clamping: Int($0) - Int($1)) } }
    case .pmullw: { x, r in binary(x, r, H8.self) { $0 &* $1 } }
    case .pmulld: { x, r in binary(x, r, D4.self) { $0 &* $1 } }
    case .pmulhw:
      { x, r in
        each(x, r, SH8.self) { Int16(truncatingIfNeeded: (Int32($0) &* Int32($1)) &>> 16) }
      }
    case .pmulhuw:
      { x, r in
        each(x, r, H8.self) { UInt16(truncatingIfNeeded: (UInt32($0) &* UInt32($1)) &>> 16) }
      }
    case .pmulhrsw:
      { x, r in
        each(x, r, SH8.self) {
          Int16(truncatingIfNeeded: (((Int32($0) &* Int32($1)) &>> 14) &+ 1) &>> 1)
        }
      }
    case .pmuludq:
      { x, r in binary(x, r, Q2.self) { ($0 & 0xffff_ffff) &* ($1 & 0xffff_ffff) } }
    case .pmuldq:
      { x, r in
        each(x, r, SQ2.self) {
          Int64(Int32(truncatingIfNeeded: $0)) &* Int64(Int32(truncatingIfNeeded: $1))
        }
      }
    case .pmaddwd: multiplyAdd
    case .pmaddubsw: multiplyAddBytes
    case .psadbw: sumOfDifferences
    case .pavgb: { x, r in each(x, r, B16.self) { UInt8((Int($0) + Int($1) + 1) >> 1) } }
    case .pavgw: { x, r in each(x, r, H8.self) { UInt16((Int($0) + Int($1) + 1) >> 1) } }
    case .pand: { x, r in binary(x, r, Q2.self) { $0 & $1 } }
    case .pandn: { x, r in binary(x, r, Q2.self) { ~$0 & $1 } }
    case .por: { x, r in binary(x, r, Q2.self) { $0 | $1 } }
    case .pxor: { x, r in binary(x, r, Q2.self) { $0 ^ $1 } }
    case .pabsb: { x, r in each(x, r, SB16.self) { $1 < 0 ? 0 &- $1 : $1 } }
    case .pabsw: { x, r in each(x, r, SH8.self) { $1 < 0 ? 0 &- $1 : $1 } }
    case .pabsd: { x, r in each(x, r, SD4.self) { $1 < 0 ? 0 &- $1 : $1 } }
    case .psignb: { x, r in each(x, r, SB16.self) { $1 < 0 ? 0 &- $0 : $1 == 0 ? 0 : $0 } }
    case .psignw: { x, r in each(x, r, SH8.self) { $1 < 0 ? 0 &- $0 : $1 == 0 ? 0 : $0 } }
    case .psignd: { x, r in each(x, r, SD4.self) { $1 < 0 ? 0 &- $0 : $1 == 0 ? 0 : $0 } }
    case .phaddw: { x, r in horizontal(x, r, H8.self) { $0 &+ $1 } }
    case .phaddd: { x, r in horizontal(x, r, D4.self) { $0 &+ $1 } }
    case .phaddsw: { x, r in horizontal(x, r, SH8.self) { Int16(clamping: Int($0) + Int($1)) } }
    case .phsubw: { x, r in horizontal(x, r, H8.self) { $0 &- $1 } }
    case .phsubd: { x, r in horizontal(x, r, D4.self) { $0 &- $1 } }
    case .phsubsw: { x, r in horizontal(x, r, SH8.self) { Int16(clamping: Int($0) - Int($1)) } }
    default: nil
    }
  }

  private static func comparison(_ op: Op) -> Helper? {
    switch op {
    case .pcmpeqb: { x, r in compare(x, r, B16.self) { $0 == $1 } }
    case .pcmpeqw: { x, r in compare(x, r, H8.self) { $0 == $1 } }
    case .pcmpeqd: { x, r in compare(x, r, D4.self) { $0 == $1 } }
    case .pcmpeqq: { x, r in compare(x, r, Q2.self) { $0 == $1 } }
    case .pcmpgtb: { x, r in compare(x, r, SB16.self) { $0 > $1 } }
    case .pcmpgtw: { x, r in compare(x, r, SH8.self) { $0 > $1 } }
    case .pcmpgtd: { x, r in compare(x, r, SD4.self) { $0 > $1 } }
    case .pcmpgtq: { x, r in compare(x, r, SQ2.self) { $0 > $1 } }
    case .pminub: { x, r in each(x, r, B16.self) { min($0, $1) } }
    case .pminuw: { x, r in each(x, r, H8.self) { min($0, $1) } }
    case .pminud: { x, r in each(x, r, D4.self) { min($0, $1) } }
    case .pminsb: { x, r in each(x, r, SB16.self) { min($0, $1) } }
    case .pminsw: { x, r in each(x, r, SH8.self) { min($0, $1) } }
    case .pminsd: { x, r in each(x, r, SD4.self) { min($0, $1) } }
    case .pmaxub: { x, r in each(x, r, B16.self) { max($0, $1) } }
    case .pmaxuw: { x, r in each(x, r, H8.self) { max($0, $1) } }
    case .pmaxud: { x, r in each(x, r, D4.self) { max($0, $1) } }
    case .pmaxsb: { x, r in each(x, r, SB16.self) { max($0, $1) } }
    case .pmaxsw: { x, r in each(x, r, SH8.self) { max($0, $1) } }
    case .pmaxsd: { x, r in each(x, r, SD4.self) { max($0, $1) } }
    default: nil
    }
  }

  private static func arrangement(_ op: Op) -> Helper? {
    switch op {
    case .punpcklbw: { x, r in interleave(x, r, B16.self, high: false) }
    case .punpcklwd: { x, r in interleave(x, r, H8.self, high: false) }
    case .punpckldq: { x, r in interleave(x, r, D4.self, high: false) }
    case .punpcklqdq: { x, r in interleave(x, r, Q2.self, high: false) }
    case .punpckhbw: { x, r in interleave(x, r, B16.self, high: true) }
    case .punpckhwd: { x, r in interleave(x, r, H8.self, high: true) }
    case .punpckhdq: { x, r in interleave(x, r, D4.self, high: true) }
    case .punpckhqdq: { x, r in interleave(x, r, Q2.self, high: true) }
    case .packsswb: { x, r in pack(x, r, SH8.self, SB16.self) }
    case .packuswb: { x, r in pack(x, r, SH8.self, B16.self) }
    case .packssdw: { x, r in pack(x, r, SD4.self, SH8.self) }
    case .packusdw: { x, r in pack(x, r, SD4.self, H8.self) }
    case .pmovsxbw: { x, r in widen(x, r, SB16.self, SH8.self) }
    case .pmovsxbd: { x, r in widen(x, r, SB16.self, SD4.self) }
    case .pmovsxbq: { x, r in widen(x, r, SB16.self, SQ2.self) }
    case .pmovsxwd: { x, r in widen(x, r, SH8.self, SD4.self) }
    case .pmovsxwq: { x, r in widen(x, r, SH8.self, SQ2.self) }
    case .pmovsxdq: { x, r in widen(x, r, SD4.self, SQ2.self) }
    case .pmovzxbw: { x, r in widen(x, r, B16.self, H8.self) }
    case .pmovzxbd: { x, r in widen(x, r, B16.self, D4.self) }
    case .pmovzxbq: { x, r in widen(x, r, B16.self, Q2.self) }
    case .pmovzxwd: { x, r in widen(x, r, H8.self, D4.self) }
    case .pmovzxwq: { x, r in widen(x, r, H8.self, Q2.self) }
    case .pmovzxdq: { x, r in widen(x, r, D4.self, Q2.self) }
    case .pshufd: { x, r in shuffle(x, r, D4.self, from: 0) }
    case .pshuflw: { x, r in shuffle(x, r, H8.self, from: 0) }
    case .pshufhw: { x, r in shuffle(x, r, H8.self, from: 4) }
    case .pshufb: shuffleBytes
    case .shufps: shuffleSingles
    case .shufpd: shuffleDoubles
    case .palignr: alignRight
    case .movsldup:
      { x, r in unary(x, r, D4.self) { D4($0[0], $0[0], $0[2], $0[2]) } }
    case .movshdup:
      { x, r in unary(x, r, D4.self) { D4($0[1], $0[1], $0[3], $0[3]) } }
    case .blendps: { x, r in blend(x, r, D4.self) }
    case .blendpd: { x, r in blend(x, r, Q2.self) }
    case .pblendw: { x, r in blend(x, r, H8.self) }
    case .pblendvb: { x, r in blendVariable(x, r, SB16.self) }
    case .blendvps: { x, r in blendVariable(x, r, SD4.self) }
    case .blendvpd: { x, r in blendVariable(x, r, SQ2.self) }
    case .insertps: insertSingle
    default: nil
    }
  }

  private static func shifts(_ op: Op) -> Helper? {
    switch op {
    case .psrlw: { x, r in shiftAll(x, r, H8.self, immediate: false) { $0 >> $1 } }
    case .psrld: { x, r in shiftAll(x, r, D4.self, immediate: false) { $0 >> $1 } }
    case .psrlq: { x, r in shiftAll(x, r, Q2.self, immediate: false) { $0 >> $1 } }
    case .psraw: { x, r in shiftAll(x, r, SH8.self, immediate: false) { $0 >> $1 } }
    case .psrad: { x, r in shiftAll(x, r, SD4.self, immediate: false) { $0 >> $1 } }
    case .psllw: { x, r in shiftAll(x, r, H8.self, immediate: false) { $0 << $1 } }
    case .pslld: { x, r in shiftAll(x, r, D4.self, immediate: false) { $0 << $1 } }
    case .psllq: { x, r in shiftAll(x, r, Q2.self, immediate: false) { $0 << $1 } }
    case .psrlw_i: { x, r in shiftAll(x, r, H8.self, immediate: true) { $0 >> $1 } }
    case .psrld_i: { x, r in shiftAll(x, r, D4.self, immediate: true) { $0 >> $1 } }
    case .psrlq_i: { x, r in shiftAll(x, r, Q2.self, immediate: true) { $0 >> $1 } }
    case .psraw_i: { x, r in shiftAll(x, r, SH8.self, immediate: true) { $0 >> $1 } }
    case .psrad_i: { x, r in shiftAll(x, r, SD4.self, immediate: true) { $0 >> $1 } }
    case .psllw_i: { x, r in shiftAll(x, r, H8.self, immediate: true) { $0 << $1 } }
    case .pslld_i: { x, r in shiftAll(x, r, D4.self, immediate: true) { $0 << $1 } }
    case .psllq_i: { x, r in shiftAll(x, r, Q2.self, immediate: true) { $0 << $1 } }
    case .psrldq_i: { x, r in shiftBytes(x, r, left: false) }
    case .pslldq_i: { x, r in shiftBytes(x, r, left: true) }
    default: nil
    }
  }

  private static func special(_ op: Op) -> Helper? {
    switch op {
    case .movmskps: { x, r in signs(x, r, SD4.self) }
    case .movmskpd: { x, r in signs(x, r, SQ2.self) }
    case .pmovmskb: { x, r in signs(x, r, SB16.self) }
    case .extrw:
      { x, r in
        let op = r.op
        let index = Int(op.c & 7)
        x[Int(op.d)] = (x[Int(op.b) &+ index / 4] &>> UInt64(index % 4 &* 16)) & 0xffff
      }
    case .insr: insertInteger
    case .ptest: testVector
    case .testps: { x, r in testSigns(x, r, 0x8000_0000_8000_0000) }
    case .testpd: { x, r in testSigns(x, r, 1 << 63) }
    case .phminposuw: minimumPosition
    case .mpsadbw: sumsOfDifferences
    default: nil
    }
  }
}

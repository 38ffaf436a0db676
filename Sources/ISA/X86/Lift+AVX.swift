import Engine

// Forms of AVX with a memory operand of their own kind.

extension Lift {
  /// VEXTRACTF128 and VCVTPS2PH: a part or a narrower vector to a register or to memory.
  mutating func storePart() {
    let from = vectorSlot(i.reg)
    let bytes = size(0)
    let c = UInt8(truncatingIfNeeded: i.imm)
    var value = from
    if i.op == .extractf128 {
      value = c & 1 == 0 ? from : from + 2
    } else {
      if isMemory(0) {
        let at = plain(address())
        for part in 0..<Int64(bytes / 8) {
          builder.emit(.ldm64, d: Lift.sink, a: at.a, e: at.stack, imm: at.imm &+ part &* 8)
        }
      }
      builder.emit(helper: toHalves, d: T.vector, b: from, c: c, e: is256 ? 1 : 0)
      value = T.vector
    }
    if isMemory(0) {
      if bytes == 8 { return store(value, address(), 8) }
      let at = plain(address())
      return builder.emit(.stv, a: at.a, b: value, e: at.stack, imm: at.imm)
    }
    let d = vectorSlot(i.rm)
    builder.emit(.movv, d: d, a: value)
    builder.emit(.movi, d: d + 2, imm: 0)
    builder.emit(.movi, d: d + 3, imm: 0)
  }

  /// VMASKMOV and VPMASKMOV.
  mutating func maskedMove() {
    if isSegmented { return builder.end(helper: refuse, c: Refusal.vector) }
    let stores = isMemory(0)
    let at = address()
    let e: UInt8 = (is256 ? 1 : 0) | (stores ? 2 : 0) | at.stack << 2
    let slot = addressValue(at)
    builder.emit(
      helper: moveMasked, d: vectorSlot(i.reg), a: vectorSlot(i.vvvv), b: slot,
      c: i.op == .maskmovd ? 4 : 8, e: e)
  }

  /// Gathers.
  mutating func gather() {
    // The three registers must differ.
    if i.reg == i.vvvv || i.reg == i.index || i.vvvv == i.index {
      return builder.end(helper: raiseFault, c: 6)
    }
    if isSegmented { return builder.end(helper: refuse, c: Refusal.vector) }
    let base = i.base == Insn.none ? 0 : gpr(i.base)
    builder.emit(.addi, d: T.address, a: base, imm: i.disp)
    if let segment {
      builder.emit(.mov, d: T.w, a: segment)
    } else {
      builder.emit(.movi, d: T.w, imm: 0)
    }
    let size: UInt8 = i.prefixes.contains(.wide) ? 8 : 4
    let indexSize: UInt8 = i.opcode & 1 == 0 ? 4 : 8
    var e = i.scale << 4
    if segment == nil, i.base == 4 || i.base == 5 { e |= 4 }
    if i.prefixes.contains(.vex256) { e |= 1 }
    if i.prefixes.contains(.addressSize) { e |= 2 }
    builder.emit(
      helper: gatherElements, d: vectorSlot(i.reg), a: vectorSlot(i.vvvv), b: vectorSlot(i.index),
      c: size | indexSize << 4, e: e)
  }
}

import Engine

// MMX: the operands are put side by side in temporaries, so that the helpers of the 128-bit vectors
// do the work.

extension Lift {
  /// Whether an operand is an MMX register.
  var usesMMX: Bool {
    (0..<Int(row.count)).contains {
      switch row[$0].place {
      case .mmxReg, .mmxRm, .mmxRmRegister: true
      default: false
      }
    }
  }

  private func mmxSlot(_ number: UInt8) -> UInt8 { UInt8(Registers.x87) &+ (number & 7) &* 2 }

  /// Where operands and the result stand: two slots each.
  private static let first = T.vector, second = T.vector + 2, result = T.vector + 4

  /// Puts operand `n`, or what it names in memory, into a slot.
  private func mmxRead(_ n: Int, _ to: UInt8) {
    switch row[n].place {
    case .mmxReg: builder.emit(.mov, d: to, a: mmxSlot(i.reg))
    case .mmxRmRegister: builder.emit(.mov, d: to, a: mmxSlot(i.rm))
    case .mmxRm:
      if i.rmIsRegister {
        builder.emit(.mov, d: to, a: mmxSlot(i.rm))
      } else {
        load(to, address(), size(n))
      }
    default: break
    }
  }

  /// The unit becomes one of MMX: the stack's top is register 0, and none is empty.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'The MMX State and MMX Register Aliasing'.
  private func enterMMX() {
    let status = UInt8(Registers.fpStatus)
    builder.emit(.andi, d: status, a: status, imm: ~Int64(bitPattern: StatusWord.top))
    builder.emit(.movi, d: UInt8(Registers.fpTag), imm: 0)
  }

  private func mmxWrite(_ number: UInt8, _ from: UInt8) {
    enterMMX()
    let to = mmxSlot(number)
    builder.emit(.mov, d: to, a: from)
    builder.emit(.movi, d: to + 1, imm: 0xffff)
  }

  /// - Returns: whether the instruction is one of MMX.
  mutating func mmxInstruction() -> Bool {
    if i.op == .emms {
      builder.emit(helper: x87Check)
      let status = UInt8(Registers.fpStatus)
      builder.emit(.andi, d: status, a: status, imm: ~Int64(bitPattern: StatusWord.top))
      builder.emit(.movi, d: UInt8(Registers.fpTag), imm: 0xffff)
      return true
    }
    guard usesMMX else { return false }
    // From memory CVTPI2PD has nothing to do with the unit.
    if i.op != .cvtpi2pd || i.rmIsRegister { builder.emit(helper: x87Check) }
    switch i.op {
    case .movq_load, .movd_to, .movd_from, .movq2dq, .movdq2q: mmxMove()
    case .cvtpi2ps, .cvtpi2pd, .cvtps2pi, .cvttps2pi, .cvtpd2pi, .cvttpd2pi: mmxConvert()
    case .maskmov:
      mmxRead(0, Self.first)
      mmxRead(1, Self.second)
      maskedStore(Self.first, Self.second, 8)
      enterMMX()
    case .extrw, .pmovmskb:
      mmxRead(1, Self.first)
      builder.emit(.movi, d: Self.first + 1, imm: 0)
      enterMMX()
      if let helper = VectorHelpers.helper(i.op) {
        builder.emit(helper: helper, d: gpr(i.reg), b: Self.first, c: UInt8(i.imm & 3))
      }
    default: mmxCompute()
    }
    return true
  }

  private mutating func mmxMove() {
    switch (i.op, row[0].place) {
    case (.movq2dq, _):
      let d = vectorSlot(i.reg)
      enterMMX()
      builder.emit(.mov, d: d, a: mmxSlot(i.rm))
      builder.emit(.movi, d: d + 1, imm: 0)
    case (.movdq2q, _): mmxWrite(i.reg, vectorSlot(i.rm))
    case (.movd_to, _):
      let from = read(1, T.a)
      if size(1) == 8 {
        mmxWrite(i.reg, from)
      } else {
        builder.emit(.zext32, d: T.a, a: from)
        mmxWrite(i.reg, T.a)
      }
    case (.movd_from, _):
      if isMemory(0) {
        store(mmxSlot(i.reg), address(), size(0))
      } else {
        writeLow(0, mmxSlot(i.reg))
      }
      enterMMX()
    case (_, .mmxReg):
      mmxRead(1, Self.first)
      mmxWrite(i.reg, Self.first)
    default:
      if i.rmIsRegister { return mmxWrite(i.rm, mmxSlot(i.reg)) }
      store(mmxSlot(i.reg), address(), 8)
      enterMMX()
    }
  }

  private mutating func mmxConvert() {
    guard let helper = ConversionHelpers.helper(i.op) else { return }
    if row[0].place == .vectorReg {
      mmxRead(1, Self.second)
      let d = vectorSlot(i.reg)
      if i.op == .cvtpi2ps || i.rmIsRegister { enterMMX() }
      builder.emit(helper: helper, d: d, a: d, b: Self.second)
    } else {
      let from = i.rmIsRegister ? vectorSlot(i.rm) : loadVector(size(1))
      enterMMX()
      builder.emit(helper: helper, d: Self.result, b: from)
      mmxWrite(i.reg, Self.result)
    }
  }

  private mutating func mmxCompute() {
    guard var helper = VectorHelpers.helper(i.op) else {
      return builder.end(helper: raiseFault, c: 6)
    }
    let target = row[0].place == .mmxRmRegister ? i.rm : i.reg
    let (a, b, d) = (Self.first, Self.second, Self.result)
    builder.emit(.mov, d: a, a: mmxSlot(target))
    var c = UInt8(truncatingIfNeeded: i.imm)
    var e: UInt8 = 0
    var high = false
    if i.op == .insr {
      builder.emit(.mov, d: b, a: read(1, T.a))
      c &= 3
      e = 2 << 4
    } else if row.count > 1 {
      mmxRead(1, b)
    }
    builder.emit(.movi, d: b + 1, imm: 0)
    builder.emit(.movi, d: a + 1, imm: 0)
    switch i.op {
    case .packsswb, .packuswb, .packssdw, .phaddw, .phaddd, .phaddsw, .phsubw, .phsubd, .phsubsw:
      // Both sources are one vector.
      builder.emit(.mov, d: a + 1, a: b)
    case .punpckhbw: (helper, high) = ({ x, r in interleave(x, r, B16.self, high: false) }, true)
    case .punpckhwd: (helper, high) = ({ x, r in interleave(x, r, H8.self, high: false) }, true)
    case .punpckhdq: (helper, high) = ({ x, r in interleave(x, r, D4.self, high: false) }, true)
    case .palignr:
      // The first operand is above the second.
      builder.emit(.mov, d: b + 1, a: a)
      builder.emit(.movi, d: a, imm: 0)
    case .pshufb:
      // Eight bytes to choose from.
      builder.emit(.andi, d: b, a: b, imm: Int64(bitPattern: 0x8787_8787_8787_8787))
    default: break
    }
    builder.emit(helper: helper, d: d, a: a, b: b, c: c, e: e)
    mmxWrite(target, high ? d + 1 : d)
  }

  /// MASKMOVQ and MASKMOVDQU: those of `size` bytes in `from` of which the mask's top bit is set, to
  /// memory at RDI.
  func maskedStore(_ from: UInt8, _ mask: UInt8, _ size: UInt8) {
    if isSegmented { return builder.end(helper: refuse, c: Refusal.vector) }
    var at = Lift.rdi
    if i.prefixes.contains(.addressSize) {
      builder.emit(.zext32, d: T.address, a: at)
      at = T.address
    }
    if let segment {
      builder.emit(.add, d: T.address, a: at, b: segment)
      at = T.address
    }
    builder.emit(helper: moveMasked, d: from, a: mask, b: at, c: 1, e: size == 8 ? 10 : 2)
  }
}

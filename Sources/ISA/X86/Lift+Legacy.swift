import Engine

// What 16- and 32-bit code has and 64-bit code has not.

extension Lift {
  /// 16- or 32-bit code: of real mode, of protected mode or of compatibility mode.
  var legacy: Bool { mode & X64.TranslationFlag.legacy != 0 }

  /// Where a relative branch goes.
  func wrapped(_ target: Int64) -> Int64 {
    guard legacy else { return target }
    return target & (i.size == 2 ? 0xffff : 0xffff_ffff)
  }

  /// The pc behind the present instruction as it is pushed.
  var returnAddress: Int64 { legacy ? end & 0xffff_ffff : end }

  /// Lifts an instruction of 32-bit code.
  ///
  /// - Returns: whether it is one.
  mutating func legacyInstruction() -> Bool {
    switch i.op {
    case .pusha: pushAll()
    case .popa: popAll()
    case .bound:
      var at = plain(address())
      load(T.a, at, i.size)
      at.imm &+= Int64(i.size)
      load(T.b, at, i.size)
      builder.emit(helper: checkBounds, d: gpr(i.reg), a: T.a, b: T.b, e: i.size)
    case .arpl where mode & X64.TranslationFlag.real != 0:
      builder.end(helper: raiseFault, c: 6)
    case .arpl:
      if isMemory(0) {
        let at = plain(address())
        loadForModify(T.a, at, 2)
        builder.emit(helper: adjustPrivilege, d: T.r, a: T.a, b: gpr(i.reg))
        store(T.r, at, 2)
      } else {
        builder.emit(helper: adjustPrivilege, d: T.r, a: gpr(i.rm), b: gpr(i.reg))
        builder.emit(.ins16, d: gpr(i.rm), a: T.r)
      }
      known = .unknown
    case .into: builder.end(helper: overflowInterrupt)
    case .decimal:
      builder.emit(
        helper: decimalAdjust, a: UInt8(truncatingIfNeeded: i.imm), c: i.opcode)
      known = .unknown
    default: return false
    }
    return true
  }

  private func pushAll() {
    let size = Int64(i.size)
    for number in UInt8(0)..<8 {
      store(
        gpr(number), stack(-size * Int64(number + 1), i.size, store: true), i.size)
    }
    addSP(-8 * size)
  }

  private func popAll() {
    let size = Int64(i.size)
    // All are read before any is written: a fault leaves every register alone.
    let temporaries = [T.a, T.b, T.r, T.c, T.next, T.v, T.w]
    for (index, temporary) in temporaries.enumerated() {
      let slot = index < 3 ? index : index + 1
      load(temporary, stack(size * Int64(slot), i.size), i.size)
    }
    let order: [UInt8] = [7, 6, 5, 3, 2, 1, 0]
    for (temporary, number) in zip(temporaries, order) {
      builder.emit(i.size == 2 ? .ins16 : .mov, d: gpr(number), a: temporary)
    }
    addSP(8 * size)
  }
}

/// BOUND: `d` is the index, `a` and `b` the bounds, of `e` bytes.
///
/// - SeeAlso: Intel SDM volume 2, 'BOUND - Check Array Index Against Bounds'.
let checkBounds: Helper = { x, raw in
  let op = raw.op
  let index = signed(x[Int(op.d)] & mask(op.e), op.e)
  let low = signed(x[Int(op.a)] & mask(op.e), op.e)
  let high = signed(x[Int(op.b)] & mask(op.e), op.e)
  if index < low || index > high { X64.raise(x, 5) }
}

/// ARPL: the selector in `a` gets the RPL of that in `b` where it is less; to `d`.
///
/// - SeeAlso: Intel SDM volume 2, 'ARPL - Adjust RPL Field of Segment Selector'.
let adjustPrivilege: Helper = { x, raw in
  let op = raw.op
  let selector = x[Int(op.a)] & 0xffff
  let requested = x[Int(op.b)] & 3
  let isLess = selector & 3 < requested
  x[Int(op.d)] = isLess ? selector & ~3 | requested : selector
  setFlags(x, StatusFlags.zero, isLess ? StatusFlags.zero : 0)
}

/// INTO.
let overflowInterrupt: Helper = { x, _ in
  guard StatusFlags.packed(x) & StatusFlags.overflow != 0 else { return }
  x[SystemSlot.isSoftware] = 1
  x[SystemSlot.trapPC] = x[Slot.pc]
  X64.raise(x, 4, trap: true)
}

/// DAA, DAS, AAA, AAS, AAM, AAD and SALC by the opcode in `c`; `a` is the base.
///
/// - SeeAlso: Intel SDM volume 2, 'DAA - Decimal Adjust AL After Addition' and the pages of the
///   others.
let decimalAdjust: Helper = { x, raw in
  let op = raw.op
  let rax = Int(Lift.rax)
  let old = StatusFlags.packed(x)
  let al = x[rax] & 0xff
  let ah = x[rax] >> 8 & 0xff
  let low = al & 0xf
  let carry = old & StatusFlags.carry != 0
  let half = old & StatusFlags.auxiliary != 0
  func finish(_ ax: UInt64, _ carry: Bool, _ half: Bool) {
    x[rax] = x[rax] & ~0xffff | ax & 0xffff
    let result = ax & 0xff
    var flags: UInt64 = (carry ? StatusFlags.carry : 0) | (half ? StatusFlags.auxiliary : 0)
    if result == 0 { flags |= StatusFlags.zero }
    if result & 0x80 != 0 { flags |= StatusFlags.sign }
    if result.nonzeroBitCount & 1 == 0 { flags |= StatusFlags.parity }
    StatusFlags.set(x, flags)
  }
  switch op.c {
  case 0x27, 0x2f:
    let isSubtraction = op.c == 0x2f
    let adjustsLow = low > 9 || half
    let adjustsHigh = al > 0x99 || carry
    let by = (adjustsLow ? 6 : 0) + (adjustsHigh ? 0x60 : 0) as UInt64
    // A borrow of the lower digit counts too.
    let borrows = isSubtraction && adjustsLow && al < 6
    let result = (isSubtraction ? al &- by : al &+ by) & 0xff
    finish(ah << 8 | result, adjustsHigh || borrows, adjustsLow)
  case 0x37, 0x3f:
    let adjusts = low > 9 || half
    let ax = ah << 8 | al
    let moved = adjusts ? (op.c == 0x37 ? ax &+ 0x106 : ax &- 0x106) : ax
    finish(moved & 0xff0f, adjusts, adjusts)
  case 0xd4:
    let base = UInt64(op.a)
    guard base != 0 else { return X64.raise(x, 0) }
    finish((al / base) << 8 | al % base, false, false)
  case 0xd5: finish((al &+ ah &* UInt64(op.a)) & 0xff, false, false)
  default: x[rax] = x[rax] & ~0xff | (carry ? 0xff : 0)
  }
}

import Engine

// Shifts, bits, multiplication and division.

/// How a shift or rotate works, as in ModRM.reg of its opcodes.
enum ShiftKind: UInt8 { case rol, ror, rcl, rcr, shl, shr, shl2, sar }

extension Lift {
  /// - SeeAlso: Intel SDM volume 2, 'SAL/SAR/SHL/SHR - Shift' and 'RCL/RCR/ROL/ROR - Rotate'.
  mutating func shift() {
    let size = size(0)
    let kind: ShiftKind
    switch i.op {
    case .rol: kind = .rol
    case .ror: kind = .ror
    case .rcl: kind = .rcl
    case .rcr: kind = .rcr
    case .shl: kind = .shl
    case .shr: kind = .shr
    default: kind = .sar
    }
    let live = flagsLive
    var count: UInt8?
    if row[1].place != .fixed {
      count = row[1].place == .one ? 1 : UInt8(truncatingIfNeeded: i.imm)
      count = (count ?? 0) & (size == 8 ? 63 : 31)
    }
    var after = Known.unknown
    modify { lift, a, d in
      if let count, count > 0, count < size &* 8 {
        if lift.shiftSimply(kind, count, d: d, a: a, size: size, live: live) {
          if live { after = .result }
          return
        }
      }
      var by = Lift.rcx
      if let count {
        lift.builder.emit(.movi, d: T.c, imm: Int64(count))
        by = T.c
      }
      lift.builder.emit(helper: shiftByCount, d: d, a: a, b: by, c: kind.rawValue, e: size)
    }
    known = after == .unknown && !live ? known : after
    // A count of zero leaves the flags, which the helper knows and this does not.
    if after == .unknown { known = .unknown }
  }

  /// A shift by a constant in one micro-op.
  private func shiftSimply(
    _ kind: ShiftKind, _ count: UInt8, d: UInt8, a: UInt8, size: UInt8, live: Bool
  ) -> Bool {
    if live || size < 4 {
      let op: Engine.Op
      switch kind {
      case .shl, .shl2: op = .cshli
      case .shr: op = .cshri
      case .sar: op = .csari
      default: return false
      }
      guard live else { return false }
      builder.emit(op, d: d, a: a, c: FlagKind.with(FlagKind.result, size: size), e: count)
      return true
    }
    let imm = Int64(count)
    let wide = size == 8
    switch kind {
    case .shl, .shl2: builder.emit(wide ? .slli : .shl32i, d: d, a: a, imm: imm)
    case .shr: builder.emit(wide ? .srli : .shr32i, d: d, a: a, imm: imm)
    case .sar: builder.emit(wide ? .srai : .sar32i, d: d, a: a, imm: imm)
    case .rol: builder.emit(wide ? .rori : .rol32i, d: d, a: a, imm: wide ? 64 - imm : imm)
    case .ror: builder.emit(wide ? .rori : .rol32i, d: d, a: a, imm: wide ? imm : 32 - imm)
    default: return false
    }
    return true
  }

  mutating func doubleShift() {
    let size = size(0)
    let right: UInt8 = i.op == .shrd ? 0x80 : 0
    let immediate = row[2].place == .immediate
    let other = gpr(i.reg)
    modify { lift, a, d in
      var by = Lift.rcx
      if immediate {
        lift.builder.emit(.movi, d: T.c, imm: lift.i.imm)
        by = T.c
      }
      lift.builder.emit(helper: shiftDouble, d: d, a: a, b: other, c: by, e: size | right)
    }
    known = .unknown
  }

  /// - SeeAlso: Intel SDM volume 2, 'BT - Bit Test'; volume 1, 'Bit Strings'.
  mutating func bitTest() {
    let size = size(0)
    let kind: UInt8 = i.op == .bt ? 0 : i.op == .bts ? 1 : i.op == .btr ? 2 : 3
    known = .unknown
    if isMemory(0) {
      var at = plain(address())
      var by = T.b
      if row[1].place == .immediate {
        builder.emit(.movi, d: T.b, imm: i.imm)
      } else {
        // The register is an offset into a string of bits around the operand.
        by = gpr(i.reg)
        let slot = addressValue(offset())
        let short: UInt8 =
          i.prefixes.contains(.narrow) ? 0xc0 : i.prefixes.contains(.addressSize) ? 0x80 : 0
        builder.emit(helper: bitAddress, d: T.v, a: slot, b: by, e: size | short)
        if checksOperand {
          at = linear(
            Address(a: T.v, imm: 0), segmentRegister, size, store: kind != 0)
        } else {
          if let segment { builder.emit(.add, d: T.v, a: T.v, b: segment) }
          at = Address(a: T.v, imm: 0, stack: at.stack)
        }
      }
      if kind == 0 {
        load(T.a, at, size)
        builder.emit(helper: bitOperation, d: Lift.sink, a: T.a, b: by, c: kind, e: size)
      } else {
        loadForModify(T.a, at, size)
        builder.emit(helper: bitOperation, d: T.r, a: T.a, b: by, c: kind, e: size)
        store(T.r, at, size)
      }
      return
    }
    let b = read(1, T.b)
    let d = kind == 0 ? Lift.sink : place(0, T.r)
    builder.emit(helper: bitOperation, d: d, a: gpr(i.rm), b: b, c: kind, e: size)
    if kind != 0 { write(0, d) }
  }

  mutating func bitCount() {
    let kind: BitKind
    switch i.op {
    case .bsf: kind = .bsf
    case .bsr: kind = .bsr
    case .popcnt: kind = .popcnt
    case .lzcnt: kind = .lzcnt
    default: kind = .tzcnt
    }
    let a = read(1, T.a)
    let d = gpr(i.reg)
    builder.emit(helper: countBits, d: d, a: a, c: kind.rawValue, e: size(0))
    known = .unknown
  }

  mutating func bitManipulation() {
    let size = size(0)
    let wide = size == 8
    switch i.op {
    case .blsi, .blsmsk, .blsr:
      let a = read(1, T.a)
      let c: UInt8 = i.op == .blsr ? 0 : i.op == .blsmsk ? 1 : 2
      builder.emit(helper: lowestBit, d: gpr(i.vvvv), a: a, c: c, e: size)
      known = .unknown
    case .rorx:
      let a = read(1, T.a)
      let count = i.imm & (wide ? 63 : 31)
      builder.emit(
        wide ? .rori : .rol32i, d: gpr(i.reg), a: a, imm: wide ? count : (32 - count) & 31)
    case .mulx:
      let a = read(2, T.a)
      builder.emit(helper: multiplyQuietly, d: gpr(i.reg), a: a, b: gpr(i.vvvv), e: size)
    case .andn, .pdep, .pext:
      let b = read(2, T.a)
      let c: UInt8 = i.op == .andn ? 0 : i.op == .pdep ? 1 : 2
      builder.emit(helper: bitwise, d: gpr(i.reg), a: gpr(i.vvvv), b: b, c: c, e: size)
      if i.op == .andn { known = .unknown }
    default:
      let a = read(1, T.a)
      let kinds: [Op: UInt8] = [.bextr: 3, .bzhi: 4, .sarx: 5, .shlx: 6, .shrx: 7]
      builder.emit(
        helper: bitwise, d: gpr(i.reg), a: a, b: gpr(i.vvvv), c: kinds[i.op] ?? 0, e: size)
      if i.op == .bextr || i.op == .bzhi { known = .unknown }
    }
  }

  mutating func multiply() {
    switch i.op {
    case .mul, .imul1:
      let a = read(0, T.a)
      builder.emit(
        helper: multiplyWide, a: a, c: i.op == .mul ? 0 : 1, e: size(0))
      known = .unknown
    case .imul:
      let size = size(0)
      let three = row.count > 2
      let a = three ? read(1, T.a) : gpr(i.reg)
      let b = read(three ? 2 : 1, T.b)
      let d = place(0, T.r)
      if flagsLive {
        builder.emit(.cmul, d: d, a: a, b: b, c: FlagKind.with(FlagKind.result, size: size))
        known = .result
      } else {
        builder.emit(size == 4 ? .mul32 : .mul, d: d, a: a, b: b)
      }
      write(0, d)
    case .div, .idiv:
      let a = read(0, T.a)
      builder.emit(helper: divideWide, a: a, c: i.op == .div ? 0 : 1, e: size(0))
    case .crc32:
      let a = read(1, T.a)
      builder.emit(helper: crc32c, d: gpr(i.reg), a: a, e: size(1))
    default:
      let a = read(1, T.a)
      builder.emit(
        helper: addOneFlag, d: gpr(i.reg), a: a, c: i.op == .adcx ? 0 : 11, e: size(0))
      known = .unknown
    }
  }

  mutating func exchangeArithmetic() {
    let size = size(0)
    switch i.op {
    case .xadd:
      let c = FlagKind.with(FlagKind.add, size: size)
      known = .unknown
      if isMemory(0) {
        let at = plain(address())
        loadForModify(T.a, at, size)
        builder.emit(.cadd, d: T.r, a: T.a, b: read(1, T.b), c: c)
        store(T.r, at, size)
        writeLow(1, T.a)
      } else {
        let a = read(0, T.a)
        let b = read(1, T.b)
        builder.emit(.mov, d: T.v, a: a)
        builder.emit(.cadd, d: T.r, a: a, b: b, c: c)
        writeLow(1, T.v)
        write(0, T.r)
      }
    case .cmpxchg:
      known = .unknown
      if isMemory(0) {
        var at = plain(address())
        if at.a == Lift.rax {
          // The accumulator changes before the store.
          builder.emit(.mov, d: T.address, a: at.a)
          at.a = T.address
        }
        loadForModify(T.a, at, size)
        builder.emit(helper: compareExchange, d: T.r, a: T.a, b: read(1, T.b), e: size)
        store(T.r, at, size)
      } else {
        let b = read(1, T.b)
        let a = read(0, T.a)
        builder.emit(helper: compareExchange, d: T.r, a: a, b: b, e: size)
        if size >= 4 {
          // Where they differ the destination is left alone, its upper half too.
          builder.emit(.xor, d: T.c, a: Lift.flagA, b: Lift.flagB)
          builder.emit(.movz, d: gpr(number(0)), a: T.r, b: T.c)
        } else {
          write(0, T.r)
        }
      }
    default:
      let at = address()
      builder.emit(
        helper: compareExchangePair, a: addressValue(at), c: at.stack,
        e: i.op == .cmpxchg8b ? 4 : 8)
      known = .unknown
    }
  }

  mutating func swapBytes() {
    let size = size(0)
    func swap(_ d: UInt8, _ a: UInt8) {
      builder.emit(.rev8, d: d, a: a)
      if size < 8 { builder.emit(.srli, d: d, a: d, imm: 64 - Int64(size) * 8) }
    }
    if i.op == .bswap {
      swap(gpr(i.opcodeRegister), gpr(i.opcodeRegister))
    } else if isMemory(0) {
      let at = address()
      swap(T.r, gpr(i.reg))
      store(T.r, at, size)
    } else {
      let a = read(1, T.a)
      swap(T.r, a)
      write(0, T.r)
    }
  }
}

#if arch(x86_64) && os(Linux)
// Floating point. The conditions under which the host's result is the helper's are those of
// `HostFloat.swift`; what does not meet them calls the helper.
extension Translator {
  private static let double: UInt8 = 0xf2
  private static let single: UInt8 = 0xf3

  /// A floating-point helper.
  mutating func float(_ float: NativeFloat, _ op: MicroOp) {
    guard options.nativeFloat, isNative(float, op) else { return callHelper() }
    let isDouble = float.isDouble
    switch float.operation {
    case .add: arithmetic(0x58, op, isDouble, .finite)
    case .sub: arithmetic(0x5c, op, isDouble, .finite)
    case .mul: arithmetic(0x59, op, isDouble, .normal(either: true))
    case .div: arithmetic(0x5e, op, isDouble, .normal(either: false))
    case .sqrt: squareRoot(op, isDouble)
    case .fmadd: multiplyAdd(0xa9, op, isDouble)
    case .fmsub: multiplyAdd(0xab, op, isDouble)
    case .fnmsub: multiplyAdd(0xad, op, isDouble)
    case .fnmadd: multiplyAdd(0xaf, op, isDouble)
    case .sgnj, .sgnjn, .sgnjx: sign(float.operation, op, isDouble)
    case .eq, .lt, .le: compare(float.operation, op, isDouble)
    case .min, .max: extremum(float.operation, op, isDouble)
    case .fromInt32, .fromUInt32, .fromInt64: fromInteger(float.operation, op, isDouble)
    case .toInt32, .toUInt32, .toInt64: toInteger(float.operation, op, isDouble)
    case .convert: convert(op, toDouble: isDouble)
    }
  }

  // MARK: State

  /// Where inexact has not accrued or rounding is not to nearest, the interpreter runs the rest of
  /// the block.
  private mutating func require(inexact: Bool, nearest: Bool) {
    if inexact, !inexactKnown {
      asm.rm(0xf6, 0, Host.rbx, Stubs.slot(Slot.fpFlags), w: false)
      asm.byte(1)
      cold(.rest, jump(Condition.equal))
      inexactKnown = true
    }
    if nearest, !nearestKnown {
      asm.mi(7, Host.rbx, Stubs.slot(Slot.fpRounding), imm: 0)
      cold(.rest, jump(Condition.notEqual))
      nearestKnown = true
    }
  }

  // MARK: Operands

  /// The SSE register of an operand: its own, or `other`.
  ///
  /// A single that is not known to be boxed is looked at; `jumps` gets the way out where it is not.
  private mutating func operand(
    _ slot: UInt8, _ other: UInt8, _ isDouble: Bool, _ jumps: inout [Jump]
  ) -> UInt8 {
    let host = hostOf[Int(slot)]
    if !isDouble, !(Self.isFloat(slot) && boxed & 1 << UInt32(slot - UInt8(Slot.fp)) != 0) {
      readInto(Host.rax, slot)
      asm.shift(5, Host.rax, 32)
      asm.ri(0, Host.rax, 1, w: false)
      jumps.append(jump(Condition.notEqual))
    }
    if host >= 16, host != Self.nowhere {
      ensure(host)
      return host - 16
    }
    if host < 16 {
      ensure(host)
      asm.rr0f(0x6e, other, host, prefix: 0x66)
    } else {
      asm.rm0f(0x10, other, Host.rbx, Self.offset(slot), w: false, prefix: Self.double)
    }
    return other
  }

  private mutating func sse(_ code: UInt8, _ to: UInt8, _ from: UInt8, _ isDouble: Bool) {
    asm.rr0f(code, to, from, w: false, prefix: isDouble ? Self.double : Self.single)
  }

  private mutating func copy(_ to: UInt8, _ from: UInt8) {
    if to != from { asm.rr0f(0x28, to, from, w: false) }
  }

  /// Makes xmm0 the value of `d`.
  private mutating func commit(_ d: UInt8, _ isDouble: Bool) {
    let host = hostOf[Int(d)]
    if !isDouble {
      asm.rr0f(0x7e, 0, Host.rax, w: false, prefix: 0x66)
      box(Host.rax)
      write(d, Host.rax)
      noteBoxed(d)
      return
    }
    if host >= 16, host != Self.nowhere {
      copy(host - 16, 0)
      noteWritten(d, host)
    } else {
      asm.rr0f(0x7e, 0, Host.rax, prefix: 0x66)
      write(d, Host.rax)
    }
  }

  // MARK: Results

  private enum Wanted {
    /// Neither infinite nor a NaN.
    case finite
    /// Above the least normal numbers; or zero because an operand is.
    case normal(either: Bool)
    /// The same without zeros.
    case normalOnly
  }

  /// rax = a register's sign and exponent, as a small number.
  private mutating func exponent(_ register: UInt8, _ isDouble: Bool) {
    asm.rr0f(0x7e, register, Host.rax, w: isDouble, prefix: 0x66)
    asm.shift(5, Host.rax, isDouble ? 52 : 23, w: isDouble)
  }

  /// Jumps where the result in xmm0 is not what is wanted.
  private mutating func check(_ wanted: Wanted, _ isDouble: Bool) -> Jump {
    exponent(0, isDouble)
    if case .finite = wanted {
      asm.group3(2, Host.rax, w: false)
      asm.testImmediate(Host.rax, isDouble ? 0x7ff : 0xff)
    } else {
      // 1, 2, 3 and the greatest plus one have none of these bits.
      asm.ri(0, Host.rax, 1, w: false)
      asm.testImmediate(Host.rax, isDouble ? 0x7fc : 0xfc)
    }
    return jump(Condition.equal)
  }

  private mutating func finish(
    _ op: MicroOp, _ isDouble: Bool, _ wanted: Wanted, _ jumps: [Jump]
  ) {
    let odd = check(wanted, isDouble)
    let at = asm.p
    commit(op.d, isDouble)
    if case .normal(let either) = wanted {
      cold(.zeroOrHelper(either: either, isDouble: isDouble), odd, commit: at)
    } else {
      cold(.helper, odd)
    }
    for jump in jumps { cold(.helper, jump) }
  }

  /// Out of line, before the helper is called: a zero that an operand makes is right.
  mutating func zeroCheck(_ cold: Cold, either: Bool, isDouble: Bool) {
    let op = block.pointee.ops[cold.op]
    asm.rr0f(0x7e, 0, Host.rax, w: isDouble, prefix: 0x66)
    asm.rr(Alu.add, Host.rax, Host.rax, w: isDouble)
    let helper = asm.jccShort(Condition.notEqual)
    for slot in either ? [op.a, op.b] : [op.a] {
      let host = hostOf[Int(slot)]
      // As the slot was before the micro-op: that is where the operand still lies.
      if host == Self.nowhere || cold.before & 1 << UInt32(host) == 0 {
        asm.load(Host.rax, Host.rbx, Self.offset(slot))
      } else if host < 16 {
        asm.mov(Host.rax, host)
      } else {
        asm.rr0f(0x7e, host - 16, Host.rax, prefix: 0x66)
      }
      asm.rr(Alu.add, Host.rax, Host.rax, w: isDouble)
      asm.jcc(Condition.equal, to: cold.commit)
    }
    asm.bindShort(helper)
  }

  // MARK: Operations

  private mutating func arithmetic(_ code: UInt8, _ op: MicroOp, _ isDouble: Bool, _ wanted: Wanted)
  {
    require(inexact: true, nearest: op.e == 7)
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let b = operand(op.b, 1, isDouble, &jumps)
    copy(0, a)
    sse(code, 0, b, isDouble)
    finish(op, isDouble, wanted, jumps)
  }

  private mutating func squareRoot(_ op: MicroOp, _ isDouble: Bool) {
    require(inexact: true, nearest: op.e == 7)
    var jumps: [Jump] = []
    let a = operand(op.a, 1, isDouble, &jumps)
    sse(0x51, 0, a, isDouble)
    finish(op, isDouble, .finite, jumps)
  }

  private mutating func multiplyAdd(_ code: UInt8, _ op: MicroOp, _ isDouble: Bool) {
    require(inexact: true, nearest: op.e == 7)
    var jumps: [Jump] = []
    // The addend may be in memory: it is loaded to xmm1, the second factor multiplied from there.
    let a = operand(op.a, 0, isDouble, &jumps)
    copy(0, a)
    let b = operand(op.b, 1, isDouble, &jumps)
    let c: UInt8
    let host = hostOf[Int(op.c)]
    if host >= 16, host != Self.nowhere {
      c = operand(op.c, 0, isDouble, &jumps)
    } else {
      // No register is left: the helper's turn would come, but this is rare enough for xmm17's
      // stand-in, a register that the map does not use.
      c = operand(op.c, Self.spare, isDouble, &jumps)
    }
    asm.vex38(code, 0, b, c, w: isDouble)
    finish(op, isDouble, .normalOnly, jumps)
  }

  /// An SSE register that no slot is mapped to.
  private static let spare: UInt8 = 15

  private mutating func sign(
    _ operation: NativeFloat.Operation, _ op: MicroOp, _ isDouble: Bool
  ) {
    guard isDouble else { return callHelperKeeping() }
    readInto(Host.rax, op.a)
    if op.a == op.b {
      switch operation {
      case .sgnjn: asm.bit(7, Host.rax, 63)
      case .sgnjx: asm.bit(6, Host.rax, 63)
      default: break
      }
    } else {
      readInto(Host.rcx, op.b)
      if operation == .sgnjn { asm.group3(2, Host.rcx) }
      asm.shift(5, Host.rcx, 63)
      asm.shift(4, Host.rcx, 63)
      if operation == .sgnjx {
        asm.rr(Alu.xor, Host.rax, Host.rcx)
      } else {
        asm.bit(6, Host.rax, 63)
        asm.rr(Alu.or, Host.rax, Host.rcx)
      }
    }
    write(op.d, Host.rax)
  }

  private mutating func compare(
    _ operation: NativeFloat.Operation, _ op: MicroOp, _ isDouble: Bool
  ) {
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let b = operand(op.b, 1, isDouble, &jumps)
    // Less is asked the other way round, so that one flag answers.
    let (first, second) = operation == .eq ? (a, b) : (b, a)
    asm.rr0f(0x2e, first, second, w: false, prefix: isDouble ? 0x66 : 0)
    jumps.append(jump(Condition.parity))
    switch operation {
    case .eq: setBit(op, Condition.equal)
    case .lt: setBit(op, Condition.above)
    default: setBit(op, Condition.aboveOrEqual)
    }
    for jump in jumps { cold(.helper, jump) }
  }

  private mutating func extremum(
    _ operation: NativeFloat.Operation, _ op: MicroOp, _ isDouble: Bool
  ) {
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let b = operand(op.b, 1, isDouble, &jumps)
    asm.rr0f(0x2e, a, b, w: false, prefix: isDouble ? 0x66 : 0)
    // Neither NaNs nor zeros of both signs.
    jumps.append(jump(Condition.parity))
    jumps.append(jump(Condition.equal))
    copy(0, a)
    sse(operation == .min ? 0x5d : 0x5f, 0, b, isDouble)
    commit(op.d, isDouble)
    for jump in jumps { cold(.helper, jump) }
  }

  // MARK: Conversions

  private mutating func fromInteger(
    _ operation: NativeFloat.Operation, _ op: MicroOp, _ isDouble: Bool
  ) {
    // A double holds every integer of 32 bits.
    require(inexact: !(isDouble && operation != .fromInt64), nearest: op.e == 7)
    var from = read(op.a, else: Host.rax)
    if operation == .fromUInt32 {
      asm.rr(Alu.mov, Host.rax, from, w: false)
      from = Host.rax
    }
    asm.rr0f(0x57, 0, 0, w: false)
    asm.rr0f(
      0x2a, 0, from, w: operation != .fromInt32, prefix: isDouble ? Self.double : Self.single)
    commit(op.d, isDouble)
  }

  private mutating func toInteger(
    _ operation: NativeFloat.Operation, _ op: MicroOp, _ isDouble: Bool
  ) {
    require(inexact: true, nearest: false)
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let wide = operation != .toInt32
    asm.rr0f(0x2c, Host.rax, a, w: wide, prefix: isDouble ? Self.double : Self.single)
    if operation == .toUInt32 {
      asm.rr(Alu.mov, Host.rcx, Host.rax, w: false)
      asm.rr(Alu.cmp, Host.rcx, Host.rax)
      jumps.append(jump(Condition.notEqual))
    } else {
      // Out of range is the least integer, which overflows when one is taken away.
      asm.mov(Host.rcx, Host.rax)
      asm.ri(5, Host.rcx, 1, w: wide)
      jumps.append(jump(0))
    }
    if wide && operation != .toUInt32 {
      write(op.d, Host.rax)
    } else {
      asm.rr(Alu.movsxd, Host.rax, Host.rax)
      write(op.d, Host.rax)
    }
    for jump in jumps { cold(.helper, jump) }
  }

  private mutating func convert(_ op: MicroOp, toDouble: Bool) {
    var jumps: [Jump] = []
    if toDouble {
      require(inexact: false, nearest: op.e == 7)
      let a = operand(op.a, 1, false, &jumps)
      asm.rr0f(0x2e, a, a, w: false)
      jumps.append(jump(Condition.parity))
      asm.rr0f(0x57, 0, 0, w: false)
      sse(0x5a, 0, a, false)
      commit(op.d, true)
      for jump in jumps { cold(.helper, jump) }
    } else {
      require(inexact: true, nearest: op.e == 7)
      let a = operand(op.a, 1, true, &jumps)
      asm.rr0f(0x57, 0, 0, w: false)
      sse(0x5a, 0, a, true)
      finish(op, false, .normalOnly, jumps)
    }
  }

  /// The helper, which changes nothing but its result.
  private mutating func callHelperKeeping() { callHelper() }
}
#endif

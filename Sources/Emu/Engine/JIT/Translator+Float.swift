#if arch(x86_64) && os(Linux)
// Floating point: the host's, with the host's flags. While compiled code runs MXCSR rounds to nearest
// and, once `Slot.floatLive` says so, collects the exceptions; whoever looks at the guest's state finds
// them in `Slot.fpFlags`, because every way out of compiled code adds them there (`Stubs`). Both sides round, underflow (after rounding)
// and overflow alike, so only NaN results are left: those the helper makes anew. An invalid operation
// has then raised the host's flag, which is the one that the helper raises.
extension Translator {
  private static let double: UInt8 = 0xf2
  private static let single: UInt8 = 0xf3

  /// A floating-point helper.
  mutating func float(_ float: NativeFloat, _ op: MicroOp) {
    guard options.nativeFloat, isNative(float, op) else { return callHelper() }
    let isDouble = float.isDouble
    switch float.operation {
    case .add: arithmetic(0x58, op, isDouble)
    case .sub: arithmetic(0x5c, op, isDouble)
    case .mul: arithmetic(0x59, op, isDouble)
    case .div: arithmetic(0x5e, op, isDouble)
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

  /// Makes sure that the host collects exceptions.
  ///
  /// Where rounding is not to nearest, or to no direction at all, which is illegal even where nothing
  /// is rounded, the interpreter runs the rest of the block.
  mutating func prepare() {
    guard !floatLive else { return }
    asm.mi(7, Host.rbx, Stubs.slot(Slot.floatLive), imm: 0)
    cold(.collect, jump(Condition.equal))
    floatLive = true
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

  /// The register to make a result in: that of `d` where no operand lies there, else xmm0.
  private func resultRegister(_ d: UInt8, _ operands: UInt8...) -> UInt8 {
    let host = hostOf[Int(d)]
    guard host >= 16, host != Self.nowhere, !operands.contains(host - 16) else { return 0 }
    return host - 16
  }

  /// Takes the result unless it is a NaN.
  private mutating func finish(_ op: MicroOp, _ isDouble: Bool, in result: UInt8, _ jumps: [Jump]) {
    asm.rr0f(0x2e, result, result, w: false, prefix: isDouble ? 0x66 : 0)
    let odd = jump(Condition.parity)
    if result != 0 {
      noteWritten(op.d, result + 16)
    } else {
      commit(op.d, isDouble)
    }
    cold(.helper, odd)
    for jump in jumps { cold(.helper, jump) }
  }

  // MARK: Operations

  private mutating func arithmetic(_ code: UInt8, _ op: MicroOp, _ isDouble: Bool) {
    prepare()
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let b = operand(op.b, 1, isDouble, &jumps)
    // A single must be boxed, which is done on the way from xmm0.
    let to = isDouble && cache.features.fma ? resultRegister(op.d, a, b) : 0
    if cache.features.fma {
      asm.vex0f(code, to, a, b, prefix: isDouble ? 3 : 2)
    } else {
      copy(0, a)
      sse(code, 0, b, isDouble)
    }
    finish(op, isDouble, in: to, jumps)
  }

  private mutating func squareRoot(_ op: MicroOp, _ isDouble: Bool) {
    prepare()
    var jumps: [Jump] = []
    let a = operand(op.a, 1, isDouble, &jumps)
    sse(0x51, 0, a, isDouble)
    finish(op, isDouble, in: 0, jumps)
  }

  private mutating func multiplyAdd(_ code: UInt8, _ op: MicroOp, _ isDouble: Bool) {
    prepare()
    var jumps: [Jump] = []
    // The addend may be in memory: it is loaded to a register that the map does not use.
    let a = operand(op.a, 0, isDouble, &jumps)
    let b = operand(op.b, 1, isDouble, &jumps)
    let c = operand(op.c, Self.spare, isDouble, &jumps)
    copy(0, a)
    asm.vex38(code, 0, b, c, w: isDouble)
    finish(op, isDouble, in: 0, jumps)
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
    prepare()
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
    prepare()
    var jumps: [Jump] = []
    let a = operand(op.a, 0, isDouble, &jumps)
    let wide = operation != .toInt32
    if operation == .toUInt32 {
      // What does not fit must not be converted: it is invalid and not inexact.
      asm.rr0f(0x7e, a, Host.rax, w: isDouble, prefix: 0x66)
      asm.shift(5, Host.rax, isDouble ? 52 : 23, w: isDouble)
      asm.ri(7, Host.rax, isDouble ? 1023 + 32 : 127 + 32, w: false)
      jumps.append(jump(Condition.aboveOrEqual))
    }
    asm.rr0f(0x2c, Host.rax, a, w: wide, prefix: isDouble ? Self.double : Self.single)
    if operation != .toUInt32 {
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
    prepare()
    if toDouble {
      let a = operand(op.a, 1, false, &jumps)
      asm.rr0f(0x2e, a, a, w: false)
      jumps.append(jump(Condition.parity))
      asm.rr0f(0x57, 0, 0, w: false)
      sse(0x5a, 0, a, false)
      commit(op.d, true)
      for jump in jumps { cold(.helper, jump) }
    } else {
      let a = operand(op.a, 1, true, &jumps)
      asm.rr0f(0x57, 0, 0, w: false)
      sse(0x5a, 0, a, true)
      finish(op, false, in: 0, jumps)
    }
  }

  /// The helper, which changes nothing but its result.
  private mutating func callHelperKeeping() { callHelper() }
}
#endif

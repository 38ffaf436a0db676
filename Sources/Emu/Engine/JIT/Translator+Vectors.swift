#if arch(x86_64) && os(Linux)
// Vectors of 16 bytes of a guest that has the host's SSE: one host register for both slots. The second
// slot has no register; who touches it alone, or writes the first alone, does so in memory.
extension Translator {
  /// Whether a slot is the first of a vector's.
  @inline(__always)
  func isVector(_ slot: UInt8) -> Bool {
    natives.floatControl != nil
      && (slot >= 128 && slot < 192 && slot & 3 == 0 || slot == Slot.temp + 8)
  }

  /// Whether it is the second one.
  @inline(__always)
  func isUpper(_ slot: UInt8) -> Bool {
    natives.floatControl != nil
      && (slot >= 128 && slot < 192 && slot & 3 == 1 || slot == Slot.temp + 9)
  }

  private func isWithinFloats(_ host: UInt8) -> Bool { host >= 16 && host != Self.nowhere }

  // MARK: Halves

  /// Before a micro-op that reads or writes halves of vectors has them in memory.
  ///
  /// - Returns: a slot that must do without its register for this micro-op, and the register.
  mutating func putAside(_ op: MicroOp) -> (slot: UInt8, host: UInt8)? {
    guard natives.floatControl != nil else { return nil }
    let shape = shape(of: op)
    if shape.contains(.a), isUpper(op.a) { storeVectorOf(op.a - 1) }
    if shape.contains(.b), isUpper(op.b) { storeVectorOf(op.b - 1) }
    if op.op.storesD, isUpper(op.d) { storeVectorOf(op.d - 1) }
    guard shape.contains(.d), !op.op.storesD else { return nil }
    if isUpper(op.d) {
      let host = hostOf[Int(op.d - 1)]
      if isWithinFloats(host) { breakUp(host) }
      return nil
    }
    let host = hostOf[Int(op.d)]
    guard isVector(op.d), isWithinFloats(host), !writesWhole(op) else { return nil }
    breakUp(host)
    hostOf[Int(op.d)] = Self.nowhere
    return (op.d, host)
  }

  private mutating func storeVectorOf(_ slot: UInt8) {
    let host = hostOf[Int(slot)]
    guard isWithinFloats(host), loaded & dirty & 1 << UInt32(host) != 0 else { return }
    store(1 << UInt32(host))
    dirty &= ~(1 << UInt32(host))
  }

  private mutating func breakUp(_ host: UInt8) {
    let bit: UInt32 = 1 << UInt32(host)
    if loaded & dirty & bit != 0 { store(bit) }
    loaded &= ~bit
    dirty &= ~bit
  }

  /// Whether the host code of a micro-op knows what to do about the upper half of `d`.
  private func writesWhole(_ op: MicroOp) -> Bool {
    switch op.op {
    case .ldv, .movv: return true
    case .ins32: return isVector(op.a)
    case .mov: return isVector(op.a) || isZeroed(op.d)
    case .ld64, .ld32u, .ldx64, .ldx32u: return isZeroed(op.d) || isFresh(op.d)
    case .zext32: return isZeroed(op.d)
    case .helper:
      if case .vector? = natives[op.imm] { return true }
      return false
    default: return false
    }
  }

  /// Whether the next micro-op makes the upper half of `d` zero.
  func isZeroed(_ d: UInt8) -> Bool {
    guard at + 1 < opCount - 1 else { return false }
    let next = block.pointee.ops[at + 1]
    return next.op == .movi && next.imm == 0 && next.d == d + 1
      && next.gi == block.pointee.ops[at].gi
  }

  /// Whether `d` is a temporary that its instruction has not used yet: nobody has given its upper half
  /// a value.
  private func isFresh(_ d: UInt8) -> Bool {
    guard d == Slot.temp + 8 else { return false }
    var index = at
    while index > 0, block.pointee.ops[index - 1].gi == block.pointee.ops[at].gi {
      index -= 1
      let op = block.pointee.ops[index]
      let shape = shape(of: op)
      if shape == [] || shape.contains(.d) && (op.d == d || op.d == d + 1) { return false }
    }
    return true
  }

  // MARK: Moves

  /// Moves 16 bytes; 0f 10 or 28 as vectors come.
  private mutating func fillVector(_ register: UInt8, _ slot: UInt8) {
    let host = hostOf[Int(slot)]
    if isWithinFloats(host) {
      ensure(host)
      if host - 16 != register { asm.rr0f(0x28, register, host - 16, w: false) }
    } else {
      asm.rm0f(0x10, register, Host.rbx, Self.offset(slot), w: false)
    }
  }

  private mutating func writeVector(_ slot: UInt8, _ register: UInt8) {
    let host = hostOf[Int(slot)]
    if isWithinFloats(host) {
      if host - 16 != register { asm.rr0f(0x28, host - 16, register, w: false) }
      noteWritten(slot, host)
    } else {
      asm.rm0f(0x11, register, Host.rbx, Self.offset(slot), w: false)
    }
  }

  mutating func moveVector(_ op: MicroOp) {
    let from = hostOf[Int(op.a)]
    if isWithinFloats(from) {
      ensure(from)
      writeVector(op.d, from - 16)
    } else {
      let to = hostOf[Int(op.d)]
      let register = isWithinFloats(to) ? to - 16 : 0
      fillVector(register, op.a)
      writeVector(op.d, register)
    }
  }

  mutating func insertSingle(_ op: MicroOp) {
    fillVector(1, op.a)
    mergeLow(op.d, prefix: 0xf3)
  }

  /// The low part of `d` is that of xmm1.
  private mutating func mergeLow(_ d: UInt8, prefix: UInt8) {
    let host = hostOf[Int(d)]
    if isWithinFloats(host) {
      ensure(host)
      asm.rr0f(0x10, host - 16, 1, w: false, prefix: prefix)
      noteWritten(d, host)
    } else {
      asm.rm0f(0x11, 1, Host.rbx, Self.offset(d), w: false, prefix: prefix)
    }
  }

  /// A move of the low half between vectors, or from elsewhere with the upper half zeroed.
  ///
  /// - Returns: whether it was one.
  mutating func moveLow(_ op: MicroOp) -> Bool {
    guard isVector(op.d) else { return false }
    let host = hostOf[Int(op.d)]
    if isZeroed(op.d), isWithinFloats(host) {
      let from = hostOf[Int(op.a)]
      if isWithinFloats(from), op.op == .mov {
        ensure(from)
        // movq
        asm.rr0f(0x7e, host - 16, from - 16, w: false, prefix: 0xf3)
      } else {
        let value = read(op.a, else: Host.rax)
        asm.rr0f(0x6e, host - 16, value, w: op.op == .mov, prefix: 0x66)
      }
      noteWritten(op.d, host)
      at += 1
      return true
    }
    guard op.op == .mov, isVector(op.a) else { return false }
    fillVector(1, op.a)
    mergeLow(op.d, prefix: 0xf2)
    return true
  }

  // MARK: Operations

  func vectorShape(_ vector: NativeVector, _ op: MicroOp) -> Shape {
    guard options.nativeFloat, op.e & 1 == 0 else { return [] }
    if vector.form == .predicate, op.c > 7 { return [] }
    switch vector.form {
    case .vectors, .immediate, .predicate:
      return isVector(op.d) && isVector(op.a) && isVector(op.b) ? [.d, .a, .b] : []
    case .fromGeneral: return isVector(op.d) && isVector(op.a) ? [.d, .a, .b] : []
    case .toGeneral: return isVector(op.b) ? [.d, .b] : []
    case .compare: return isVector(op.a) && isVector(op.b) ? [.a, .b] : []
    }
  }

  mutating func vector(_ vector: NativeVector, _ op: MicroOp) {
    guard vectorShape(vector, op) != [] else { return callHelper() }
    if vector.isFloat { prepare() }
    switch vector.form {
    case .compare:
      // What is deferred so far is over.
      deferred = nil
      compareFloats(vector, op)
      deferred = block.pointee.ops + at
      hostFlagsAt = asm.p
    case .toGeneral:
      let to = target(op.d)
      let b = vectorOperand(op.b, 1)
      asm.rr0f(vector.opcode, to, b, w: op.e & 2 != 0, prefix: vector.prefix)
      write(op.d, to)
    case .fromGeneral:
      let b = read(op.b, else: Host.rax)
      let to = firstOperand(op)
      asm.rr0f(vector.opcode, to, b, w: op.e & 2 != 0, prefix: vector.prefix)
      writeVector(op.d, to)
    case .vectors where vector.isScalarArithmetic && !isWithinFloats(hostOf[Int(op.b)]):
      let to = firstOperand(op)
      asm.rm0f(
        vector.opcode, to, Host.rbx, Self.offset(op.b), w: false, prefix: vector.prefix)
      writeVector(op.d, to)
    case .vectors, .immediate, .predicate:
      let b = vectorOperand(op.b, 1)
      let to = firstOperand(op)
      asm.rr0f(vector.opcode, to, b, w: false, prefix: vector.prefix)
      if vector.form != .vectors { asm.byte(op.c) }
      writeVector(op.d, to)
    }
  }

  private mutating func vectorOperand(_ slot: UInt8, _ other: UInt8) -> UInt8 {
    let host = hostOf[Int(slot)]
    if isWithinFloats(host) {
      ensure(host)
      return host - 16
    }
    fillVector(other, slot)
    return other
  }

  /// The register in which `d` is to become what `a` is first: its own where nothing is lost by that.
  private mutating func firstOperand(_ op: MicroOp) -> UInt8 {
    let host = hostOf[Int(op.d)]
    if isWithinFloats(host), op.a == op.d {
      ensure(host)
      return host - 16
    }
    fillVector(0, op.a)
    return 0
  }

  /// Sets the host's flags.
  mutating func compareFloats(_ vector: NativeVector, _ op: MicroOp) {
    let a = vectorOperand(op.a, 0)
    let b = vectorOperand(op.b, 1)
    asm.rr0f(vector.opcode, a, b, w: false, prefix: vector.prefix)
  }

  // MARK: Checks

  mutating func check(_ check: NativeCheck, _ op: MicroOp) {
    switch check {
    case .aligned:
      asm.testImmediate(read(op.a, else: Host.rax), Int32(op.c))
      cold(.helper, jump(Condition.notEqual))
    case .canonical:
      if isCheckedByJump(at) { return }
      readInto(Host.rax, op.a)
      notCanonical(Host.rax)
      cold(.helper, jump(Condition.above))
    }
  }

  /// Condition "above" where the register's address is not canonical; the register is changed.
  mutating func notCanonical(_ register: HostRegister) {
    // Its upper bits, with the highest of the others added.
    asm.shift(7, register, 47)
    asm.ri(0, register, 1, w: false)
    asm.ri(7, register, 1, w: false)
  }
}
#endif

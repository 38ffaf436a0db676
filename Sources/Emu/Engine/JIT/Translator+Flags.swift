#if arch(x86_64) && os(Linux)
// Condition codes: memory is told of them late, or never. Behind a micro-op that sets them the
// translator knows which slots they follow from (``FlagForm``); a condition asks the host's own flags;
// a way out of line tells `Slot.flagSource` which micro-op it was, and the runtime does the rest
// (``StatusFlags/resolve(_:_:)``). Before a slot changes that they follow from, and where the block
// ends, they are stored.
extension Translator {
  static let flagA = UInt8(Slot.flagA)
  static let flagB = UInt8(Slot.flagB)

  static func isFlagSlot(_ slot: UInt8) -> Bool {
    slot >= UInt8(Slot.flagKind) && slot <= UInt8(Slot.flagB)
  }

  /// The micro-op whose condition codes memory does not know.
  private var source: MicroOp? { deferred?.pointee }

  private func compares(_ op: MicroOp) -> NativeVector? {
    guard op.op == .helper, case .vector(let vector)? = natives[op.imm], vector.form == .compare
    else { return nil }
    return vector
  }

  func form(_ op: MicroOp) -> FlagForm? {
    compares(op) != nil ? .floats : FlagForm(op)
  }

  /// Whether what is deferred follows from a slot.
  private func needs(_ slot: UInt8) -> Bool {
    guard let op = source, let form = form(op) else { return false }
    return form.slots(op).contains(slot)
  }

  // MARK: Before a micro-op

  /// Stores the condition codes if the micro-op about to be translated must find them in memory.
  mutating func prepareFlags(_ op: MicroOp) {
    guard deferred != nil else { return }
    if FlagForm(op) != nil {
      // Carry passes through these.
      if op.op == .cinc || op.op == .cdec { storeFlags() }
      return
    }
    if op.op == .setFlags {
      deferred = nil
      return
    }
    let shape = shape(of: op)
    if at == opCount - 1 {
      // Ways within a loop see to it themselves.
      if flagCondition(op) == nil, readsFlags(op) || !isLoop || !op.op.isDirect || op.op == .call {
        storeFlags()
      }
      return
    }
    if Self.isFlagSlot(op.a) && (shape.contains(.a) || shape == [])
      || Self.isFlagSlot(op.b) && (shape.contains(.b) || shape == []) || op.op == .setcc
    {
      // What it writes may be what they follow from.
      if flagCondition(op) == nil || shape.contains(.d) && needs(op.d) { storeFlags() }
      return
    }
    if shape == [] {
      storeFlags()
    } else if shape.contains(.d), needs(op.d) {
      dropFlags()
    }
  }

  private func readsFlags(_ op: MicroOp) -> Bool {
    op.op == .bcc || op.op != .goto && (Self.isFlagSlot(op.a) || Self.isFlagSlot(op.b))
  }

  /// What is deferred can't be told any more: memory gets it unless nobody will ask.
  private mutating func dropFlags() {
    // Before this micro-op, not behind it: it may fault.
    if scratch.flagsLive[at] { storeFlags() } else { deferred = nil }
  }

  /// Finds before which micro-ops of the block somebody may still ask for the condition codes: those
  /// that can fault or call somebody, or end the block.
  mutating func findLiveFlags() {
    scratch.flagsLive.removeAll(keepingCapacity: true)
    scratch.flagsLive.append(contentsOf: repeatElement(true, count: opCount + 1))
    guard opCount > 1 else { return }
    var live = true
    for index in (0..<opCount - 1).reversed() {
      let op = block.pointee.ops[index]
      if FlagForm(op) != nil {
        live = op.op == .cinc || op.op == .cdec
      } else if !isQuiet(op) {
        live = true
      }
      scratch.flagsLive[index] = live
    }
  }

  /// Whether a micro-op that sets no condition codes can't fault and does not ask for them.
  func isQuiet(_ op: MicroOp) -> Bool {
    let shape = shape(of: op)
    return shape != [] && op.op.hostAccess == nil && op.op != .helper && op.op != .setcc
      && op.op != .fadd64 && op.op != .fsub64 && op.op != .fmul64
      && !(shape.contains(.a) && Self.isFlagSlot(op.a))
      && !(shape.contains(.b) && Self.isFlagSlot(op.b))
  }

  // MARK: Setting them

  /// A micro-op that sets condition codes.
  mutating func settingFlags(_ op: MicroOp, _ form: FlagForm) {
    let size = FlagForm.size(op)
    switch op.op {
    case .ccmp, .ccmpi, .ctest, .ctesti:
      deferred = block.pointee.ops + at
      // No code says it yet.
      hostFlagsAt = nil
    default:
      if form == .lost {
        storeOperands(op)
        storeConstant(UInt8(Slot.flagKind), Int32(op.c))
      }
      arithmetic(op, size)
      deferred = form == .lost ? nil : block.pointee.ops + at
    }
  }

  private mutating func arithmetic(_ op: MicroOp, _ size: UInt8) {
    switch op.op {
    case .cadd: binary(op, Alu.add, size, commutes: true)
    case .csub: binary(op, Alu.sub, size)
    case .cand: binary(op, Alu.and, size, commutes: true)
    case .cor: binary(op, Alu.or, size, commutes: true)
    case .cxor: binary(op, Alu.xor, size, commutes: true)
    case .caddi: immediate(op, 0, size)
    case .csubi: immediate(op, 5, size)
    case .candi: immediate(op, 4, size)
    case .cori: immediate(op, 1, size)
    case .cxori: immediate(op, 6, size)
    case .cinc, .cdec:
      let to = target(op.d)
      readInto(to, op.a)
      asm.ri(op.op == .cinc ? 0 : 5, to, 1, w: size == 8)
      finish(op, to, size)
    case .cmul:
      var (a, b) = (op.a, op.b)
      if b == op.d { swap(&a, &b) }
      let to = target(op.d)
      readInto(to, a)
      asm.rr0f(
        0xaf, to, read(b, else: Host.rdx), w: size == 8, prefix: size == 2 ? 0x66 : 0)
      // seto
      asm.rm0f(0x90, 0, Host.rbx, Stubs.slot(Slot.flagOperand), w: false)
      if size < 4 { asm.zeroExtend(to, to, size) }
      write(op.d, to)
    default: shiftByConstant(op, size)
    }
  }

  private mutating func binary(
    _ op: MicroOp, _ code: UInt8, _ size: UInt8, commutes: Bool = false
  ) {
    var to = target(op.d)
    var (a, b) = (op.a, op.b)
    if to != Host.rax, b == op.d, a != op.d {
      if commutes { swap(&a, &b) } else { to = Host.rax }
    }
    readInto(to, a)
    alu(code, to, b, w: size == 8)
    finish(op, to, size)
  }

  private mutating func immediate(_ op: MicroOp, _ group: UInt8, _ size: UInt8) {
    let to = target(op.d)
    if size < 8 {
      readInto(to, op.a)
      asm.ri(group, to, Int32(truncatingIfNeeded: op.imm), w: false)
    } else if let imm = Int32(exactly: op.imm) {
      readInto(to, op.a)
      asm.ri(group, to, imm)
    } else {
      asm.constant(Host.rdx, op.imm)
      readInto(to, op.a)
      asm.rr(group << 3 | 3, to, Host.rdx)
    }
    finish(op, to, size)
  }

  private mutating func finish(_ op: MicroOp, _ to: HostRegister, _ size: UInt8) {
    // Of a temporary nobody reads more than the operand.
    if size < 4, op.d < UInt8(Slot.temp) || op.d >= UInt8(Slot.sink) {
      asm.zeroExtend(to, to, size)
    }
    write(op.d, to)
    if size >= 4 { hostFlagsAt = asm.p }
  }

  private mutating func shiftByConstant(_ op: MicroOp, _ size: UInt8) {
    let to = target(op.d)
    asm.store(read(op.a, else: Host.rax), Host.rbx, Stubs.slot(Slot.flagOperand))
    readInto(to, op.a)
    let group: UInt8 = op.op == .cshli ? 4 : op.op == .cshri ? 5 : 7
    if size < 4, group == 5 { asm.zeroExtend(to, to, size) }
    if size < 4, group == 7 { asm.signExtend(to, to, size) }
    asm.shift(group, to, op.e, w: size == 8)
    finish(op, to, size)
  }

  // MARK: Storing them

  /// Has memory know what is deferred.
  mutating func storeFlags() {
    guard let op = source, let form = form(op) else { return }
    let fresh = hostFlagsAt == asm.p
    let size = FlagForm.size(op)
    let shift = UInt8(64 - Int(size) * 8)
    var keeps = size == 8
    switch form {
    case .operands: storeOperands(op)
    case .test:
      readInto(Host.rax, op.a)
      if op.op == .ctest {
        alu(Alu.and, Host.rax, op.b)
      } else if let imm = Int32(exactly: op.imm) {
        asm.ri(4, Host.rax, imm)
      } else {
        asm.constant(Host.rdx, op.imm)
        asm.rr(Alu.and, Host.rax, Host.rdx)
      }
      storeFlag(Self.flagA, Host.rax, shift)
      storeConstant(Self.flagB, 0)
      keeps = false
    case .result:
      readInto(Host.rax, op.d)
      storeFlag(Self.flagA, Host.rax, shift)
      storeConstant(Self.flagB, 0)
    case .difference, .sum:
      keeps = lostFirst(op, form) && keeps
      storeFlag(Self.flagA, Host.rax, shift)
      storeSecond(op, shift)
    case .negated, .sumSecond:
      // The second operand was where the result is.
      if form == .negated {
        readInto(Host.rax, op.a)
        alu(Alu.sub, Host.rax, op.d)
      } else {
        readInto(Host.rax, op.d)
        alu(Alu.sub, Host.rax, op.a)
      }
      storeFlag(Self.flagB, Host.rax, shift)
      readInto(Host.rax, op.a)
      storeFlag(Self.flagA, Host.rax, shift)
      keeps = false
    case .count:
      storeCount(op, size, shift)
      keeps = false
    case .floats:
      _ = hostFlags(Condition.equal)
      asm.loadFlags()
      asm.highByte()
      asm.ri(4, Host.rax, 0x45, w: false)
      asm.store(Host.rax, Host.rbx, Self.offset(Self.flagA))
      storeConstant(Self.flagB, 0)
      storeConstant(UInt8(Slot.flagKind), 0)
      deferred = nil
      return
    case .product:
      readInto(Host.rax, op.d)
      storeFlag(Self.flagA, Host.rax, shift)
      asm.rm0f(0xb6, Host.rax, Host.rbx, Stubs.slot(Slot.flagOperand), w: false)
      asm.group3(3, Host.rax)
      asm.ri(4, Host.rax, Int32(StatusFlags.carry | StatusFlags.overflow), w: false)
      asm.store(Host.rax, Host.rbx, Self.offset(Self.flagB))
      keeps = false
    case .shift where size >= 4:
      storeShift(op, size, shift)
      keeps = false
    case .shift, .lost:
      store(dirty)
      if let deferred { resolve(deferred) }
      forgetRegisters()
      deferred = nil
      return
    }
    storeConstant(UInt8(Slot.flagKind), Int32(op.c))
    deferred = nil
    if fresh, keeps { hostFlagsAt = asm.p }
  }

  /// The runtime has memory know the condition codes of a micro-op; all slots are in memory.
  mutating func resolve(_ source: UnsafeMutablePointer<MicroOp>) {
    asm.constantKeepingFlags(Host.rax, Int64(Int(bitPattern: source)))
    asm.store(Host.rax, Host.rbx, Stubs.slot(Slot.flagSource))
    asm.call(cache.writable + cache.stubs.resolve)
  }

  private mutating func storeConstant(_ slot: UInt8, _ value: Int32) {
    asm.storeImmediate(Host.rbx, Self.offset(slot), value)
  }

  /// Stores a register, which is lost, at the top of a word.
  private mutating func storeFlag(_ slot: UInt8, _ register: HostRegister, _ shift: UInt8) {
    if shift != 0 { asm.shift(4, register, shift) }
    asm.store(register, Host.rbx, Self.offset(slot))
  }

  private mutating func storeSecond(_ op: MicroOp, _ shift: UInt8) {
    if FlagForm.isImmediate(op) {
      let value = op.imm << Int64(shift)
      if let short = Int32(exactly: value) {
        storeConstant(Self.flagB, short)
      } else {
        asm.constantKeepingFlags(Host.rax, value)
        asm.store(Host.rax, Host.rbx, Self.offset(Self.flagB))
      }
    } else if shift == 0 {
      asm.store(read(op.b, else: Host.rax), Host.rbx, Self.offset(Self.flagB))
    } else {
      readInto(Host.rax, op.b)
      storeFlag(Self.flagB, Host.rax, shift)
    }
  }

  /// Stores both operands, which are still there.
  private mutating func storeOperands(_ op: MicroOp) {
    let shift = UInt8(64 - Int(FlagForm.size(op)) * 8)
    if shift == 0 {
      asm.store(read(op.a, else: Host.rax), Host.rbx, Self.offset(Self.flagA))
    } else {
      readInto(Host.rax, op.a)
      storeFlag(Self.flagA, Host.rax, shift)
    }
    storeSecond(op, shift)
  }

  /// rax = the first operand, where the result is now.
  ///
  /// - Returns: whether the host's flags are what they were.
  private mutating func lostFirst(_ op: MicroOp, _ form: FlagForm) -> Bool {
    let adds = form == .difference
    if FlagForm.isImmediate(op) {
      let imm = adds ? op.imm : 0 &- op.imm
      if let short = Int32(exactly: imm) {
        asm.lea(Host.rax, read(op.d, else: Host.rax), short)
        return true
      }
      asm.constant(Host.rdx, imm)
      readInto(Host.rax, op.d)
      asm.rr(Alu.add, Host.rax, Host.rdx)
      return false
    }
    readInto(Host.rax, op.d)
    alu(adds ? Alu.add : Alu.sub, Host.rax, op.b)
    return false
  }

  private mutating func storeCount(_ op: MicroOp, _ size: UInt8, _ shift: UInt8) {
    asm.call(cache.writable + cache.stubs.carry)
    asm.rr(Alu.mov, Host.rcx, Host.rax, w: false)
    recount(op, size)
    asm.set(0, Host.rdx)
    asm.loadFlags()
    asm.highByte()
    asm.ri(4, Host.rax, Int32(StatusFlags.auxiliary), w: false)
    asm.rr(Alu.or, Host.rcx, Host.rax, w: false)
    asm.rr0f(0xb6, Host.rdx, Host.rdx, w: false)
    asm.shift(4, Host.rdx, 11, w: false)
    asm.rr(Alu.or, Host.rcx, Host.rdx, w: false)
    asm.store(Host.rcx, Host.rbx, Self.offset(Self.flagB))
    readInto(Host.rax, op.d)
    storeFlag(Self.flagA, Host.rax, shift)
  }

  /// Shifts once more for the carry.
  ///
  /// - SeeAlso: ``StatusFlags/shiftLeft(_:_:)``
  private mutating func storeShift(_ op: MicroOp, _ size: UInt8, _ shift: UInt8) {
    let wide = size == 8
    let top = size * 8 - 1
    let operand = Stubs.slot(Slot.flagOperand)
    asm.load(Host.rax, Host.rbx, operand, w: wide)
    asm.shift(op.op == .cshli ? 4 : op.op == .cshri ? 5 : 7, Host.rax, op.e, w: wide)
    asm.set(Condition.below, Host.rcx)
    asm.rr0f(0xb6, Host.rcx, Host.rcx, w: false)
    if op.op != .csari {
      // Overflow: the sign changed; of a shift to the right the sign before.
      if op.op == .cshri { asm.load(Host.rax, Host.rbx, operand, w: wide) }
      asm.shift(5, Host.rax, top, w: wide)
      if op.op == .cshli { asm.rr(Alu.xor, Host.rax, Host.rcx, w: false) }
      asm.shift(4, Host.rax, 11, w: false)
      asm.rr(Alu.or, Host.rcx, Host.rax, w: false)
    }
    asm.store(Host.rcx, Host.rbx, Self.offset(Self.flagB))
    readInto(Host.rax, op.d)
    storeFlag(Self.flagA, Host.rax, shift)
  }

  /// Adds or takes away one again, for the host's flags; changes rax.
  private mutating func recount(_ op: MicroOp, _ size: UInt8) {
    readInto(Host.rax, op.d)
    asm.sized(op.op == .cinc ? 5 : 0, Host.rax, imm: 1, size)
    asm.sized(op.op == .cinc ? 0 : 5, Host.rax, imm: 1, size)
  }

  // MARK: Asking for them

  /// The condition that a micro-op asks of what is deferred, if the host's flags can say it.
  func flagCondition(_ op: MicroOp) -> UInt8? {
    guard let source, let form = form(source) else { return nil }
    let condition: UInt8
    switch op.op {
    case .setcc, .bcc: condition = op.c & 15
    default:
      let first = op.a == Self.flagA
      if first && op.b == Self.flagB || op.a == Self.flagB && op.b == Self.flagA {
        guard form != .floats, source.c & 3 == FlagKind.subtract else { return nil }
        switch op.op {
        case .beq, .xor: condition = Condition.equal
        case .bne: condition = Condition.notEqual
        case .blt, .slt: condition = first ? Condition.less : Condition.greater
        case .bge: condition = first ? Condition.greaterOrEqual : Condition.lessOrEqual
        case .bltu, .sltu: condition = first ? Condition.below : Condition.above
        case .bgeu: condition = first ? Condition.aboveOrEqual : Condition.belowOrEqual
        default: return nil
        }
      } else if first, op.b == Slot.zero {
        // The result itself.
        guard
          form == .result || form == .test || form != .floats && source.c & 3 == FlagKind.result
            || form == .operands && FlagForm.isImmediate(source) && source.imm == 0
        else { return nil }
        switch op.op {
        case .beq: condition = Condition.equal
        case .bne: condition = Condition.notEqual
        case .blt, .slt: condition = Condition.sign
        case .bge: condition = Condition.notSign
        default: return nil
        }
      } else {
        return nil
      }
    }
    return form.answers(condition) ? condition : nil
  }

  /// Makes the host's flags those that are deferred, as far as a condition asks; changes scratch
  /// registers.
  ///
  /// - Returns: whether it could.
  mutating func hostFlags(_ condition: UInt8) -> Bool {
    guard let op = source, let form = form(op), form.answers(condition) else { return false }
    let size = FlagForm.size(op)
    if hostFlagsAt == asm.p { return true }
    let ofResult =
      condition & ~1 == Condition.equal || condition & ~1 == Condition.sign
      || condition & ~1 == Condition.parity
    switch form {
    case .operands: compareOperands(op, size)
    case .test:
      let a = read(op.a, else: Host.rax)
      if op.op == .ctest {
        asm.sized(0x85, a, read(op.b, else: Host.rdx), size)
      } else {
        asm.constant(Host.rdx, op.imm)
        asm.sized(0x85, a, Host.rdx, size)
      }
    case .floats:
      if let vector = compares(op) { compareFloats(vector, op) }
    case .difference, .negated, .sum, .sumSecond, .count, .shift, .product, .result:
      if ofResult || form == .result {
        let d = read(op.d, else: Host.rax)
        asm.sized(0x85, d, d, size)
      } else {
        redo(op, form, size)
      }
    case .lost: return false
    }
    return true
  }

  private mutating func compareOperands(_ op: MicroOp, _ size: UInt8) {
    if op.op == .cadd || op.op == .caddi {
      readInto(Host.rax, op.a)
      if op.op == .cadd {
        asm.sized(Alu.add, Host.rax, read(op.b, else: Host.rdx), size)
      } else if size < 8 || Int32(exactly: op.imm) != nil {
        asm.sized(0, Host.rax, imm: Int32(truncatingIfNeeded: op.imm), size)
      } else {
        asm.constant(Host.rdx, op.imm)
        asm.rr(Alu.add, Host.rax, Host.rdx)
      }
      return
    }
    let a = read(op.a, else: Host.rax)
    if !FlagForm.isImmediate(op) {
      asm.sized(Alu.cmp, a, read(op.b, else: Host.rdx), size)
    } else if size < 8 {
      asm.sized(7, a, imm: Int32(truncatingIfNeeded: op.imm), size)
    } else if let imm = Int32(exactly: op.imm) {
      if imm == 0 { asm.test(a, a) } else { asm.ri(7, a, imm) }
    } else {
      asm.constant(Host.rdx, op.imm)
      asm.rr(Alu.cmp, a, Host.rdx)
    }
  }

  /// Does an addition or subtraction again.
  private mutating func redo(_ op: MicroOp, _ form: FlagForm, _ size: UInt8) {
    switch form {
    case .difference, .sum:
      _ = lostFirst(op, form)
      if FlagForm.isImmediate(op) {
        if size < 8 || Int32(exactly: op.imm) != nil {
          asm.sized(form == .sum ? 0 : 7, Host.rax, imm: Int32(truncatingIfNeeded: op.imm), size)
        } else {
          asm.constant(Host.rdx, op.imm)
          asm.rr(form == .sum ? Alu.add : Alu.cmp, Host.rax, Host.rdx)
        }
      } else {
        asm.sized(
          form == .sum ? Alu.add : Alu.cmp, Host.rax, read(op.b, else: Host.rdx), size)
      }
    case .negated:
      readInto(Host.rcx, op.a)
      alu(Alu.sub, Host.rcx, op.d)
      asm.sized(Alu.cmp, read(op.a, else: Host.rax), Host.rcx, size)
    case .sumSecond:
      readInto(Host.rax, op.d)
      alu(Alu.sub, Host.rax, op.a)
      asm.sized(Alu.add, Host.rax, read(op.a, else: Host.rdx), size)
    default: recount(op, size)
    }
  }

  /// A condition as a value, or what follows from it at once: a conditional move.
  mutating func condition(_ op: MicroOp, _ condition: UInt8) {
    // Of an exclusive or only whether it is zero matters: it is not where the condition fails.
    let inverted = op.op == .xor
    var next = at + 1
    var widened: MicroOp?
    let ops = block.pointee.ops
    if next < opCount - 1, ops[next].op == .zext32, ops[next].d == ops[next].a {
      widened = ops[next]
      next += 1
    }
    let move = ops[next]
    if next < opCount - 1, move.op == .movnz || move.op == .movz, move.b == op.d,
      ops[next].gi == op.gi, widened == nil || widened?.d == move.d
    {
      at = next
      conditionalMove(
        move, inverted == (move.op == .movz) ? condition : condition ^ 1,
        widens: widened != nil)
      return
    }
    guard hostFlags(condition) else { return step() }
    let to = target(op.d)
    asm.set(inverted ? condition ^ 1 : condition, Host.rax)
    asm.rr0f(0xb6, to, Host.rax, w: false)
    write(op.d, to)
  }

  private mutating func conditionalMove(_ move: MicroOp, _ condition: UInt8, widens: Bool) {
    let source = deferred
    let changes = needs(move.d)
    if changes {
      if scratch.flagsLive[at + 1] { storeFlags() }
      deferred = source
    }
    _ = hostFlags(condition)
    if changes { deferred = nil }
    let from = read(move.a, else: Host.rdx)
    let mapped = hostOf[Int(move.d)]
    let to = mapped < 16 ? mapped : Host.rax
    if mapped < 16 { ensure(to) } else { readInto(to, move.d) }
    if widens { asm.rr(Alu.mov, to, to, w: false) }
    asm.rr0f(0x40 | condition, to, from)
    write(move.d, to)
  }
}
#endif

#if arch(x86_64) && os(Linux)
extension Translator {
  static let entryPC = Int32(MemoryLayout<JumpEntry>.offset(of: \JumpEntry.pc) ?? 0)
  static let entryTag = Int32(MemoryLayout<JumpEntry>.offset(of: \JumpEntry.tag) ?? 0)
  static let entryCode = Int32(MemoryLayout<JumpEntry>.offset(of: \JumpEntry.code) ?? 0)

  /// Where one of the block's ways leads.
  func wayTarget(fall: Bool) -> UInt64 {
    fall ? block.pointee.end : UInt64(bitPattern: block.pointee.ops[opCount - 1].imm)
  }

  /// Whether a way may be linked: what it leads to is mapped as this block is.
  func isWithinPage(fall: Bool) -> Bool {
    !options.chains
      || (wayTarget(fall: fall) ^ block.pointee.pc) & TLB.pageMask == 0
        && block.pointee.secondPA == Block.onePage
  }

  /// A jump to a known pc by way of the jump cache.
  mutating func jumpCached(_ target: UInt64) {
    let miss = cache.writable + cache.stubs.indirect
    let at = Int32(JumpEntry.index(target) * MemoryLayout<JumpEntry>.stride)
    asm.constant(Host.rax, Int64(bitPattern: target))
    asm.load(Host.rcx, Host.rbx, Stubs.slot(Slot.jumpCache))
    asm.load(Host.rdx, Host.rbx, Stubs.slot(Slot.jumpTag))
    asm.rm(Alu.cmp, Host.rax, Host.rcx, at + Self.entryPC)
    asm.jcc(Condition.notEqual, to: miss)
    asm.rm(Alu.cmp, Host.rdx, Host.rcx, at + Self.entryTag)
    asm.jcc(Condition.notEqual, to: miss)
    asm.indirect(4, Host.rcx, at + Self.entryCode)
  }

  /// The block of the unit that a way leads to.
  func inner(fall: Bool) -> UnsafeMutablePointer<Block>? {
    guard isLoop else { return nil }
    let target = wayTarget(fall: fall)
    for block in unit where block.pointee.pc == target { return block }
    return nil
  }

  /// The end of the block by one of its ways.
  mutating func way(fall: Bool) {
    if let inner = inner(fall: fall) {
      endFlags()
      loadAll()
      // The next block in line needs no jump; nothing of it is made yet.
      if inner.pointee.head == 0, isNext(inner), leadsStraight(to: inner) { return }
      edge(asm.jmp(), inner)
      return
    }
    endFlags()
    if !isLoop { store(dirtyAtEnd) }
    cold(.way(fall: fall), jump())
  }

  private func isNext(_ inner: UnsafeMutablePointer<Block>) -> Bool {
    for (index, one) in unit.enumerated() where one == block {
      return index + 1 < unit.count && unit[index + 1] == inner
    }
    return false
  }

  /// Has the host's flags say whether to branch, with all registers as the block's end wants them.
  ///
  /// - Returns: the condition.
  private mutating func compareForBranch(_ op: MicroOp) -> UInt8 {
    if let condition = flagCondition(op) {
      let source = deferred
      endFlags()
      let rest = deferred
      // What follows does not change the host's flags.
      let fresh = hostFlagsAt == asm.p
      if isLoop { loadAll() } else { store(dirtyAtEnd) }
      if fresh { hostFlagsAt = asm.p }
      deferred = source
      _ = hostFlags(condition)
      deferred = rest
      return condition
    }
    endFlags()
    if isLoop { loadAll() } else { store(dirtyAtEnd) }
    if op.b == Slot.zero {
      let a = read(op.a, else: Host.rax)
      asm.test(a, a)
    } else {
      alu(Alu.cmp, read(op.a, else: Host.rax), op.b)
    }
    switch op.op {
    case .beq: return Condition.equal
    case .bne: return Condition.notEqual
    case .blt: return Condition.less
    case .bge: return Condition.greaterOrEqual
    case .bltu: return Condition.below
    default: return Condition.aboveOrEqual
    }
  }

  mutating func branch(_ op: MicroOp) {
    let condition = compareForBranch(op)
    if let inner = inner(fall: false) {
      if inner.pointee.head == 0, isNext(inner), inner.pointee.pc != block.pointee.end,
        leadsStraight(to: inner)
      {
        // What is taken follows in line.
        if let other = self.inner(fall: true) {
          edge(asm.jcc(condition ^ 1), other)
        } else {
          cold(.way(fall: true), jump(condition ^ 1))
        }
        return
      }
      edge(asm.jcc(condition), inner)
    } else {
      cold(.way(fall: false), jump(condition))
    }
    if isLoop, inner(fall: true) != nil {
      way(fall: true)
    } else {
      cold(.way(fall: true), jump())
    }
  }

  /// A jump to a computed address, by way of the jump cache.
  mutating func computed(_ op: MicroOp) {
    readInto(Host.rax, op.a)
    if let imm = Int32(exactly: op.imm) {
      if imm != 0 { asm.ri(0, Host.rax, imm) }
    } else {
      asm.constant(Host.rdx, op.imm)
      asm.rr(Alu.add, Host.rax, Host.rdx)
    }
    if op.op != .jumpr { asm.ri(4, Host.rax, -2) }
    if op.op == .callr {
      asm.constant(Host.rcx, Int64(bitPattern: block.pointee.end))
      write(op.d, Host.rcx)
    }
    store(dirtyAtEnd)
    let miss = cache.writable + cache.stubs.indirect
    guard options.chains else {
      asm.jmp(to: miss)
      return
    }
    asm.jumpEntry(Stubs.slot(Slot.jumpCache), bmi2: cache.features.bmi2)
    asm.rm(Alu.cmp, Host.rax, Host.rcx, Self.entryPC)
    if at > 0, isCheckedByJump(at - 1) {
      cold(.target, jump(Condition.notEqual))
    } else {
      asm.jcc(Condition.notEqual, to: miss)
    }
    asm.load(Host.rdx, Host.rbx, Stubs.slot(Slot.jumpTag))
    asm.rm(Alu.cmp, Host.rdx, Host.rcx, Self.entryTag)
    asm.jcc(Condition.notEqual, to: miss)
    asm.indirect(4, Host.rcx, Self.entryCode)
  }

  /// Whether a micro-op checks that the address is canonical to which the next one jumps: what the jump
  /// cache has needs no check.
  func isCheckedByJump(_ index: Int) -> Bool {
    guard options.chains, index + 2 == opCount else { return false }
    let (check, jump) = (block.pointee.ops[index], block.pointee.ops[index + 1])
    guard check.op == .helper, case .check(.canonical)? = natives[check.imm] else { return false }
    return jump.op == .jumpr && jump.imm == 0 && jump.a == check.a
  }

  /// The jump cache does not have the target (rax): it is checked only now, and the check that fails
  /// is the interpreter's, with everything in memory as before it.
  mutating func targetMissed(_ cold: Cold) {
    asm.mov(Host.rcx, Host.rax)
    notCanonical(Host.rcx)
    asm.jcc(Condition.belowOrEqual, to: cache.writable + cache.stubs.indirect)
    asm.store(Host.rax, Host.rbx, Self.offset(block.pointee.ops[cold.op].a))
    opOffset(cold.op - 1)
    blockAddress(Host.rdx)
    asm.jmp(to: cache.writable + cache.stubs.rest)
  }
}

extension Assembler {
  /// rcx = the entry of the jump cache for the pc in rax; changes rdx and the flags.
  ///
  /// - SeeAlso: ``JumpEntry/index(_:)``
  mutating func jumpEntry(_ cache: Int32, bmi2: Bool) {
    let shift = UInt8(MemoryLayout<JumpEntry>.stride.trailingZeroBitCount)
    mov(Host.rcx, Host.rax)
    shiftedRight(Host.rdx, Host.rax, 12 - shift, bmi2: bmi2)
    self.shift(4, Host.rcx, shift - 1, w: false)
    rr(Alu.xor, Host.rcx, Host.rdx, w: false)
    ri(4, Host.rcx, Int32(JumpEntry.entries - 1) << Int32(shift), w: false)
    rm(Alu.add, Host.rcx, Host.rbx, cache)
  }
}
#endif

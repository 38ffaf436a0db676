#if arch(x86_64) && os(Linux)
/// What becomes of the floating-point exceptions that compiled code raises.
enum FloatAccrual {
  /// It does no floating point.
  case none
  /// They accrue in `Slot.fpFlags`.
  case flags
  /// They accrue in this slot, which is as MXCSR.
  case control(UInt8)
}

/// The pieces of host code that all blocks share, by offset in the cache.
///
/// While compiled code runs, rbx is the address of the slots plus ``bias``, r14 the TLB in use, r15
/// what is left of the budget; rax, rcx, rdx are scratch, all others hold slots as the block says.
struct Stubs {
  /// rbx points behind the first sixteen slots, so that the first thirty-two are a short
  /// displacement away.
  static let bias: Int32 = 128

  /// Bytes of stack for the distances of groups of accesses; keeps calls aligned.
  static let frame: Int32 = 8 + temps * 8
  static let temps: Int32 = 32

  static func slot(_ index: Int) -> Int32 { Int32(index * 8) - bias }

  /// (x, code, left) -> left: runs compiled code.
  private(set) var enter = 0
  /// Returns from `enter`.
  private(set) var leave = 0
  /// Does the micro-op at rdx + ecx on the slots; leaves the block where something is pending.
  private(set) var step = 0
  /// Calls the helper of the micro-op at rdx + ecx; leaves the block where something is pending.
  private(set) var helper = 0
  /// Calls the helper that ends the block, and goes on where pc is then.
  private(set) var helperExit = 0
  /// Makes the condition codes that `Slot.flagSource` sets known to memory.
  private(set) var resolve = 0
  /// eax = the carry flag as memory has it; changes rcx and rdx and nothing else.
  private(set) var carry = 0
  /// Runs the block rdx from its micro-op at rdx + ecx on, and leaves.
  private(set) var rest = 0
  /// Leaves by a way (rcx) that is not known yet.
  private(set) var follow = 0
  /// Leaves for the pc in rax.
  private(set) var indirect = 0
  /// Leaves before the block rcx, for which the budget is short.
  private(set) var budget = 0

  /// What `Slot.exit` says where it is no ``Block/Link``.
  static let exitToPC: UInt64 = .max
  /// With the address of a block: it did not fit in the budget.
  static let exitBudget: UInt64 = 2

  /// - Parameters:
  ///   - start: where they go.
  ///   - accrual: where floating-point exceptions go, which MXCSR collects.
  ///   - bmi2: the host has BMI2.
  /// - Returns: how many bytes they are.
  mutating func write(
    at start: UnsafeMutablePointer<UInt8>, accrual: FloatAccrual, bmi2: Bool
  ) -> Int {
    var asm = Assembler(p: start)
    func here() -> Int { (asm.p - start + 15) & ~15 }
    func begin() -> Int {
      while (asm.p - start) & 15 != 0 { asm.byte(0xcc) }
      return asm.p - start
    }
    let saved: [HostRegister] = [Host.rbx, Host.rbp, 12, 13, 14, 15]
    let slotsToFirst = -Self.bias

    // MXCSR without flags; and `fpFlags` by MXCSR's flags.
    asm.int32(0x1f80)
    let table = asm.p
    for flags in UInt8(0)..<64 { asm.byte(Self.guestFlags(flags)) }
    /// Adds what was collected to the guest's; changes rax, rcx and the flags.
    func deliver() {
      if case .none = accrual { return }
      asm.mi(7, Host.rbx, Self.slot(Slot.floatLive), imm: 0)
      let none = asm.jccShort(Condition.equal)
      asm.storeImmediate(Host.rbx, Self.slot(Slot.floatLive), 0)
      // Below the stack, where nobody else writes before the next call.
      asm.storeFloatState(Host.rsp, -8)
      asm.load(Host.rax, Host.rsp, -8, w: false)
      asm.ri(4, Host.rax, 63, w: false)
      if case .control(let slot) = accrual {
        asm.rm(0x09, Host.rax, Host.rbx, Self.slot(Int(slot)))
      } else {
        asm.rip(0x8d, Host.rcx, table)
        asm.rx0f(0xb6, Host.rax, Host.rcx, Host.rax, 0, w: false)
        asm.rm(0x09, Host.rax, Host.rbx, Self.slot(Slot.fpFlags))
      }
      asm.bindShort(none)
    }

    enter = begin()
    for register in saved { asm.push(register) }
    asm.ri(5, Host.rsp, Self.frame)
    asm.lea(Host.rbx, Host.rdi, Self.bias)
    asm.mov(Host.r15, Host.rdx)
    asm.load(Host.r14, Host.rbx, Self.slot(Slot.tlb))
    asm.indirect(4, Host.rsi)

    /// Leaves with MXCSR already delivered.
    let leaveQuietly = begin()
    let quietly = asm.jmp()
    leave = begin()
    deliver()
    asm.bind(quietly)
    asm.mov(Host.rax, Host.r15)
    asm.ri(0, Host.rsp, Self.frame)
    for register in saved.reversed() { asm.pop(register) }
    asm.ret()

    /// Makes `Hart.count` and `Hart.pc` exact: rsi = the micro-op, rdi = the slots.
    func spill() {
      asm.store(Host.r15, Host.rbx, Self.slot(Slot.left))
      asm.store(Host.rdx, Host.rbx, Self.slot(Slot.block))
      asm.rx(0x8d, Host.rsi, Host.rdx, Host.rcx, 0)
      asm.store(Host.rsi, Host.rbx, Self.slot(Slot.op))
      deliver()
      asm.lea(Host.rdi, Host.rbx, slotsToFirst)
    }
    func call(_ function: UnsafeRawPointer) {
      asm.constant(Host.rax, Int64(Int(bitPattern: function)))
      asm.indirect(2, Host.rax)
    }
    func leaveWithLeft() {
      asm.load(Host.r15, Host.rbx, Self.slot(Slot.left))
      asm.jmp(to: start + leaveQuietly)
    }

    step = begin()
    spill()
    asm.ri(5, Host.rsp, 8)
    call(JITRuntime.stepAddress)
    asm.ri(0, Host.rsp, 8)
    asm.test(Host.rax, Host.rax)
    let stepLeaves = asm.jcc(Condition.notEqual)
    asm.ret()

    helper = begin()
    spill()
    asm.ri(5, Host.rsp, 8)
    asm.indirect(2, Host.rsi, 8)
    asm.ri(0, Host.rsp, 8)
    asm.mi(7, Host.rbx, Self.slot(Slot.pending), imm: 0)
    let helperLeaves = asm.jcc(Condition.notEqual)
    asm.ret()

    helperExit = begin()
    spill()
    call(JITRuntime.helperExitAddress)
    let onward = asm.p
    asm.load(Host.r15, Host.rbx, Self.slot(Slot.left))
    asm.test(Host.rax, Host.rax)
    asm.jcc(Condition.equal, to: start + leaveQuietly)
    // Nothing is to be looked at: on through the jump cache, under what mode there is now.
    asm.load(Host.r14, Host.rbx, Self.slot(Slot.tlb))
    asm.load(Host.rax, Host.rbx, Self.slot(Slot.pc))
    asm.jumpEntry(Self.slot(Slot.jumpCache), bmi2: bmi2)
    asm.rm(Alu.cmp, Host.rax, Host.rcx, Translator.entryPC)
    let missed = asm.jcc(Condition.notEqual)
    asm.load(Host.rdx, Host.rbx, Self.slot(Slot.jumpTag))
    asm.rm(Alu.cmp, Host.rdx, Host.rcx, Translator.entryTag)
    let stale = asm.jcc(Condition.notEqual)
    asm.indirect(4, Host.rcx, Translator.entryCode)

    // The block is left in its middle: with what is pending done, on as from its end.
    for (site, function) in [
      (stepLeaves, JITRuntime.settleAddress), (helperLeaves, JITRuntime.pendingAddress),
    ] {
      Assembler.patch(site, to: start + begin())
      asm.ri(0, Host.rsp, 8)
      asm.lea(Host.rdi, Host.rbx, slotsToFirst)
      call(function)
      asm.jmp(to: onward)
    }

    resolve = begin()
    deliver()
    asm.lea(Host.rdi, Host.rbx, slotsToFirst)
    asm.ri(5, Host.rsp, 8)
    call(JITRuntime.resolveAddress)
    asm.ri(0, Host.rsp, 8)
    asm.ret()

    carry = begin()
    writeCarry(&asm)

    rest = begin()
    spill()
    call(JITRuntime.restAddress)
    leaveWithLeft()

    follow = begin()
    asm.store(Host.rcx, Host.rbx, Self.slot(Slot.exit))
    asm.jmp(to: start + leave)

    indirect = begin()
    asm.store(Host.rax, Host.rbx, Self.slot(Slot.pc))
    asm.storeImmediate(Host.rbx, Self.slot(Slot.exit), -1)
    asm.jmp(to: start + leave)

    Assembler.patch(missed, to: start + indirect)
    Assembler.patch(stale, to: start + indirect)

    budget = begin()
    asm.store(Host.rcx, Host.rbx, Self.slot(Slot.exit))
    asm.rm(
      Alu.add, Host.r15, Host.rcx,
      Int32(Self.countOffset) - Int32(Self.exitBudget))
    asm.jmp(to: start + leave)
    return here()
  }

  /// - SeeAlso: ``StatusFlags/carrySet(_:)``
  private func writeCarry(_ asm: inout Assembler) {
    asm.load(Host.rcx, Host.rbx, Self.slot(Slot.flagKind))
    asm.load(Host.rdx, Host.rbx, Self.slot(Slot.flagA))
    asm.ri(4, Host.rcx, 3, w: false)
    asm.ri(7, Host.rcx, Int32(FlagKind.subtract), w: false)
    let difference = asm.jccShort(Condition.equal)
    let result = asm.jccShort(Condition.above)
    asm.test(Host.rcx, Host.rcx, w: false)
    let packed = asm.jccShort(Condition.equal)
    asm.rm(Alu.add, Host.rdx, Host.rbx, Self.slot(Slot.flagB))
    asm.set(Condition.below, Host.rax)
    asm.rr0f(0xb6, Host.rax, Host.rax, w: false)
    asm.ret()
    asm.bindShort(difference)
    asm.rm(Alu.cmp, Host.rdx, Host.rbx, Self.slot(Slot.flagB))
    asm.set(Condition.below, Host.rax)
    asm.rr0f(0xb6, Host.rax, Host.rax, w: false)
    asm.ret()
    asm.bindShort(result)
    asm.load(Host.rdx, Host.rbx, Self.slot(Slot.flagB))
    asm.bindShort(packed)
    asm.rr(Alu.mov, Host.rax, Host.rdx, w: false)
    asm.ri(4, Host.rax, 1, w: false)
    asm.ret()
  }

  /// Where MXCSR's value without flags lies.
  static let floatState = 0

  /// ``FloatFlags`` by MXCSR's: invalid, denormal, division by zero, overflow, underflow, inexact.
  private static func guestFlags(_ host: UInt8) -> UInt8 {
    var flags: FloatFlags = []
    if host & 1 != 0 { flags.insert(.invalid) }
    if host & 4 != 0 { flags.insert(.divideByZero) }
    if host & 8 != 0 { flags.insert(.overflow) }
    if host & 16 != 0 { flags.insert(.underflow) }
    if host & 32 != 0 { flags.insert(.inexact) }
    return flags.rawValue
  }

  private static let countOffset = MemoryLayout<Block>.offset(of: \Block.count) ?? 0
}
#endif

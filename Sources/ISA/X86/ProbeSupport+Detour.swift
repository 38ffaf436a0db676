import Engine

// Copies that go back by themselves, and what a probe that is a jump is made of.

extension X86ProbeISA: DetourISA {
  /// E9 and a distance.
  public var jumpLength: Int { 5 }
  /// The template, instructions of nineteen bytes, and a jump.
  public var detourSize: Int { 128 }
  /// Here.
  public var detours: (any DetourISA)? { self }

  /// The copy and a jump to the instruction behind the original, where both fit.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `prepare_singlestep`
  public func boostedImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]? {
    let length = UInt64(insn.length)
    guard boosts, kernelStep == .breakBehind, insn.length + jumpLength <= maxInsnLength,
      let copy = detachedCopy(insn, from: va, to: slot),
      let back = jump(from: slot &+ length, to: va &+ length)
    else { return nil }
    return copy + back
  }

  /// What is relative to RIP is moved by its displacement.
  public func detachedCopy(_ insn: ProbedInsn, from va: UInt64, to place: UInt64) -> [UInt8]? {
    if case .refuse = insn.verdict { return nil }
    guard case .insn(let known) = Decoder.decode(insn.bytes),
      ProbedForm(known, insn.bytes).isBoostable
    else { return nil }
    return moved(insn, from: va, to: place)
  }

  /// A function with a computed jump is not looked into any further.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/opt.c`, `insn_jump_into_range`,
  ///   `__insn_is_indirect_jump`
  public func flow(_ bytes: [UInt8], at pc: UInt64) -> InsnFlow {
    guard case .insn(let insn) = Decoder.decode(bytes) else { return .anywhere }
    switch insn.op {
    case .jmp where insn.hasMemory || insn.rmIsRegister: return .anywhere
    case .jmp_far: return .anywhere
    case .jmp, .jcc, .loop, .loope, .loopne, .jrcxz:
      return .jump(pc &+ UInt64(insn.length) &+ UInt64(bitPattern: insn.imm))
    default: return .next
    }
  }

  /// JMP rel32.
  public func jump(from: UInt64, to: UInt64) -> [UInt8]? { relative(0xe9, from, to) }
  /// CALL rel32.
  public func call(from: UInt64, to: UInt64) -> [UInt8]? { relative(0xe8, from, to) }
  /// MOV rdi, imm64.
  public func setFirstArgument(_ value: UInt64) -> [UInt8] {
    [0x48, 0xbf] + (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  private func relative(_ opcode: UInt8, _ from: UInt64, _ to: UInt64) -> [UInt8]? {
    guard let distance = Int32(exactly: Int64(bitPattern: to &- from &- 5)) else { return nil }
    return [opcode] + (0..<4).map { UInt8(truncatingIfNeeded: distance >> Int32(8 * $0)) }
  }
}

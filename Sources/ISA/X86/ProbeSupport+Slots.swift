import Engine

// Copies of instructions: how they are changed, and what is put right behind them.

extension X86ProbeISA {
  // MARK: Images

  /// What is relative to RIP is moved by its displacement.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `__copy_instruction`, `prepare_singlestep`
  public func slotImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]? {
    guard let bytes = moved(insn, from: va, to: slot) else { return nil }
    return kernelStep == .breakBehind ? bytes + [Self.int3] : bytes
  }

  /// The bytes at another address; `nil` where that is too far from what is relative to RIP.
  func moved(_ insn: ProbedInsn, from va: UInt64, to place: UInt64) -> [UInt8]? {
    var bytes = insn.bytes
    if case .insn(let known) = Decoder.decode(bytes), ProbedForm(known, bytes).isRIPRelative {
      let moved = known.disp &+ Int64(bitPattern: va &- place)
      guard let disp = Int32(exactly: moved) else { return nil }
      bytes.put(disp, at: Int(known.dispOffset))
    }
    return bytes
  }

  /// What is relative to RIP becomes relative to a register; a call that is not simulated, because
  /// its push faults, goes nowhere.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `riprel_analyze`, `branch_setup_xol_ops`
  public func slotImage(_ insn: ProbedInsn) -> [UInt8] {
    var bytes = insn.bytes
    guard case .insn(let known) = Decoder.decode(bytes) else { return bytes }
    let plan = SlotPlan(rawValue: insn.plan)
    if plan.kind == .call, insn.verdict == .simulate {
      bytes.put(Int32(0), at: Int(known.immOffset))
    }
    guard let scratch = plan.scratch else { return bytes }
    let form = ProbedForm(known, bytes)
    // Behind C5 the base has no bit of its own, and none of the three needs one.
    if let rex = form.rex { bytes[rex] &= ~1 }
    if let vex = form.vex, bytes[vex] == 0xc4 { bytes[vex + 1] |= 0x20 }
    bytes[Int(known.dispOffset) - 1] = 0x80 | known.modRM & 0x38 | scratch
    return bytes
  }

  // MARK: Steps

  /// In the kernel interrupts are masked; where TF ends the copy it is set, and in a program the
  /// scratch register has what RIP would be.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `setup_singlestep`;
  ///   `arch/x86/kernel/uprobes.c`, `arch_uprobe_pre_xol`, `riprel_pre_xol`
  public func enterSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy
  ) -> SlotState {
    store(frame, PtRegs.rip, copy.slot)
    var flags = load(frame, PtRegs.flags)
    var state = SlotState(status: flags & (RFlags.trap | RFlags.interrupt))
    if copy.text == .kernel { flags &= ~RFlags.interrupt }
    if copy.text == .user || kernelStep == .singleStep { flags |= RFlags.trap }
    store(frame, PtRegs.flags, flags)
    if copy.text == .user, let scratch = SlotPlan(rawValue: copy.insn.plan).scratch {
      let offset = PtRegs.general[Int(scratch)]
      state.scratch = load(frame, offset)
      store(frame, offset, copy.va &+ UInt64(copy.insn.length))
    }
    return state
  }

  /// Deviation: a repeated string instruction goes on in its slot, unless the program single-steps; in
  /// Linux its probe is hit for each iteration.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `resume_singlestep`;
  ///   `arch/x86/kernel/uprobes.c`, `arch_uprobe_post_xol`, `default_post_xol_op`
  public func leaveSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState,
    _ memory: any ProbedMemory
  ) -> SlotExit {
    let plan = SlotPlan(rawValue: copy.insn.plan)
    let next = copy.va &+ UInt64(copy.insn.length)
    if copy.text == .kernel, kernelStep == .breakBehind {
      store(frame, PtRegs.rip, next)
      abandonSlot(frame, copy, state)
      return .done
    }
    let pc = load(frame, PtRegs.rip)
    switch plan.kind {
    case .relative, .flags:
      if plan.repeats, pc == copy.slot, copy.text == .kernel || state.status & RFlags.trap == 0 {
        return .unfinished
      }
      store(frame, PtRegs.rip, pc &+ copy.va &- copy.slot)
    case .absolute: break
    case .call:
      let sp = load(frame, PtRegs.rsp)
      // The simulation of a relative call has failed to push: the call begins anew.
      if copy.insn.isSimulated || !memory.correctMemory(sp, 8, next) {
        store(frame, PtRegs.rsp, sp &+ 8)
        store(frame, PtRegs.rip, copy.va)
      }
    }
    let loaded = load(frame, PtRegs.flags)
    abandonSlot(frame, copy, state)
    if plan.kind == .flags { store(frame, PtRegs.flags, loaded) }
    return copy.text == .user && state.status & RFlags.trap != 0 ? .stepped : .done
  }

  /// Puts TF, IF and the scratch register back.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `arch_uprobe_abort_xol`
  public func abandonSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState
  ) {
    var flags = load(frame, PtRegs.flags) & ~RFlags.trap | state.status & RFlags.trap
    if copy.text == .kernel { flags |= state.status & RFlags.interrupt }
    store(frame, PtRegs.flags, flags)
    if copy.text == .user, let scratch = SlotPlan(rawValue: copy.insn.plan).scratch {
      store(frame, PtRegs.general[Int(scratch)], state.scratch)
    }
  }

  /// Puts IF back.
  public func unmaskInterrupts(_ frame: UnsafeMutableRawPointer, _ state: SlotState) {
    store(frame, PtRegs.flags, load(frame, PtRegs.flags) | state.status & RFlags.interrupt)
  }
}

extension [UInt8] {
  fileprivate mutating func put(_ value: Int32, at offset: Int) {
    for byte in 0..<4 where offset + byte < count {
      self[offset + byte] = UInt8(truncatingIfNeeded: value >> Int32(8 * byte))
    }
  }
}

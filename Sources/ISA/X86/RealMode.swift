import Engine

/// Real mode: segments are paragraphs, and the interrupt table has far pointers.
///
/// - SeeAlso: Intel SDM volume 3, '8086 Emulation' ('Real-Address Mode').
extension X64 {
  /// Loads a segment register: limit and rights stay as protected mode, or the start, has left them.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Switching Back to Real-Address Mode'.
  func loadReal(_ register: Int, _ selector: UInt64, _ hart: Hart) {
    let x = hart.x
    var segment = Segment(register, of: x)
    segment.selector = selector & 0xffff
    segment.base = segment.selector << 4
    // One that could not be used can.
    if !segment.isPresent {
      segment.rights = 0x93
      segment.limit = 0xffff
    }
    segment.put(register, x)
    Self.updateMode(hart)
  }

  /// Goes through the interrupt table: flags, CS and IP are pushed, never an error code.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Interrupt and Exception Handling' (of '8086 Emulation').
  func attemptReal(_ event: Event, _ hart: Hart) throws(Fault) {
    let x = hart.x
    guard event.vector << 2 | 3 <= x[SystemSlot.idtLimit] else { throw .protection }
    let gate = try load(x[SystemSlot.idtBase] &+ event.vector << 2, 4, hart)
    var frame = StackFrame(x)
    defer { Self.updateMode(hart) }
    for word in [
      RFlags.read(x), x[SystemSlot.selectors + SegmentRegister.cs], Self.savedPC(x),
    ] {
      try frame.push(word, 2, self, hart)
    }
    let target = gate & 0xffff
    guard Segment(SegmentRegister.cs, of: x).holds(target, 1) else { throw .protection }
    frame.commit(x)
    let from = x[Slot.pc]
    loadReal(SegmentRegister.cs, gate >> 16, hart)
    x[Slot.pc] = from
    enterHandler(
      event, 0xe, Self.codeAddress(target, in: Segment(SegmentRegister.cs, of: x), x), nil,
      x[SystemSlot.privilege], hart)
    x[Registers.otherFlags] &= ~RFlags.alignment
  }

  /// IRET in real mode.
  func returnFromInterruptReal(size: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    var frame = StackFrame(x)
    let target = try frame.pop(size, self, hart)
    let selector = try frame.pop(size, self, hart)
    let flags = try frame.pop(size, self, hart)
    guard Segment(SegmentRegister.cs, of: x).holds(target, 1) else { throw .protection }
    frame.commit(x)
    loadReal(SegmentRegister.cs, selector, hart)
    restoreFlags(flags, size, hart)
    x[Slot.pc] = Self.codeAddress(target, in: Segment(SegmentRegister.cs, of: x), x)
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }

  /// Puts a hart where a processor is after INIT, but for its code segment.
  ///
  /// Registers and segments are those of real mode; model-specific registers, floating point and vectors
  /// stay.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Processor State After Reset' (table of 'IA-32 and Intel 64 Processor
  ///   States Following Power-up, Reset, or INIT').
  func enterReal(_ hart: Hart, selector: UInt64, base: UInt64, offset: UInt64) {
    let x = hart.x
    for register in UInt8(0)..<16 { x[Registers.slot(register)] = 0 }
    // Family and model.
    x[Int(Lift.rdx)] = UInt64(CPUID.leaf(1, 0, features).0)
    RFlags.write(x, RFlags.fixed)
    for register in 0..<6 {
      Segment(selector: 0, rights: 0x93, base: 0, limit: 0xffff).put(register, x)
    }
    Segment(selector: selector, rights: 0x9b, base: base, limit: 0xffff).put(
      SegmentRegister.cs, x)
    x[SystemSlot.cr0] =
      x[SystemSlot.cr0] & (CR0.cacheDisable | CR0.notWriteThrough) | CR0.extensionType
    for slot in [
      SystemSlot.cr3, SystemSlot.cr4, SystemSlot.efer, SystemSlot.faultAddress,
      SystemSlot.gdtBase, SystemSlot.idtBase, SystemSlot.ldtSelector, SystemSlot.ldtBase,
      SystemSlot.taskSelector, SystemSlot.taskBase, SystemSlot.privilege, SystemSlot.shadow,
      SystemSlot.halted, SystemSlot.shutdown, SystemSlot.refusal, SystemSlot.debugHits,
      SystemSlot.watched, SystemSlot.branch, SystemSlot.noStep, SystemSlot.keepsResume,
      SystemSlot.nonMaskable, SystemSlot.blocked, SystemSlot.isNarrowTask, SystemSlot.debugModel,
    ] {
      x[slot] = 0
    }
    for slot in [
      SystemSlot.gdtLimit, SystemSlot.idtLimit, SystemSlot.ldtLimit, SystemSlot.taskLimit,
    ] {
      x[slot] = 0xffff
    }
    for number in 0..<4 { x[SystemSlot.debug + number] = 0 }
    x[SystemSlot.debugStatus] = DebugStatus.fixed
    x[SystemSlot.debugControl] = DebugControl.fixed
    x[Slot.pc] = base &+ offset
    flushTranslations(hart)
    Self.updateMode(hart)
  }
}

import Engine

/// Why interrupts, and perhaps debug traps, wait for the end of one more instruction.
///
/// - SeeAlso: Intel SDM volume 3, 'Masking Exceptions and Interrupts When Switching Stacks'.
enum Shadow {
  static let none: UInt64 = 0
  /// STI.
  static let interrupts: UInt64 = 1
  /// MOV SS: debug traps are lost too.
  static let stack: UInt64 = 2
}

/// Bits of DR6.
enum DebugStatus {
  /// An access of a debug register while DR7.GD is set; a step.
  static let guarded: UInt64 = 1 << 13, step: UInt64 = 1 << 14
  /// A switch to a task that asks for it.
  static let task: UInt64 = 1 << 15
  /// What DR6 has after reset: bits that are always set.
  static let fixed: UInt64 = 0xffff_0ff0
}

/// An event to be delivered through the interrupt descriptor table.
struct Event {
  var vector: UInt64
  var code: UInt64 = 0
  /// Of an INT n, INT3 or INTO instruction.
  var isSoftware = false
  /// An exception, and not an interrupt or INT n.
  var isException = true
  /// The instruction begins anew: RF is saved as set.
  var isFault = true
  var address: UInt64 = 0
  /// Where INT n begins: a fault on the way through its gate is the instruction's.
  var restart: UInt64?

  /// - SeeAlso: Intel SDM volume 3, 'Error Code'.
  var hasCode: Bool { isException && (vector == 8 || (10...14).contains(vector) || vector == 17) }

  /// - SeeAlso: Intel SDM volume 3, 'Double Fault Exception (#DF)'.
  var isContributory: Bool { isException && (vector == 0 || (10...13).contains(vector)) }
  var isPageFault: Bool { isException && vector == 14 }
  var isDoubleFault: Bool { isException && vector == 8 }
}

/// Taking and leaving traps: only what silicon does.
///
/// - SeeAlso: Intel SDM volume 3, 'Exception and Interrupt Handling in 64-Bit Mode'.
extension X64 {
  /// Delivers the pending exception.
  public func takeException(_ hart: Hart) {
    let x = hart.x
    if x[Slot.cause] == Self.restart {
      // It has not begun yet.
      x[Slot.exceptions] &-= 1
      x[Slot.count] &-= 1
      switch Pending(rawValue: x[Slot.tval]) {
      case .none?: x[SystemSlot.watched] = 1
      case .stop?: hart.requestStop()
      default: break
      }
      Self.updateMode(hart)
      return
    }
    let held = x[SystemSlot.debugHits]
    x[SystemSlot.debugHits] = 0
    x[SystemSlot.watched] = 0
    x[SystemSlot.branch] = 0
    let isTrap = x[SystemSlot.isTrap] != 0
    let start = x[Slot.pc]
    if isTrap { x[Slot.pc] = x[SystemSlot.trapPC] }
    x[SystemSlot.isTrap] = 0
    let vector = x[Slot.cause]
    let isSoftware = x[SystemSlot.isSoftware] != 0
    x[SystemSlot.isSoftware] = 0
    // INT1 has no cause in DR6.
    if vector == 1, !isSoftware { noteDebug(isTrap ? 0 : x[SystemSlot.debugCauses], hart) }
    // The instruction has cleared RF when it began.
    if isTrap { x[Registers.otherFlags] &= ~RFlags.resume }
    if Self.isMapped(x) {
      Self.updateMode(hart)
      reportException(hart)
      return
    }
    deliver(
      Event(
        vector: vector, code: x[SystemSlot.errorCode], isSoftware: isSoftware,
        isException: !isSoftware,
        isFault: !isTrap && !(vector == 1 && x[SystemSlot.isBreakpoint] != 0),
        address: x[Slot.tval], restart: isSoftware ? start : nil), hart)
    // Breakpoints of a load of SS have waited for INT n, and now are the handler's.
    if isSoftware, held != 0, x[SystemSlot.lastVector] == vector {
      x[SystemSlot.debugHits] = held
      _ = takeDebugTraps(hart)
    }
  }

  /// Delivers a trap that is no instruction's own: #DB.
  func deliverTrap(_ vector: UInt64, _ hart: Hart) {
    if Self.isMapped(hart.x) {
      Self.raise(hart.x, vector)
      reportException(hart)
    } else {
      deliver(Event(vector: vector, isFault: false), hart)
    }
  }

  /// Delivers an external interrupt.
  func deliver(interrupt vector: UInt64, _ hart: Hart) {
    deliver(Event(vector: vector, isException: false, isFault: false), hart)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Double Fault Exception (#DF)' and 'Machine-Check Exception
  ///   (#MC)'.
  private func deliver(_ first: Event, _ hart: Hart) {
    let x = hart.x
    x[SystemSlot.shadow] = Shadow.none
    x[SystemSlot.noStep] = 0
    x[SystemSlot.keepsResume] = 0
    x[SystemSlot.halted] = 0
    var event = first
    while true {
      if event.isPageFault { x[SystemSlot.faultAddress] = event.address }
      do throws(Fault) {
        try attempt(event, hart)
        return
      } catch {
        let failure = Event(vector: error.vector, code: error.code, address: error.address)
        if let restart = event.restart, !error.isInNewTask { x[Slot.pc] = restart }
        let serious = failure.isContributory || failure.isPageFault
        // The way to a handler of #MC leads through the same missing memory.
        if event.isDoubleFault || failure.vector == 18 {
          if failure.isPageFault { x[SystemSlot.faultAddress] = failure.address }
          return shutDown(hart)
        }
        let isDouble =
          event.isContributory && failure.isContributory || event.isPageFault && serious
        if isDouble, failure.isPageFault { x[SystemSlot.faultAddress] = failure.address }
        event = isDouble ? Event(vector: 8) : failure
      }
    }
  }

  /// - SeeAlso: Intel SDM volume 3, 'Shutdown Mode' (under 'Double Fault Exception (#DF)').
  func shutDown(_ hart: Hart) {
    hart.x[SystemSlot.shutdown] = 1
    hart.x[SystemSlot.halted] = 1
    Self.updateMode(hart)
    hart.requestStop()
  }

  /// Goes through the gate of an event.
  ///
  /// Nothing but memory is changed where it fails.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'INT n/INTO/INT3/INT1 - Call to Interrupt Procedure',
  ///   'Operation'; volume 3, '64-Bit Mode IDT', 'Interrupt Stack Table'.
  private func attempt(_ event: Event, _ hart: Hart) throws(Fault) {
    let x = hart.x
    if Self.isReal(x) { return try attemptReal(event, hart) }
    guard Self.isLong(x) else { return try attemptLegacy(event, hart) }
    let external: UInt64 = event.isSoftware ? 0 : 1
    let privilege = x[SystemSlot.privilege]
    let inTable = Fault(vector: 13, code: event.vector << 3 | 2 | external)
    guard event.vector << 4 | 15 <= x[SystemSlot.idtLimit] else { throw inTable }
    let at = x[SystemSlot.idtBase] &+ event.vector << 4
    let (low, high) = try implicitly(hart) { () throws(Fault) in
      (try load(at, 8, hart), try load(at &+ 8, 8, hart))
    }
    let kind = low >> 40 & 0x1f
    guard kind == 0xe || kind == 0xf else { throw inTable }
    if event.isSoftware, low >> 45 & 3 < privilege { throw inTable }
    guard low >> 47 & 1 == 1 else { throw Fault(vector: 11, code: inTable.code) }
    let selector = low >> 16 & 0xffff
    let target = low & 0xffff | (low >> 48) << 16 | (high & 0xffff_ffff) << 32

    guard selector & 0xfffc != 0 else { throw Fault(vector: 13, code: external) }
    let code = try descriptor(selector, external: external, hart)
    guard code.isCode, code.privilege <= privilege, code.isLong, !code.isDefault32 else {
      throw Fault(13, selector: selector, external: external)
    }
    guard code.isPresent else { throw Fault(11, selector: selector, external: external) }
    let after = code.isConforming ? privilege : code.privilege
    var sp = x[Int(Lift.rsp)]
    let table = low >> 32 & 7
    if table != 0 || after < privilege {
      sp = try taskPointer(
        table != 0 ? 28 &+ table << 3 : 4 &+ after << 3, external: external, hart)
    }
    guard Self.isCanonical(sp, x) else { throw Fault(vector: 12, code: external) }
    guard Self.isCanonical(target, x) else { throw Fault(vector: 13, code: external) }
    sp &= ~15
    let flags = RFlags.read(x)
    hart.setMode(
      mmuIndex: after == 3 ? MMUIndex.user : MMUIndex.supervisor,
      flags: x[Slot.translationFlags])
    x[SystemSlot.stackAccess] = 1
    defer {
      x[SystemSlot.stackAccess] = 0
      Self.updateMode(hart)
    }
    // One by one: an array is an allocation, at every hit of a probe.
    func push(_ word: UInt64) throws(Fault) {
      sp &-= 8
      try store(sp, 8, word, hart)
    }
    try push(x[SystemSlot.selectors + SegmentRegister.ss])
    try push(x[Int(Lift.rsp)])
    try push(event.isFault || isRepeating(x) ? flags | RFlags.resume : flags)
    try push(x[SystemSlot.selectors + SegmentRegister.cs])
    try push(Self.savedPC(x))
    if event.hasCode { try push(event.code) }
    try setCode(selector, code, privilege: after, hart)
    if after != privilege {
      Segment(selector: after, rights: 0, base: 0, limit: 0).put(SegmentRegister.ss, x)
    }
    enterHandler(event, kind, target, sp, after, hart)
  }

  /// A stack pointer of the task, of long mode.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Task Management in 64-bit Mode'.
  func taskPointer(
    _ offset: UInt64, external: UInt64, _ hart: Hart
  ) throws(Fault) -> UInt64 {
    let x = hart.x
    guard offset &+ 7 <= x[SystemSlot.taskLimit] else {
      throw Fault(10, selector: x[SystemSlot.taskSelector], external: external)
    }
    return try implicitly(hart) { () throws(Fault) in
      try load(x[SystemSlot.taskBase] &+ offset, 8, hart)
    }
  }

  /// The frame stands: the handler begins.
  func enterHandler(
    _ event: Event, _ kind: UInt64, _ target: UInt64, _ sp: UInt64?, _ privilege: UInt64,
    _ hart: Hart
  ) {
    let x = hart.x
    x[SystemSlot.privilege] = privilege
    if let sp { x[Int(Lift.rsp)] = sp }
    x[SystemSlot.lastVector] = event.vector
    x[SystemSlot.lastPC] = x[Slot.pc]
    x[Slot.pc] = target
    var cleared = RFlags.trap | RFlags.nested | RFlags.resume | RFlags.virtual
    if kind == 0xe { cleared |= RFlags.interrupt }
    x[Registers.otherFlags] &= ~cleared
  }

  /// IRET, of operands of `size` bytes.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'IRET/IRETD/IRETQ - Interrupt Return', 'Operation'.
  func returnFromInterrupt(size: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let privilege = x[SystemSlot.privilege]
    // Whatever becomes of it.
    if x[SystemSlot.blocked] != 0 {
      x[SystemSlot.blocked] = 0
      x[Slot.checkInterrupts] = 1
    }
    if Self.hasParagraphs(x) { return try returnFromInterruptReal(size: size, hart) }
    if x[Registers.otherFlags] & RFlags.nested != 0 {
      if Self.isLong(x) { throw .protection }
      let link = try implicitly(hart) { () throws(Fault) in
        try load(x[SystemSlot.taskBase], 2, hart)
      }
      return try switchTask(to: link, .back, flags: RFlags.read(x), hart)
    }
    if Self.isLegacy(x) { return try returnFromInterruptLegacy(size: size, hart) }
    let sp = x[Int(Lift.rsp)]
    x[SystemSlot.stackAccess] = 1
    defer { x[SystemSlot.stackAccess] = 0 }
    let target = try load(sp, size, hart)
    let selector = try load(sp &+ size, size, hart) & 0xffff
    let flags = try load(sp &+ size &* 2, size, hart)
    let newSP = try load(sp &+ size &* 3, size, hart)
    let stack = try load(sp &+ size &* 4, size, hart) & 0xffff
    let after = selector & 3
    let code = try returnCode(selector, hart)
    let newStack = try returnStack(stack, privilege: after, isOf32Bits: !code.isLong, hart)
    let isInCode =
      code.isLong
      ? Self.isCanonical(target, x) : Segment(selector, code).holds(target & 0xffff_ffff, 1)
    guard isInCode else { throw .protection }
    try setCode(selector, code, privilege: after, hart)
    newStack.put(SegmentRegister.ss, x)
    restoreFlags(flags, size, hart)
    x[SystemSlot.privilege] = after
    x[Int(Lift.rsp)] = newSP
    x[Slot.pc] = Self.codeAddress(target, in: Segment(selector, code), x)
    if after != privilege { dropSegments(x, privilege: after) }
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }

  /// Flags that an interrupt has saved.
  func restoreFlags(_ flags: UInt64, _ size: UInt64, _ hart: Hart) {
    let x = hart.x
    let writable = (RFlags.writable(x) | RFlags.resume) & mask(UInt8(size))
    // An instruction clears RF at its end, but this one.
    if x[Slot.single] & Self.resumed != 0 { x[SystemSlot.keepsResume] = 1 }
    RFlags.write(x, RFlags.read(x) & ~writable | flags & writable)
  }

  /// SYSCALL.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'SYSCALL - Fast System Call', 'Operation'.
  func enterSystem(_ hart: Hart) {
    let x = hart.x
    x[Int(Lift.rcx)] = x[Slot.pc]
    x[Int(Lift.rax) + 11] = RFlags.read(x) & ~RFlags.resume
    x[Slot.pc] = x[SystemSlot.lstar]
    RFlags.write(x, RFlags.read(x) & ~x[SystemSlot.flagMask])
    let selector = x[SystemSlot.star] >> 32 & 0xfffc
    Segment.flat(selector, rights: 0xa09b).put(SegmentRegister.cs, x)
    Segment.flat(selector &+ 8, rights: 0xc093).put(SegmentRegister.ss, x)
    x[SystemSlot.privilege] = 0
    // There is no trap after it where it clears TF.
    if x[Slot.single] & Self.stepped != 0, x[Registers.otherFlags] & RFlags.trap == 0 {
      x[SystemSlot.noStep] = 1
    }
    Self.updateMode(hart)
  }

  /// SYSRET.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'SYSRET - Return From Fast System Call', 'Operation'.
  func leaveSystem(_ hart: Hart) {
    let x = hart.x
    x[Slot.pc] = x[Int(Lift.rcx)]
    RFlags.write(x, x[Int(Lift.rax) + 11] & 0x3c_7fd7)
    let selector = x[SystemSlot.star] >> 48
    Segment.flat((selector &+ 16) & 0xffff | 3, rights: 0xa0fb).put(SegmentRegister.cs, x)
    Segment.flat((selector &+ 8) & 0xffff | 3, rights: 0xc0f3).put(SegmentRegister.ss, x)
    x[SystemSlot.privilege] = 3
    // A step that it restores ends before the first instruction.
    if x[Registers.otherFlags] & RFlags.trap != 0 {
      x[SystemSlot.debugHits] |= DebugStatus.step
    }
    x[Slot.checkInterrupts] = 1
    Self.updateMode(hart)
  }
}

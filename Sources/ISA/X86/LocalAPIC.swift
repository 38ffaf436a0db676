import Engine

/// The local APIC: one timer, interrupts from devices, and those that processors send each other
/// (``APICMessage``).
///
/// - SeeAlso: Intel SDM volume 3, 'Advanced Programmable Interrupt Controller (APIC)' and 'Extended
///   XAPIC (x2APIC)'.
enum APIC {
  /// Bits of IA32_APIC_BASE: bootstrap processor, x2APIC mode, enabled.
  static let bootstrap: UInt64 = 1 << 8, extended: UInt64 = 1 << 10, enabled: UInt64 = 1 << 11
  static let resetBase: UInt64 = 0xfee0_0000 | bootstrap
  /// A bit of local vector table entries.
  static let masked: UInt64 = 1 << 16
  /// In the spurious-interrupt vector register: the APIC delivers.
  static let softwareEnabled: UInt64 = 1 << 8
  /// Timer modes in bits 18:17 of the timer's entry.
  static let periodic: UInt64 = 1, deadline: UInt64 = 2
}

extension X64 {
  private func has(_ bit: UInt64, _ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.apicBase] & bit != 0
  }

  private func timerMode(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    x[SystemSlot.timerEntry] >> 17 & 3
  }

  func isDeadlineMode(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    has(APIC.enabled, x) && timerMode(x) == APIC.deadline
  }

  /// - SeeAlso: Intel SDM volume 3, 'x2APIC State Transitions'.
  func writeAPICBase(_ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    let modes = APIC.extended | APIC.enabled
    guard value & (Self.reservedAddress | 0x2ff) == 0 else { return false }
    let old = x[SystemSlot.apicBase] & modes
    let new = value & modes
    if new == APIC.extended { return false }
    // From x2APIC mode the way is through being disabled, and from there not straight back.
    if old == modes, new == APIC.enabled { return false }
    if old == 0, new == modes { return false }
    x[SystemSlot.apicBase] = value & ~APIC.bootstrap | x[SystemSlot.apicBase] & APIC.bootstrap
    return true
  }

  /// Reads an x2APIC register.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'x2APIC Register Address Space'.
  /// - Returns: `nil` for #GP.
  func readAPIC(_ number: UInt32, _ hart: Hart) -> UInt64? {
    guard has(APIC.extended, hart.x) else { return nil }
    return readRegister(number, hart)
  }

  /// Reads a register where it lies in memory; all ones where none does.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Local APIC Register Address Map'.
  public func readAPIC(at offset: UInt64, _ hart: Hart) -> UInt64 {
    guard isInMemory(hart.x), offset & 15 == 0 else { return 0xffff_ffff }
    guard Self.hasRegister(offset >> 4) else {
      noteError(APICError.register, hart)
      return 0
    }
    switch offset >> 4 {
    case 2: return UInt64(hart.index) << 24
    case 0xd: return hart.x[SystemSlot.logical]
    case 0xe: return hart.x[SystemSlot.format]
    case 0x30: return hart.x[SystemSlot.command] & 0xffff_ffff
    case 0x31: return hart.x[SystemSlot.command] >> 32
    default: return readRegister(0x800 | UInt32(truncatingIfNeeded: offset >> 4), hart) ?? 0
    }
  }

  /// Writes a register where it lies in memory.
  public func writeAPIC(at offset: UInt64, _ value: UInt64, _ hart: Hart) {
    guard isInMemory(hart.x), offset & 15 == 0 else { return }
    let x = hart.x
    let value = value & 0xffff_ffff
    guard Self.hasRegister(offset >> 4) else { return noteError(APICError.register, hart) }
    switch offset >> 4 {
    // Whatever is written.
    case 0xb: _ = writeRegister(0x80b, 0, hart)
    case 0x28: latchErrors(hart)
    case 0xd: x[SystemSlot.logical] = value & 0xff00_0000
    case 0xe: x[SystemSlot.format] = value | 0x0fff_ffff
    case 0x31: x[SystemSlot.command] = x[SystemSlot.command] & 0xffff_ffff | value << 32
    case 0x30:
      x[SystemSlot.command] = x[SystemSlot.command] & ~0xffff_ffff | value & ~(1 << 12)
      send(isWide: false, hart)
    default:
      _ = writeRegister(0x800 | UInt32(truncatingIfNeeded: offset >> 4), value, hart)
    }
  }

  private func isInMemory(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    has(APIC.enabled, x) && !has(APIC.extended, x)
  }

  private func readRegister(_ number: UInt32, _ hart: Hart) -> UInt64? {
    let x = hart.x
    switch number {
    case 0x802: return UInt64(hart.index)
    // Version 0x14, four entries in the local vector table and so the highest is 3.
    case 0x803: return 0x3_0014
    case 0x808: return x[SystemSlot.taskPriority]
    case 0x80a: return processorPriority(x)
    case 0x80d: return UInt64(hart.index >> 4) << 16 | 1 << UInt64(hart.index & 15)
    case 0x80f: return x[SystemSlot.spuriousVector]
    case 0x810...0x817: return word(SystemSlot.inService, number & 7, x)
    case 0x818...0x81f: return 0
    case 0x820...0x827: return word(SystemSlot.requests, number & 7, x)
    case 0x828: return x[SystemSlot.errorStatus]
    case 0x830: return x[SystemSlot.command]
    case 0x832: return x[SystemSlot.timerEntry]
    case 0x835, 0x836: return x[SystemSlot.pinEntries + Int(number - 0x835)]
    case 0x837: return x[SystemSlot.errorEntry]
    case 0x838: return x[SystemSlot.initialCount]
    case 0x839: return currentCount(hart)
    case 0x83e: return x[SystemSlot.divide]
    default: return nil
    }
  }

  private func word(
    _ slot: Int, _ index: UInt32, _ x: UnsafeMutablePointer<UInt64>
  ) -> UInt64 {
    x[slot + Int(index / 2)] >> UInt64(index & 1 == 0 ? 0 : 32) & 0xffff_ffff
  }

  /// Writes an x2APIC register.
  ///
  /// - Returns: `false` for #GP.
  func writeAPIC(_ number: UInt32, _ value: UInt64, _ hart: Hart) -> Bool {
    guard has(APIC.extended, hart.x) else { return false }
    return writeRegister(number, value, hart)
  }

  private func writeRegister(_ number: UInt32, _ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    switch number {
    case 0x808:
      guard value <= 0xff else { return false }
      x[SystemSlot.taskPriority] = value
      x[Slot.checkInterrupts] = 1
    case 0x80b:
      guard value == 0 else { return false }
      if let vector = highest(SystemSlot.inService, x) {
        x[SystemSlot.inService + Int(vector >> 6)] &= ~(1 << (vector & 63))
        onEndOfInterrupt?(vector)
      }
      x[Slot.checkInterrupts] = 1
    case 0x80f:
      guard value & ~0x1ff == 0 else { return false }
      x[SystemSlot.spuriousVector] = value
      // Switched off, all of the local vector table is masked.
      if value & APIC.softwareEnabled == 0 { maskVectorTable(x) }
    case 0x828:
      guard value == 0 else { return false }
      latchErrors(hart)
    case 0x830:
      guard value & 0xfff3_3000 == 0 else { return false }
      x[SystemSlot.command] = value
      send(isWide: true, hart)
    case 0x83f:
      guard value <= 0xff else { return false }
      if value < 16 { noteError(APICError.sentVector, hart) }
      interrupt(value, hart)
    case 0x832:
      guard value & ~0x7_00ff == 0, value >> 17 != 3 else { return false }
      let isEnabled = x[SystemSlot.spuriousVector] & APIC.softwareEnabled != 0
      // A change between the deadline mode and the others disarms.
      if (value >> 17 & 3 == APIC.deadline) != (timerMode(x) == APIC.deadline) {
        x[SystemSlot.deadline] = 0
      }
      x[SystemSlot.timerEntry] = value | (isEnabled ? 0 : APIC.masked)
      timerChanged(hart)
    case 0x835, 0x836:
      return writeVectorEntry(SystemSlot.pinEntries + Int(number - 0x835), value, hart)
    case 0x837: return writeVectorEntry(SystemSlot.errorEntry, value, hart)
    case 0x838:
      guard value >> 32 == 0 else { return false }
      x[SystemSlot.initialCount] = value
      guard timerMode(x) != APIC.deadline else { return true }
      x[SystemSlot.deadline] = value == 0 ? 0 : ticks(hart) &+ value &* divisor(x)
      timerChanged(hart)
    case 0x83e:
      guard value & ~0xb == 0 else { return false }
      x[SystemSlot.divide] = value
    default: return false
    }
    return true
  }

  private func divisor(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    let code = x[SystemSlot.divide] & 3 | x[SystemSlot.divide] >> 1 & 4
    return code == 7 ? 1 : 2 << code
  }

  private func currentCount(_ hart: Hart) -> UInt64 {
    let x = hart.x
    guard timerMode(x) != APIC.deadline, x[SystemSlot.deadline] != 0 else { return 0 }
    let now = ticks(hart)
    return x[SystemSlot.deadline] > now ? (x[SystemSlot.deadline] &- now) / divisor(x) : 0
  }

  // MARK: Interrupts

  private func highest(_ slot: Int, _ x: UnsafeMutablePointer<UInt64>) -> UInt64? {
    for index in (0..<4).reversed() where x[slot + index] != 0 {
      return UInt64(index * 64 + 63 - x[slot + index].leadingZeroBitCount)
    }
    return nil
  }

  /// - SeeAlso: Intel SDM volume 3, 'Task and Processor Priorities'.
  func processorPriority(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    let task = x[SystemSlot.taskPriority]
    let service = highest(SystemSlot.inService, x) ?? 0
    return task >> 4 >= service >> 4 ? task : service & 0xf0
  }

  /// The vector that could be delivered now, but for RFLAGS.IF.
  private func deliverable(_ x: UnsafeMutablePointer<UInt64>) -> UInt64? {
    guard let vector = highest(SystemSlot.requests, x), vector >> 4 > processorPriority(x) >> 4
    else { return nil }
    return vector
  }

  /// The priority below which nothing interrupts the hart.
  public func processorPriority(_ hart: Hart) -> UInt64 { processorPriority(hart.x) }

  /// Sends the hart an interrupt, as a device or another processor would.
  ///
  /// One of a vector below 16 is an error.
  public func interrupt(_ vector: UInt64, _ hart: Hart) {
    guard (16...255).contains(vector) else {
      return noteError(APICError.receivedVector, hart)
    }
    hart.x[SystemSlot.requests + Int(vector >> 6)] |= 1 << (vector & 63)
    hart.requestInterruptCheck()
  }

  /// Sends the hart a non-maskable interrupt; one may wait for the end of another.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Nonmaskable Interrupt (NMI)'.
  public func interruptNonMaskably(_ hart: Hart) {
    hart.x[SystemSlot.nonMaskable] = 1
    hart.requestInterruptCheck()
  }

  private func hasNonMaskable(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.nonMaskable] != 0 && x[SystemSlot.blocked] == 0
      && x[SystemSlot.shadow] == Shadow.none && x[SystemSlot.shutdown] == 0
  }

  private func isOpen(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[Registers.otherFlags] & RFlags.interrupt != 0 && x[SystemSlot.shadow] == Shadow.none
      && x[SystemSlot.shutdown] == 0
  }

  /// Enters the handler of the most urgent interrupt that can be taken; traps of the last instruction
  /// come before.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Prioritization of Concurrent Events'.
  public func takeInterrupt(_ hart: Hart) -> Bool {
    let x = hart.x
    if x[SystemSlot.startup] != 0 { return takeStartup(hart) }
    if x[SystemSlot.waitsForStart] != 0 { return false }
    if takeDebugTraps(hart) {
      x[Slot.checkInterrupts] = 1
      return true
    }
    if hasNonMaskable(x) {
      x[SystemSlot.nonMaskable] = 0
      x[SystemSlot.blocked] = 1
      x[Slot.checkInterrupts] = 1
      deliver(interrupt: 2, hart)
      return true
    }
    guard isOpen(x), let vector = deliverable(x) else { return false }
    x[SystemSlot.requests + Int(vector >> 6)] &= ~(1 << (vector & 63))
    x[SystemSlot.inService + Int(vector >> 6)] |= 1 << (vector & 63)
    deliver(interrupt: vector, hart)
    return true
  }

  /// Whether an interrupt is there that ends HLT.
  public func wakes(_ hart: Hart) -> Bool {
    let x = hart.x
    if x[SystemSlot.startup] != 0 {
      x[Slot.checkInterrupts] = 1
      return true
    }
    if x[SystemSlot.waitsForStart] != 0 { return false }
    guard isOpen(x) && deliverable(x) != nil || hasNonMaskable(x) else { return false }
    x[Slot.checkInterrupts] = 1
    return true
  }

  // MARK: The timer

  func timerChanged(_ hart: Hart) {
    updateTimer(hart)
    onTimerChange?()
  }

  /// Fires the timer where its time has come.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'APIC Timer' and 'TSC-Deadline Mode'.
  public func updateTimer(_ hart: Hart) {
    let x = hart.x
    let deadline = x[SystemSlot.deadline]
    guard deadline != 0, ticks(hart) >= deadline else { return }
    let period = x[SystemSlot.initialCount] &* divisor(x)
    x[SystemSlot.deadline] =
      timerMode(x) == APIC.periodic && period != 0 ? ticks(hart) &+ period : 0
    if x[SystemSlot.timerEntry] & APIC.masked == 0 {
      interrupt(x[SystemSlot.timerEntry] & 0xff, hart)
    }
  }

  /// The tick at which the timer fires, or `nil` where it is not in use.
  public func timerDeadline(_ hart: Hart) -> UInt64? {
    let deadline = hart.x[SystemSlot.deadline]
    return deadline == 0 ? nil : deadline
  }

  /// Sets the timer, as firmware could: 0 disarms it.
  public func setTimer(_ deadline: UInt64, _ hart: Hart) {
    hart.x[SystemSlot.deadline] = deadline
    updateTimer(hart)
  }

  /// Says how far the machine's ticks are ahead of this hart's count.
  public func setTimeOffset(_ offset: UInt64, _ hart: Hart) {
    hart.x[SystemSlot.timeOffset] = offset
  }
}

import Engine

/// RV64GC with Zicsr, Zifencei, Zba, Zbb, Zbs, Zicond, Sstc, machine, supervisor and user mode,
/// Sv39, Sv48 and physical memory protection: one hart's instruction set.
public final class RV64: GuestISA {
  /// Who reacts when a timer comparator changed: the machine, whose slices end at deadlines.
  public var onTimerChange: (() -> Void)?

  /// Translations as an architectural TLB holds them (``CacheModel/architectural``).
  var tlb = ArchitecturalTLB()
  /// Superpages that the hart's TLB holds parts of.
  var superpages = LargePages()
  /// Physical memory protection lets everybody do everything.
  var pmpAll = false

  /// How many TLBs a hart of this instruction set needs.
  public static let tlbCount = MMUIndex.count

  /// Whether it has compressed instructions (C).
  public let hasCompressed: Bool

  /// The instruction set of one hart.
  ///
  /// - Parameter compressed: whether it has C; without it 16-bit encodings are illegal, and jumps to
  ///   what is no multiple of four raise an exception (IALIGN = 32).
  public init(compressed: Bool = true) { hasCompressed = compressed }

  /// Puts a hart into its state after reset: machine mode, interrupts off, nothing cached or
  /// reserved, pc as given.
  public func reset(_ hart: Hart, pc: UInt64) {
    let x = hart.x
    x[SystemSlot.privilege] = 3
    x[SystemSlot.mstatus] = 0
    x[SystemSlot.mie] = 0
    x[SystemSlot.satp] = 0
    x[Slot.reservation] = .max
    tlb.removeAll()
    hart.synchronizeInstructionFetch()
    x[SystemSlot.mhartid] = UInt64(hart.index)
    x[SystemSlot.stimecmp] = .max
    x[Slot.pc] = pc
    pmpChanged(hart)
    updateMode(hart)
  }

  /// Puts a hart where firmware leaves it for a supervisor: supervisor mode, exceptions and
  /// supervisor interrupts delegated, counters and Sstc open, all memory granted.
  ///
  /// - SeeAlso: RISC-V Supervisor Binary Interface Specification, 'Hart State Management Extension'.
  public func enterSupervisor(_ hart: Hart, pc: UInt64, root: UInt64 = 0) {
    reset(hart, pc: pc)
    let x = hart.x
    x[SystemSlot.privilege] = 1
    x[SystemSlot.medeleg] = 0xb1ff
    x[SystemSlot.mideleg] = Interrupt.supervisor
    x[SystemSlot.mcounteren] = 0xffff_ffff
    x[SystemSlot.menvcfg] = 1 << 63
    grantAllMemory(hart)
    x[SystemSlot.satp] = root
    updateMode(hart)
  }

  func timerChanged(_ hart: Hart) {
    updateTimer(hart)
    onTimerChange?()
  }

  /// Drives STIP from the comparator (Sstc).
  ///
  /// - SeeAlso: RISC-V Privileged ISA Manual, '"Sstc" Extension for Supervisor-mode Timer
  ///   Interrupts'.
  public func updateTimer(_ hart: Hart) {
    let x = hart.x
    guard x[SystemSlot.menvcfg] >> 63 == 1 else {
      setLine(Interrupt.sti, false, hart)
      return
    }
    setLine(Interrupt.sti, ticks(hart) >= x[SystemSlot.stimecmp], hart)
  }

  /// The tick at which this hart's own comparator fires, or `nil` where it is not in use.
  public func timerDeadline(_ hart: Hart) -> UInt64? {
    let x = hart.x
    guard x[SystemSlot.menvcfg] >> 63 == 1, x[SystemSlot.lines] & Interrupt.sti == 0 else {
      return nil
    }
    return x[SystemSlot.stimecmp] == .max ? nil : x[SystemSlot.stimecmp]
  }

  /// Sets the hart's own comparator, as firmware does for a supervisor.
  public func setTimerCompare(_ time: UInt64, _ hart: Hart) {
    hart.x[SystemSlot.stimecmp] = time
    updateTimer(hart)
  }

  /// Says how far the machine's ticks are ahead of this hart's count.
  public func setTimeOffset(_ offset: UInt64, _ hart: Hart) {
    hart.x[SystemSlot.timeOffset] = offset
  }

  /// Raises or lowers an interrupt line; `line` is a bit of mip.
  public func setLine(_ line: UInt64, _ level: Bool, _ hart: Hart) {
    let before = hart.x[SystemSlot.lines]
    let after = level ? before | line : before & ~line
    guard before != after else { return }
    hart.x[SystemSlot.lines] = after
    hart.requestInterruptCheck()
  }

  /// Sets or clears bits of mip that software owns (SBI timers and IPIs).
  public func setPending(_ bits: UInt64, _ level: Bool, _ hart: Hart) {
    let before = hart.x[SystemSlot.mip]
    hart.x[SystemSlot.mip] = level ? before | bits : before & ~bits
    hart.requestInterruptCheck()
  }

  /// The privilege: 0 user, 1 supervisor, 3 machine.
  public func privilege(_ hart: Hart) -> UInt64 { hart.x[SystemSlot.privilege] }

  /// Cause and pc of the last trap that supervisor mode took.
  public func lastTrap(_ hart: Hart) -> (cause: UInt64, pc: UInt64) {
    (hart.x[SystemSlot.scause], hart.x[SystemSlot.sepc])
  }

  /// The MMU indices under which programs run, for ``Hart/observe(_:modes:)``.
  public static let userModes: UInt64 = 1 << MMUIndex.user

  /// Whether a trap's cause is an instruction that calls the environment.
  public func isEnvironmentCall(cause: UInt64) -> Bool { (8...11).contains(cause) }

  /// A system register by name, for tools; `nil` where there is none.
  public func register(_ name: String, _ hart: Hart) -> UInt64? {
    guard let row = SystemRegisters.table.first(where: { $0.name == name }) else { return nil }
    let privilege = hart.x[SystemSlot.privilege]
    defer { hart.x[SystemSlot.privilege] = privilege }
    hart.x[SystemSlot.privilege] = 3
    return readRegister(row.number, hart)
  }

  // MARK: Translation

  /// Whether physical memory protection lets all bytes of an access through.
  public func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool {
    let allowed = checkPMP(pa, size, access, accessPrivilege(access, hart), hart).allowed
    if !allowed { accessFault(va, access, for: hart) }
    return allowed
  }

  /// Lifts instructions into a block.
  public func translate(_ builder: BlockBuilder, for hart: Hart) {
    let flags = hart.x[Slot.translationFlags]
    while builder.canContinue {
      let low = builder.firstHalf()
      var bits = UInt32(low)
      if low & 3 == 3 {
        guard let high = builder.secondHalf() else { return }
        bits |= UInt32(high) << 16
      }
      builder.beginInsn()
      if let insn = Decoder.decode(bits), hasCompressed || insn.length == 4 {
        Lift(
          builder: builder, fpState: flags & TranslationFlag.fpState,
          isPrivileged: flags & TranslationFlag.privileged != 0, checksTargets: !hasCompressed
        ).lift(insn)
        builder.endInsn(length: UInt64(insn.length))
      } else {
        builder.end(helper: illegalInstruction)
        builder.endInsn(length: low & 3 == 3 ? 4 : 2)
      }
    }
  }

  /// The bits of the instruction being executed.
  func bits(_ hart: Hart) -> UInt64 {
    let pc = hart.pc
    let low = hart.insnHalf(pc)
    guard low & 3 == 3 else { return UInt64(low) }
    return UInt64(low) | UInt64(hart.insnHalf(pc &+ 2)) << 16
  }

  /// Raises an illegal-instruction exception for the instruction being executed.
  func raiseIllegal(_ hart: Hart) {
    let bits = bits(hart)
    hart.raise(2, bits)
  }

  /// The ISA object behind a helper's first argument.
  @inline(__always)
  static func of(_ x: UnsafeMutablePointer<UInt64>) -> Unmanaged<RV64> {
    guard let raw = UnsafeRawPointer(bitPattern: UInt(x[Slot.isaObject])) else {
      preconditionFailure("a hart's slots name its instruction set from its initialiser on")
    }
    return .fromOpaque(raw)
  }
}

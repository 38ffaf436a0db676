import Engine

/// State behind the slots that micro-ops reach.
enum SystemSlot {
  /// The error code of the exception in flight, and where a trap (not a fault) goes on.
  static let errorCode = Slot.system
  static let trapPC = Slot.system + 1
  /// CR2.
  static let faultAddress = Slot.system + 2
  /// Segment selectors ES CS SS DS FS GS.
  static let selectors = Slot.system + 3
  /// The exception in flight is a trap; a helper's access goes through the stack segment.
  static let isTrap = Slot.system + 9, stackAccess = Slot.system + 10
  /// CPL.
  static let privilege = Slot.system + 11
  static let cr0 = Slot.system + 12, cr3 = Slot.system + 13, cr4 = Slot.system + 14
  static let xcr0 = Slot.system + 15
  static let efer = Slot.system + 16, star = Slot.system + 17, lstar = Slot.system + 18
  static let cstar = Slot.system + 19, flagMask = Slot.system + 20
  static let kernelGSBase = Slot.system + 21, tscAux = Slot.system + 22
  /// What to add to `Hart.count` to get the time-stamp counter, which is the machine's ticks.
  static let timeOffset = Slot.system + 23
  static let apicBase = Slot.system + 24, pat = Slot.system + 25
  static let gdtBase = Slot.system + 26, gdtLimit = Slot.system + 27
  static let idtBase = Slot.system + 28, idtLimit = Slot.system + 29
  static let ldtSelector = Slot.system + 30, ldtBase = Slot.system + 31
  static let ldtLimit = Slot.system + 32
  static let taskSelector = Slot.system + 33, taskBase = Slot.system + 34
  static let taskLimit = Slot.system + 35
  /// DR0 to DR3, then DR6 and DR7.
  static let debug = Slot.system + 36, debugStatus = Slot.system + 40
  static let debugControl = Slot.system + 41
  /// Interrupts wait for the end of one more instruction: a ``Shadow``.
  static let shadow = Slot.system + 42
  /// The exception in flight is of an INT n instruction; TF makes no trap after this instruction.
  static let isSoftware = Slot.system + 51, noStep = Slot.system + 66
  /// HLT waits for an interrupt; the processor is shut down.
  static let halted = Slot.system + 43, shutdown = Slot.system + 44
  /// Access rights (bits 40 to 55 of the descriptor) of ES CS SS DS FS GS; zero of a null selector.
  static let rights = Slot.system + 45
  /// The local APIC: requests and interrupts in service, 256 bits each.
  static let requests = Slot.system + 52, inService = Slot.system + 56
  static let taskPriority = Slot.system + 60, spuriousVector = Slot.system + 61
  static let timerEntry = Slot.system + 62
  /// The counter value at which the timer fires; 0: never.
  static let deadline = Slot.system + 63
  static let initialCount = Slot.system + 64, divide = Slot.system + 65
  /// The last event that was delivered, and the pc that was saved for it.
  static let lastVector = Slot.system + 67, lastPC = Slot.system + 68
  /// RF was set by the instruction that is being executed, and so stays.
  static let keepsResume = Slot.system + 69
  /// Traps of DR6 that wait for the present instruction's end; what the next #DB is for.
  static let debugHits = Slot.system + 70, debugCauses = Slot.system + 71
  /// Why the last #DB came, as bits of DR6.
  static let lastDebug = Slot.system + 72
  /// IA32_DEBUGCTL.
  static let debugModel = Slot.system + 73
  /// The present instruction has begun anew because an access of it matches a breakpoint.
  static let watched = Slot.system + 74
  /// An access that the processor makes by itself.
  static let implicit = Slot.system + 75
  /// #DB is for a breakpoint at the instruction.
  static let isBreakpoint = Slot.system + 76
  /// The target of the branch that was executed while stepping from branch to branch.
  static let branch = Slot.system + 77
  /// One more than the number of instructions begun when a string instruction had iterations left.
  static let repeated = Slot.system + 78
  /// A non-maskable interrupt waits; they are blocked until IRET.
  static let nonMaskable = Slot.system + 79, blocked = Slot.system + 80
  /// Why the hart was stopped for good: a ``Refusal``.
  static let refusal = Slot.system + 81
  /// Limits of ES CS SS DS FS GS; bases of the first four.
  static let limits = Slot.system + 82, bases = Slot.system + 88
  /// The task is one of 16 bits.
  static let isNarrowTask = Slot.system + 92
  /// The local APIC: the last command, the logical destination, what that means.
  static let command = Slot.system + 93, logical = Slot.system + 94, format = Slot.system + 95
  /// What others have sent, bits of ``Startup``; the processor waits to be started.
  static let startup = Slot.system + 96, waitsForStart = Slot.system + 97
  /// The local APIC: its error status, and errors since that was written; the entries of errors and of
  /// two pins in the local vector table.
  static let errorStatus = Slot.system + 98, errors = Slot.system + 99
  static let errorEntry = Slot.system + 100, pinEntries = Slot.system + 101
}

/// Bits of CR0.
///
/// - SeeAlso: Intel SDM volume 3, 'Control Registers'.
enum CR0 {
  static let protection: UInt64 = 1 << 0
  static let monitor: UInt64 = 1 << 1
  static let emulation: UInt64 = 1 << 2
  static let taskSwitched: UInt64 = 1 << 3
  static let extensionType: UInt64 = 1 << 4
  static let numericError: UInt64 = 1 << 5
  static let writeProtect: UInt64 = 1 << 16
  static let alignment: UInt64 = 1 << 18
  static let notWriteThrough: UInt64 = 1 << 29
  static let cacheDisable: UInt64 = 1 << 30
  static let paging: UInt64 = 1 << 31
  static let writable: UInt64 =
    protection | monitor | emulation | taskSwitched | extensionType | numericError
    | writeProtect | alignment | notWriteThrough | cacheDisable | paging
}

/// Bits of CR4.
///
/// - SeeAlso: Intel SDM volume 3, 'Control Registers'.
enum CR4 {
  static let timeStampDisable: UInt64 = 1 << 2
  static let debugging: UInt64 = 1 << 3
  static let pageSize: UInt64 = 1 << 4
  static let physicalExtension: UInt64 = 1 << 5
  static let globalPages: UInt64 = 1 << 7
  static let counters: UInt64 = 1 << 8
  static let osFXSR: UInt64 = 1 << 9
  static let osExceptions: UInt64 = 1 << 10
  static let userPrevention: UInt64 = 1 << 11
  static let fiveLevels: UInt64 = 1 << 12
  static let segmentBases: UInt64 = 1 << 16
  static let contexts: UInt64 = 1 << 17
  static let osXSAVE: UInt64 = 1 << 18
  static let executionPrevention: UInt64 = 1 << 20
  static let accessPrevention: UInt64 = 1 << 21
  static let writable: UInt64 =
    timeStampDisable | debugging | pageSize | physicalExtension | globalPages | counters | osFXSR
    | osExceptions | userPrevention | fiveLevels | segmentBases | contexts | osXSAVE
    | executionPrevention | accessPrevention
  /// A change of one of these makes the TLB forget everything.
  static let flushing: UInt64 = globalPages | physicalExtension | contexts | executionPrevention
}

/// Bits of IA32_EFER.
///
/// - SeeAlso: Intel SDM volume 3, 'Extended Feature Enable Register'.
enum EFER {
  static let syscall: UInt64 = 1 << 0
  static let longMode: UInt64 = 1 << 8
  static let longModeActive: UInt64 = 1 << 10
  static let noExecute: UInt64 = 1 << 11
  static let writable: UInt64 = syscall | longMode | noExecute
}

/// How a model-specific register stores what is written to it.
enum MSRKind {
  /// Bits of one slot; a set bit outside of `mask` is #GP.
  case plain(Int, mask: UInt64)
  /// An address of one slot: #GP where it is not canonical.
  case address(Int)
  /// Anything with rules of its own, which ``X64/read(special:_:)`` and `write` know.
  case special
}

/// One row of the table of model-specific registers.
struct ModelRegister {
  let number: UInt32
  let name: String
  let kind: MSRKind
}

/// The model-specific registers of this hart.
///
/// - SeeAlso: Intel SDM volume 4, 'IA-32 Architectural MSRs'.
enum ModelRegisters {
  static let table: [ModelRegister] = [
    .init(number: 0x10, name: "IA32_TIME_STAMP_COUNTER", kind: .special),
    .init(number: 0x1b, name: "IA32_APIC_BASE", kind: .special),
    .init(number: 0x1d9, name: "IA32_DEBUGCTL", kind: .special),
    .init(number: 0x277, name: "IA32_PAT", kind: .special),
    .init(number: 0x6e0, name: "IA32_TSC_DEADLINE", kind: .special),
    .init(number: 0xc000_0080, name: "IA32_EFER", kind: .special),
    .init(
      number: 0xc000_0081, name: "IA32_STAR", kind: .plain(SystemSlot.star, mask: .max)),
    .init(number: 0xc000_0082, name: "IA32_LSTAR", kind: .address(SystemSlot.lstar)),
    .init(number: 0xc000_0083, name: "IA32_CSTAR", kind: .address(SystemSlot.cstar)),
    .init(
      number: 0xc000_0084, name: "IA32_FMASK",
      kind: .plain(SystemSlot.flagMask, mask: 0xffff_ffff)),
    .init(number: 0xc000_0100, name: "IA32_FS_BASE", kind: .address(Registers.fsBase)),
    .init(number: 0xc000_0101, name: "IA32_GS_BASE", kind: .address(Registers.gsBase)),
    .init(
      number: 0xc000_0102, name: "IA32_KERNEL_GS_BASE",
      kind: .address(SystemSlot.kernelGSBase)),
    .init(
      number: 0xc000_0103, name: "IA32_TSC_AUX",
      kind: .plain(SystemSlot.tscAux, mask: 0xffff_ffff)),
  ]

  static func find(_ number: UInt32) -> ModelRegister? { table.first { $0.number == number } }
}

extension X64 {
  /// Bits 63 to 46 of a physical address: reserved.
  static let reservedAddress: UInt64 = ~((1 << 46) - 1)

  /// Reads a model-specific register.
  ///
  /// - Returns: `nil` where there is none: #GP.
  func readModelRegister(_ number: UInt32, _ hart: Hart) -> UInt64? {
    if (0x800...0x8ff).contains(number) { return readAPIC(number, hart) }
    guard let row = ModelRegisters.find(number) else { return nil }
    switch row.kind {
    case .plain(let slot, _), .address(let slot): return hart.x[slot]
    case .special: return read(special: number, hart)
    }
  }

  /// Writes a model-specific register.
  ///
  /// - Returns: `false` where there is none, or where the value has reserved bits: #GP.
  func writeModelRegister(_ number: UInt32, _ value: UInt64, _ hart: Hart) -> Bool {
    if (0x800...0x8ff).contains(number) { return writeAPIC(number, value, hart) }
    guard let row = ModelRegisters.find(number) else { return false }
    switch row.kind {
    case .plain(let slot, let mask):
      guard value & ~mask == 0 else { return false }
      hart.x[slot] = value
    case .address(let slot):
      guard Self.isCanonical(value, hart.x) else { return false }
      hart.x[slot] = value
    case .special: return write(special: number, value, hart)
    }
    return true
  }

  /// The time-stamp counter, exact inside helpers.
  func ticks(_ hart: Hart) -> UInt64 { hart.count &+ hart.x[SystemSlot.timeOffset] }

  private func read(special number: UInt32, _ hart: Hart) -> UInt64 {
    let x = hart.x
    switch number {
    case 0x10: return ticks(hart)
    case 0x1b: return x[SystemSlot.apicBase]
    case 0x1d9: return x[SystemSlot.debugModel]
    case 0x277: return x[SystemSlot.pat]
    case 0x6e0: return isDeadlineMode(x) ? x[SystemSlot.deadline] : 0
    default: return x[SystemSlot.efer]
    }
  }

  private func write(special number: UInt32, _ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    switch number {
    case 0x10:
      x[SystemSlot.timeOffset] = value &- hart.count
      timerChanged(hart)
    case 0x1b: return writeAPICBase(value, hart)
    case 0x1d9:
      // There are no records of branches.
      guard value & ~DebugModel.branches == 0 else { return false }
      x[SystemSlot.debugModel] = value
      Self.updateMode(hart)
    case 0x277:
      // Each of eight bytes is one of the memory types 0, 1, 4, 5, 6 and 7.
      for byte in 0..<8 {
        let type = value >> UInt64(byte * 8) & 0xff
        guard type < 8, type != 2, type != 3 else { return false }
      }
      x[SystemSlot.pat] = value
    case 0x6e0:
      // Outside of TSC-deadline mode a write has no effect.
      guard isDeadlineMode(x) else { return true }
      x[SystemSlot.deadline] = value
      timerChanged(hart)
    default: return writeEFER(value, hart)
    }
    return true
  }

  /// - SeeAlso: Intel SDM volume 3, 'Initializing IA-32e Mode'.
  private func writeEFER(_ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    let old = x[SystemSlot.efer]
    guard value & ~(EFER.writable | EFER.longModeActive) == 0 else { return false }
    let changed = value ^ old
    if changed & EFER.longMode != 0, x[SystemSlot.cr0] & CR0.paging != 0 { return false }
    x[SystemSlot.efer] = value & EFER.writable | old & EFER.longModeActive
    if changed & EFER.noExecute != 0 { flushTranslations(hart) }
    return true
  }

  // MARK: Control registers

  /// - SeeAlso: Intel SDM volume 2, 'MOV - Move to/from Control Registers'; volume 3, 'Control
  ///   Registers'.
  /// - Returns: `false` for #GP(0).
  func writeCR0(_ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    guard value >> 32 == 0 else { return false }
    if value & CR0.paging != 0, value & CR0.protection == 0 { return false }
    if value & CR0.notWriteThrough != 0, value & CR0.cacheDisable == 0 { return false }
    let old = x[SystemSlot.cr0]
    let turned = (old ^ value) & CR0.paging
    if turned & old != 0, !Self.isLegacy(x) {
      // In 64-bit mode paging can't be turned off.
      return false
    }
    if turned & value != 0, x[SystemSlot.efer] & EFER.longMode != 0 {
      // Long mode begins, with 32-bit code.
      let isWide = x[SystemSlot.rights + SegmentRegister.cs] & SegmentRights.long != 0
      if x[SystemSlot.cr4] & CR4.physicalExtension == 0 || isWide { return false }
      x[SystemSlot.efer] |= EFER.longModeActive
    }
    if turned & old != 0 { x[SystemSlot.efer] &= ~EFER.longModeActive }
    let new = value & CR0.writable | CR0.extensionType
    x[SystemSlot.cr0] = new
    if (old ^ new) & (CR0.paging | CR0.writeProtect) != 0 { flushTranslations(hart) }
    Self.updateMode(hart)
    return true
  }

  /// - SeeAlso: Intel SDM volume 3, 'Operations that Invalidate TLBs and Paging-Structure Caches'.
  /// - Returns: `false` for #GP(0).
  func writeCR3(_ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    let contexts = x[SystemSlot.cr4] & CR4.contexts != 0
    var value = value
    let keeps = contexts && value >> 63 == 1
    if contexts { value &= ~(1 << 63) }
    guard value & Self.reservedAddress == 0 else { return false }
    x[SystemSlot.cr3] = value
    if hart.cacheModel == .architectural, !keeps {
      let context = contexts ? value & 0xfff : 0
      tlb.remove(va: nil) { $0 == context }
    }
    // The hart's own TLB holds one address space.
    forgetTranslations(hart)
    return true
  }

  /// - Returns: `false` for #GP(0).
  func writeCR4(_ value: UInt64, _ hart: Hart) -> Bool {
    let x = hart.x
    let old = x[SystemSlot.cr4]
    let changed = old ^ value
    guard value & ~CR4.writable == 0 else { return false }
    if x[SystemSlot.efer] & EFER.longModeActive != 0,
      value & CR4.physicalExtension == 0 || changed & CR4.fiveLevels != 0
    {
      return false
    }
    if changed & value & CR4.contexts != 0, !Self.isLong(x) { return false }
    if changed & value & CR4.contexts != 0, x[SystemSlot.cr3] & 0xfff != 0 { return false }
    x[SystemSlot.cr4] = value
    if changed & (CR4.flushing | CR4.accessPrevention) != 0 { flushTranslations(hart) }
    Self.updateMode(hart)
    return true
  }
}

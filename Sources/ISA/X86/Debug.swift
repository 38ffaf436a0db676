import Engine

/// Bits of DR7.
///
/// - SeeAlso: Intel SDM volume 3, 'Debug Control Register (DR7)'.
enum DebugControl {
  /// Any of the eight enable bits.
  static let enabled: UInt64 = 0xff
  /// The enable bits that hold for one task.
  static let ofTask: UInt64 = 0x155
  /// A MOV of a debug register is #DB.
  static let generalDetect: UInt64 = 1 << 13
  /// What DR7 has after reset: a bit that is always set.
  static let fixed: UInt64 = 0x400
}

/// Bits of IA32_DEBUGCTL.
///
/// - SeeAlso: Intel SDM volume 3, 'IA32_DEBUGCTL MSR'.
enum DebugModel {
  /// TF steps to the next branch.
  static let branches: UInt64 = 1 << 1
}

/// Why #DB comes, as far as a program is told.
public enum DebugCause: Sendable {
  /// A step.
  case step
  /// DR0 to DR3.
  case breakpoint
  /// Nothing that DR6 tells: INT1.
  case instruction
}

/// What a breakpoint of DR0 to DR3 waits for: the R/W field of DR7.
enum BreakpointKind {
  static let execution: UInt64 = 0, store: UInt64 = 1, port: UInt64 = 2, access: UInt64 = 3
}

/// The breakpoint registers.
///
/// A page with an enabled breakpoint is not in the hart's TLB for the accesses that the breakpoint
/// could be for: they take the slow path, and nothing else pays. Where a breakpoint matches, the
/// instruction begins anew as one that is looked at by itself (``Slot/single``), and the trap comes
/// when it has completed.
///
/// - SeeAlso: Intel SDM volume 3, 'Debug Exception (#DB)' and 'Breakpoint Field Recognition'.
extension X64 {
  /// The cause of the exception that is none: the instruction is to begin anew; because of a
  /// breakpoint, or with a value because that was pending between two iterations.
  static let restart: UInt64 = 1 << 32

  /// One of the four, as DR7 has it.
  private struct Breakpoint {
    var kind: UInt64
    var start: UInt64
    var size: UInt64
    var isEnabled: Bool

    init(_ number: Int, _ x: UnsafeMutablePointer<UInt64>) {
      let control = x[SystemSlot.debugControl]
      let field = control >> UInt64(16 + 4 * number)
      kind = field & 3
      // 10B is eight bytes.
      size = [1, 2, 8, 4][Int(field >> 2 & 3)]
      start = x[SystemSlot.debug + number] & ~(size &- 1)
      isEnabled = control >> UInt64(2 * number) & 3 != 0
    }

    /// Whether its bytes and those of an access have one in common.
    func overlaps(_ va: UInt64, _ count: UInt64) -> Bool {
      va &- start < size || start &- va < count
    }
  }

  private static func anyEnabled(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.debugControl] & DebugControl.enabled != 0
  }

  /// The bits B0 to B3 of those for which `matches` holds; none where no enabled one is among them.
  ///
  /// Those that are not enabled are told with the others, as processors do.
  private static func matching(
    _ x: UnsafeMutablePointer<UInt64>, _ matches: (Breakpoint) -> Bool
  ) -> UInt64 {
    guard anyEnabled(x) else { return 0 }
    var found: UInt64 = 0
    var isEnabled = false
    for number in 0..<4 {
      let breakpoint = Breakpoint(number, x)
      guard matches(breakpoint) else { continue }
      found |= 1 << UInt64(number)
      if breakpoint.isEnabled { isEnabled = true }
    }
    return isEnabled ? found : 0
  }

  /// Whether enabled breakpoints lie in the page of `va`: for data, for execution.
  static func watches(
    _ va: UInt64, _ x: UnsafeMutablePointer<UInt64>
  ) -> (data: Bool, execution: Bool) {
    guard anyEnabled(x) else { return (false, false) }
    var watched = (data: false, execution: false)
    for number in 0..<4 where x[SystemSlot.debug + number] & ~4095 == va & ~4095 {
      let breakpoint = Breakpoint(number, x)
      guard breakpoint.isEnabled else { continue }
      switch breakpoint.kind {
      case BreakpointKind.execution: watched.execution = true
      case BreakpointKind.port: break
      default: watched.data = true
      }
    }
    return watched
  }

  /// A write of a debug register: what the TLB holds of pages with breakpoints is no longer so.
  func writeDebug(_ slot: Int, _ value: UInt64, _ hart: Hart) {
    forgetWatched(hart)
    hart.x[slot] = value
    forgetWatched(hart)
  }

  private func forgetWatched(_ hart: Hart) {
    let x = hart.x
    for number in 0..<4 where x[SystemSlot.debugControl] >> UInt64(2 * number) & 3 != 0 {
      hart.flushTLB(page: x[SystemSlot.debug + number])
    }
  }

  /// Notes breakpoints that match an access of the present instruction.
  ///
  /// - Returns: `false` with ``restart`` pending where the instruction must begin anew.
  private func note(_ hits: UInt64, _ hart: Hart) -> Bool {
    guard hits != 0 else { return true }
    let x = hart.x
    if x[Slot.single] == 0 {
      hart.raise(Self.restart, 0)
      return false
    }
    x[SystemSlot.debugHits] |= hits
    return true
  }

  /// An access of a page that has a breakpoint for data, or in a mode that checks alignment.
  ///
  /// Deviation: what the processor reads and writes by itself (descriptors, frames of exceptions)
  /// matches no breakpoint.
  public func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool {
    let x = hart.x
    guard access != .fetch, x[Slot.block] != 0, x[SystemSlot.implicit] == 0 else { return true }
    if isMisaligned(va, size, hart) {
      Self.raise(x, 17)
      return false
    }
    return note(
      Self.matching(x) {
        ($0.kind == BreakpointKind.access || $0.kind == BreakpointKind.store && access == .store)
          && $0.overlaps(va, size)
      }, hart)
  }

  /// An access of a port.
  ///
  /// - Returns: `false` where the instruction must begin anew, as pending.
  func allows(port: UInt16, _ size: UInt64, _ hart: Hart) -> Bool {
    guard hart.x[SystemSlot.cr4] & CR4.debugging != 0 else { return true }
    return note(
      Self.matching(hart.x) {
        $0.kind == BreakpointKind.port && $0.overlaps(UInt64(port), size)
      }, hart)
  }

  /// Whether an enabled breakpoint waits for the execution of the instruction at `pc`.
  static func breaks(at pc: UInt64, _ x: UnsafeMutablePointer<UInt64>) -> Bool {
    executionHits(pc, x) != 0
  }

  private static func executionHits(
    _ pc: UInt64, _ x: UnsafeMutablePointer<UInt64>
  ) -> UInt64 {
    matching(x) { $0.kind == BreakpointKind.execution && $0.start == pc }
  }

  /// Raises #DB for the instruction at the present pc, unless RF, a load of SS just before, or its
  /// being between two of its iterations forbids.
  static func breakBefore(_ hart: Hart) {
    let x = hart.x
    let count = hart.count
    let pc = hart.pc
    guard x[Registers.otherFlags] & RFlags.resume == 0,
      x[SystemSlot.shadow] != Shadow.stack, x[SystemSlot.repeated] != count &+ 1
    else { return }
    let hits = executionHits(pc, x)
    guard hits != 0 else { return }
    raiseDebug(x, hits, isBreakpoint: true)
  }

  /// Raises #DB as a fault, with these bits for DR6.
  static func raiseDebug(
    _ x: UnsafeMutablePointer<UInt64>, _ causes: UInt64, isBreakpoint: Bool = false
  ) {
    raise(x, 1)
    x[SystemSlot.debugCauses] = causes
    x[SystemSlot.isBreakpoint] = isBreakpoint ? 1 : 0
  }

  /// #DB is about to be delivered: DR6 says why, and what it ends is switched off.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Debug Status Register (DR6)', 'Single-Stepping on Branches'.
  func noteDebug(_ causes: UInt64, _ hart: Hart) {
    let x = hart.x
    x[SystemSlot.debugStatus] |= causes
    x[SystemSlot.lastDebug] = causes
    x[SystemSlot.debugControl] &= ~DebugControl.generalDetect
    x[SystemSlot.debugModel] &= ~DebugModel.branches
  }

  /// Why the last #DB came.
  public func lastDebugCause(_ hart: Hart) -> DebugCause {
    let causes = hart.x[SystemSlot.lastDebug]
    return causes & DebugStatus.step != 0 ? .step : causes & 0xf != 0 ? .breakpoint : .instruction
  }

  /// Delivers the traps of instructions that have completed.
  ///
  /// - Returns: whether there were any.
  func takeDebugTraps(_ hart: Hart) -> Bool {
    let x = hart.x
    let causes = x[SystemSlot.debugHits]
    guard causes != 0, x[SystemSlot.shadow] != Shadow.stack else { return false }
    x[SystemSlot.debugHits] = 0
    noteDebug(causes, hart)
    deliverTrap(1, hart)
    return true
  }

  /// The instruction is over whose accesses were watched, or that began with TF, RF or in the shadow
  /// of STI or MOV SS.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Single-Step Exception Condition', 'Instruction-Breakpoint
  ///   Exception Condition', 'Masking Exceptions and Interrupts When Switching Stacks'.
  public func completedSingle(_ reasons: UInt64, for hart: Hart) {
    let x = hart.x
    x[SystemSlot.watched] = 0
    if reasons & Self.shadowed != 0 {
      x[SystemSlot.shadow] = Shadow.none
      x[Slot.checkInterrupts] = 1
    }
    if reasons & Self.resumed != 0 {
      if x[SystemSlot.keepsResume] == 0 { x[Registers.otherFlags] &= ~RFlags.resume }
      x[SystemSlot.keepsResume] = 0
    }
    // A step over MOV SS is lost; breakpoints of its operand wait.
    if reasons & Self.stepped != 0, x[SystemSlot.noStep] == 0,
      x[SystemSlot.shadow] != Shadow.stack, stepEnds(x)
    {
      x[SystemSlot.debugHits] |= DebugStatus.step
    }
    x[SystemSlot.noStep] = 0
    x[SystemSlot.branch] = 0
    Self.updateMode(hart)
    _ = takeDebugTraps(hart)
  }

  /// With BTF only an instruction that has branched ends a step.
  private func stepEnds(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.debugModel] & DebugModel.branches == 0 || x[SystemSlot.branch] == Self.always
      || x[SystemSlot.branch] != 0 && x[SystemSlot.branch] == x[Slot.pc]
  }

  /// In ``SystemSlot/branch``: it branches whatever the condition.
  static let always: UInt64 = .max

  /// Whether the present event interrupts a string instruction between two of its iterations.
  func isRepeating(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.repeated] == x[Slot.count] &+ 1
  }
}

/// An instruction with a breakpoint for its execution begins.
let breakpointBefore: Helper = { x, _ in
  Hart.of(x)._withUnsafeGuaranteedRef { X64.breakBefore($0) }
}

/// A branch to the address in `a`, or with `c` wherever, is executed while TF steps to branches.
///
/// Deviation: a conditional branch to the next instruction counts as taken.
let noteBranch: Helper = { x, raw in
  let op = raw.op
  x[SystemSlot.branch] = op.c == 1 ? X64.always : x[Int(op.a)]
}

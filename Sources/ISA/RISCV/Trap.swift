import Engine

/// Taking and leaving traps: only what silicon does.
///
/// - SeeAlso: RISC-V Privileged ISA Manual, 'Machine-Level CSRs', 'Trap-Return Instructions',
///   'Supervisor Cause (scause) Register'.
extension RV64 {
  /// Enters the handler of the pending exception.
  public func takeException(_ hart: Hart) {
    let x = hart.x
    let cause = x[Slot.cause]
    let delegated =
      x[SystemSlot.privilege] <= 1 && cause < 64 && x[SystemSlot.medeleg] >> cause & 1 == 1
    enter(hart, supervisor: delegated, cause: cause, tval: x[Slot.tval])
  }

  /// Interrupt numbers from the most urgent to the least.
  private static let urgency: [UInt64] = [11, 3, 7, 9, 1, 5]

  /// Enters the handler of the most urgent interrupt that can be taken.
  public func takeInterrupt(_ hart: Hart) -> Bool {
    let x = hart.x
    let pending = pendingInterrupts(x) & x[SystemSlot.mie]
    guard pending != 0 else { return false }
    let privilege = x[SystemSlot.privilege]
    let status = x[SystemSlot.mstatus]
    let machineOn = privilege < 3 || status & Status.mie != 0
    let supervisorOn = privilege < 1 || (privilege == 1 && status & Status.sie != 0)
    var ready: UInt64 = machineOn ? pending & ~x[SystemSlot.mideleg] : 0
    let supervisor = ready == 0
    if supervisor { ready = supervisorOn ? pending & x[SystemSlot.mideleg] : 0 }
    guard ready != 0, let number = Self.urgency.first(where: { ready >> $0 & 1 == 1 }) else {
      return false
    }
    enter(hart, supervisor: supervisor, cause: 1 << 63 | number, tval: 0)
    return true
  }

  /// Whether an interrupt is pending that ends `wfi`.
  public func wakes(_ hart: Hart) -> Bool {
    pendingInterrupts(hart.x) & hart.x[SystemSlot.mie] != 0
  }

  private func enter(_ hart: Hart, supervisor: Bool, cause: UInt64, tval: UInt64) {
    let x = hart.x
    var status = x[SystemSlot.mstatus]
    let before = status
    let privilege = x[SystemSlot.privilege]
    // A reservation does not survive a trap.
    x[Slot.reservation] = .max
    let vector: UInt64
    if supervisor {
      x[SystemSlot.sepc] = x[Slot.pc]
      x[SystemSlot.scause] = cause
      x[SystemSlot.stval] = tval
      status = status & ~(Status.spie | Status.spp | Status.sie)
      if before & Status.sie != 0 { status |= Status.spie }
      if privilege == 1 { status |= Status.spp }
      x[SystemSlot.privilege] = 1
      vector = x[SystemSlot.stvec]
    } else {
      x[SystemSlot.mepc] = x[Slot.pc]
      x[SystemSlot.mcause] = cause
      x[SystemSlot.mtval] = tval
      status = status & ~(Status.mpie | Status.mpp | Status.mie)
      if before & Status.mie != 0 { status |= Status.mpie }
      status |= privilege << 11
      x[SystemSlot.privilege] = 3
      vector = x[SystemSlot.mtvec]
    }
    x[SystemSlot.mstatus] = status
    let vectored = vector & 3 == 1 && cause >> 63 == 1
    x[Slot.pc] = (vector & ~3) &+ (vectored ? 4 &* (cause & 0x3f) : 0)
    statusChanged(before, hart)
  }

  /// `mret` and `sret`: back to where the last trap to that mode came from.
  func returnFromTrap(_ hart: Hart, supervisor: Bool) {
    let x = hart.x
    let before = x[SystemSlot.mstatus]
    var status = before
    let previous: UInt64
    if supervisor {
      previous = before & Status.spp != 0 ? 1 : 0
      status = status & ~(Status.sie | Status.spp) | Status.spie
      if before & Status.spie != 0 { status |= Status.sie }
      x[Slot.pc] = x[SystemSlot.sepc]
    } else {
      previous = (before & Status.mpp) >> 11
      status = status & ~(Status.mie | Status.mpp) | Status.mpie
      if before & Status.mpie != 0 { status |= Status.mie }
      x[Slot.pc] = x[SystemSlot.mepc]
    }
    if previous != 3 { status &= ~Status.mprv }
    x[Slot.reservation] = .max
    x[SystemSlot.privilege] = previous
    x[SystemSlot.mstatus] = status
    statusChanged(before, hart)
  }
}

import Engine
import GuestKernel

// What tools ask about probes, without taking part in them.

extension ProbeSubsystem {
  /// Where copies of the kernel's instructions run, the trampoline of return probes included.
  public var kernelSlots: Range<UInt64> {
    guard let start = kernel.symbol("kprobe_insn_slots"),
      let end = kernel.symbol("kprobe_insn_slots_end"), start < end
    else { return 0..<0 }
    return start..<end
  }

  /// How a kernel probe gets past its instruction.
  public enum KprobePassage: Sendable, Equatable {
    /// Its work is done on the saved registers.
    case simulated
    /// A copy runs in a slot, and a trap ends it.
    case stepped
    /// A copy runs in a slot and jumps back.
    case boosted
    /// A jump takes the instruction's place.
    case jump
  }

  /// How a kernel probe gets past its instruction now; `nil` once it is not registered.
  public func passage(of probe: Kprobe) -> KprobePassage? {
    guard let point = kprobes.points[probe.address] else { return nil }
    if point.detour?.isJump ?? false { return .jump }
    if point.simulation != nil { return .simulated }
    return point.isBoosted ? .boosted : .stepped
  }

  /// Where copies of a program's instructions run (`[uprobes]`), the trampoline of return probes
  /// included; `nil` as long as none did.
  public func slots(in space: AddressSpace) -> Range<UInt64>? {
    guard let area = (space.probeState as? UprobeSpace)?.area else { return nil }
    return area.base..<area.base &+ 4096
  }

  /// Whether a break instruction at `pc` is a probe's.
  ///
  /// - Parameters:
  ///   - pc: its address.
  ///   - task: who runs it, where it is a program's.
  /// - Returns: whether it is in place of an instruction, behind a copy, or a trampoline.
  public func ownsBreak(at pc: UInt64, _ task: Task?) -> Bool {
    guard pc < kernel.isa.userEnd else {
      return kernelSlots.contains(pc) || kprobes.points[pc] != nil
    }
    guard let space = task?.space, space.probeState is UprobeSpace else { return false }
    if slots(in: space)?.contains(pc) ?? false { return true }
    return space.privateFile(at: pc).map { uprobes.points[UprobeKey($0)] != nil } ?? false
  }

  /// The instruction under a kernel probe; `nil` once it is not registered.
  public func insn(of probe: Kprobe) -> ProbedInsn? { kprobes.points[probe.address]?.insn }

  /// The instruction under a program's probe; `nil` where no process has mapped it yet, or once it is
  /// not registered.
  public func insn(of probe: Uprobe) -> ProbedInsn? {
    uprobes.points[UprobeKey(probe.inode, probe.offset)]?.insn
  }
}

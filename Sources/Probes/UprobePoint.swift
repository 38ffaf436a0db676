import Engine
import GuestKernel

/// What tells uprobes apart.
struct UprobeKey: Hashable {
  let inode: ObjectIdentifier
  let offset: UInt64

  init(_ inode: Inode, _ offset: UInt64) {
    self.inode = ObjectIdentifier(inode)
    self.offset = offset
  }
}

/// One probed place of a file, with everybody who wants to know of it (`struct uprobe`).
final class UprobePoint {
  let inode: Inode
  let offset: UInt64
  let referenceCounter: UInt64
  /// The newest first.
  var consumers: [Uprobe] = []
  /// The instruction, once a process that maps it was found (`UPROBE_COPY_INSN`).
  var insn: ProbedInsn?
  /// Ready simulations by address.
  var simulations: [UInt64: any InsnSimulation] = [:]
  /// The end of the slot that was taken last: for ``LegacyPolicies/oneSlotEndPerProbe``.
  var knownEnd: UInt64 = 0
  /// The one address of it: for ``LegacyPolicies/segmentOffsetIgnored``.
  var onlyAddress: UInt64?

  init(_ inode: Inode, _ offset: UInt64, referenceCounter: UInt64) {
    self.inode = inode
    self.offset = offset
    self.referenceCounter = referenceCounter
  }

  /// Whether a consumer wants this memory probed.
  func isWanted(in space: AddressSpace) -> Bool {
    consumers.contains { $0.isEnabled && ($0.filter?(space) ?? true) }
  }

  /// Where a mapping shows this place; `nil` where it does not.
  func address(in vma: VMA) -> UInt64? {
    let first = vma.pageOffset << 12
    guard offset >= first, offset &- first < vma.count else { return nil }
    let va = vma.start &+ (offset &- first)
    return onlyAddress == nil || onlyAddress == va ? va : nil
  }
}

/// What an address space has for probes (`struct uprobes_state`, and two flags of the mm).
final class UprobeSpace {
  /// It may hold breaks (`MMF_HAS_UPROBES`).
  var hasBreaks = false
  /// That may be wrong (`MMF_RECALC_UPROBES`).
  var isDoubtful = false
  /// Where instructions run out of line.
  var area: UprobeArea?
  /// Counters that were not mapped when their break was written.
  var delayed: [UprobePoint] = []

  /// That of `space`, made if need be.
  static func of(_ space: AddressSpace) -> UprobeSpace {
    if let known = space.probeState as? UprobeSpace { return known }
    let new = UprobeSpace()
    space.probeState = new
    return new
  }
}

/// What a task is doing with a uprobe.
enum UprobeState {
  /// Nothing.
  case running
  /// Its handlers ran; it waits for a slot.
  case waiting(UprobePoint, va: UInt64)
  /// The instruction runs in its slot (`UTASK_SSTEP`).
  case stepping(UprobeStep)
}

/// An instruction of a program that runs in a slot.
struct UprobeStep {
  let point: UprobePoint
  /// Where the break is.
  let va: UInt64
  let area: UprobeArea
  let slot: Int
  let length: UInt64

  /// Where the copy is, and the break behind it.
  var start: UInt64 { area.address(slot) }
  var end: UInt64 { start &+ length }
}

/// What a task has for probes (`struct uprobe_task`).
final class UprobeTask {
  var state = UprobeState.running
  /// Calls whose return is awaited, the newest last.
  var calls: [UretprobeCall] = []

  /// That of `task`, made if need be.
  static func of(_ task: Task) -> UprobeTask {
    if let known = task.probeState as? UprobeTask { return known }
    let new = UprobeTask()
    task.probeState = new
    return new
  }
}

/// A call whose return is awaited (`struct return_instance`).
struct UretprobeCall {
  let point: UprobePoint
  let function: UInt64
  let sp: UInt64
  let returnAddress: UInt64
  let isChained: Bool
  /// What the entry handlers left for the return handlers.
  let data: [ObjectIdentifier: AnyObject]
}

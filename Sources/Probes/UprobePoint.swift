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

  init(_ place: (inode: ObjectIdentifier, offset: UInt64)) {
    inode = place.inode
    offset = place.offset
  }
}

/// One probed place of a file, with everybody who wants to know of it (`struct uprobe`).
final class UprobePoint: Archivable {
  @exclusivity(unchecked) private(set) var inode: Inode
  @exclusivity(unchecked) private(set) var offset: UInt64
  @exclusivity(unchecked) private(set) var referenceCounter: UInt64
  /// The newest first.
  @exclusivity(unchecked) var consumers: [Uprobe] = []
  /// The instruction, once a process that maps it was found (`UPROBE_COPY_INSN`).
  @exclusivity(unchecked) var insn: ProbedInsn? {
    didSet {
      length = UInt64(insn?.length ?? 0)
      isSimulated = insn?.verdict == .simulate
      copied = insn.map { CopiedInsn($0) }
    }
  }
  /// Of the instruction: what each hit asks for.
  @exclusivity(unchecked) private(set) var length: UInt64 = 0
  @exclusivity(unchecked) private(set) var isSimulated = false
  @exclusivity(unchecked) private(set) var copied: CopiedInsn?
  /// Ready simulations by address, and the one that was used last.
  @exclusivity(unchecked) private var simulations: [UInt64: any InsnSimulation] = [:]
  @exclusivity(unchecked) private var latest: (any InsnSimulation)?
  @exclusivity(unchecked) private var latestVA: UInt64 = 0
  /// Where it stands among the probed places of its file (``UprobePoints``).
  var place = 0
  /// The slot that held its copy last, of which area, and when that slot was written.
  @exclusivity(unchecked) var slotHint = SlotHint()
  /// The end of the slot that was taken last: for ``LegacyPolicies/oneSlotEndPerProbe``.
  @exclusivity(unchecked) var knownEnd: UInt64 = 0
  /// The one address of it: for ``LegacyPolicies/segmentOffsetIgnored``.
  var onlyAddress: UInt64?

  init(_ inode: Inode, _ offset: UInt64, referenceCounter: UInt64) {
    self.inode = inode
    self.offset = offset
    self.referenceCounter = referenceCounter
  }

  init(placeholderFor a: Archive) {
    inode = a.placeholder(Inode.self)
    (offset, referenceCounter) = (0, 0)
  }

  func archive(_ a: Archive) {
    a.ref("inode", &inode)
    a("offset", &offset)
    a("referenceCounter", &referenceCounter)
    a.externals("consumers", &consumers)
    a("insn", &insn)
    a("slotHint", &slotHint)
    a("knownEnd", &knownEnd)
    a("onlyAddress", &onlyAddress)
    a("place", &place)
    a.transient(["length", "isSimulated", "copied", "simulations", "latest", "latestVA"])
  }

  /// Whether a consumer wants this memory probed.
  func isWanted(in space: AddressSpace) -> Bool {
    consumers.contains { $0.isEnabled && ($0.filter?(space) ?? true) }
  }

  /// Its simulation at an address; `nil` where it has none.
  func simulation(at va: UInt64, _ isa: any ProbeISA) -> (any InsnSimulation)? {
    if let latest, latestVA == va { return latest }
    if simulations[va] == nil, let insn {
      // A program that maps its text here and there does not have them pile up.
      if simulations.count >= UprobeMachine.maxSimulations { simulations = [:] }
      simulations[va] = isa.simulation(of: insn.bytes, at: va, .user)
    }
    latest = simulations[va]
    latestVA = va
    return latest
  }

  /// Where a mapping shows this place; `nil` where it does not.
  func address(in vma: VMA) -> UInt64? {
    let first = vma.pageOffset << 12
    guard offset >= first, offset &- first < vma.count else { return nil }
    let va = vma.start &+ (offset &- first)
    return onlyAddress == nil || onlyAddress == va ? va : nil
  }
}

/// The probed places of one file, in the order of their registration.
struct UprobePoints: Sequence {
  /// Those that were taken away leave a hole, until there are many.
  fileprivate(set) var places: [UprobePoint?] = []
  fileprivate(set) var holes = 0

  var isEmpty: Bool { places.count == holes }

  mutating func append(_ point: UprobePoint) {
    point.place = places.count
    places.append(point)
  }

  mutating func remove(_ point: UprobePoint) {
    guard places.indices.contains(point.place), places[point.place] === point else { return }
    places[point.place] = nil
    holes += 1
    guard holes > 64, holes > places.count / 2 else { return }
    let rest = places.compactMap { $0 }
    places = rest
    holes = 0
    for (place, point) in rest.enumerated() { point.place = place }
  }

  func makeIterator() -> some IteratorProtocol<UprobePoint> {
    places.lazy.compactMap { $0 }.makeIterator()
  }
}

/// What an address space has for probes (`struct uprobes_state`, and two flags of the mm).
final class UprobeSpace: Archivable {
  /// It may hold breaks (`MMF_HAS_UPROBES`).
  @exclusivity(unchecked) var hasBreaks = false
  /// That may be wrong (`MMF_RECALC_UPROBES`).
  @exclusivity(unchecked) var isDoubtful = false
  /// Where instructions run out of line.
  @exclusivity(unchecked) var area: UprobeArea?
  /// Counters that were not mapped when their break was written.
  var delayed: [UprobePoint] = []

  /// That of `space`, made if need be.
  init() {}

  init(placeholderFor a: Archive) {}

  func archive(_ a: Archive) {
    a("hasBreaks", &hasBreaks)
    a("isDoubtful", &isDoubtful)
    a.ref("area", &area)
    a.refs("delayed", &delayed)
  }

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
  private(set) var point: UprobePoint
  /// Where the break is.
  private(set) var va: UInt64
  private(set) var area: UprobeArea
  private(set) var slot: Int
  private(set) var length: UInt64
  /// What the frame had before.
  var state = SlotState()

  /// Where the copy is, and the break behind it.
  var start: UInt64 { area.address(slot) }
  var end: UInt64 { start &+ length }
  /// The copy; `nil` only where nothing is known of the instruction.
  var copy: SlotCopy? { point.copied.map { SlotCopy($0, at: va, slot: start, .user) } }
}

/// What a task has for probes (`struct uprobe_task`).
final class UprobeTask: Archivable {
  @exclusivity(unchecked) var state = UprobeState.running
  /// Calls whose return is awaited, the newest last.
  @exclusivity(unchecked) var calls: [UretprobeCall] = []

  /// That of `task`, made if need be.
  init() {}

  init(placeholderFor a: Archive) {}

  func archive(_ a: Archive) {
    a("state", &state)
    a("calls", &calls)
  }

  static func of(_ task: Task) -> UprobeTask {
    if let known = task.probeState as? UprobeTask { return known }
    let new = UprobeTask()
    task.probeState = new
    return new
  }
}

/// A call whose return is awaited (`struct return_instance`).
struct UretprobeCall {
  fileprivate(set) var point: UprobePoint
  fileprivate(set) var function: UInt64
  fileprivate(set) var sp: UInt64
  fileprivate(set) var returnAddress: UInt64
  fileprivate(set) var isChained: Bool
  /// What the entry handlers left for the return handlers.
  fileprivate(set) var data: [ObjectIdentifier: AnyObject]
}

// MARK: Snapshots

extension UprobePoints: Archived {
  static func placeholder(_ a: Archive) -> UprobePoints { UprobePoints() }
  mutating func archive(_ a: Archive) {
    a.parts("places") {
      var number = places.count
      a.number(&number)
      if a.isReading { places = Array(repeating: nil, count: number) }
      for index in places.indices { a.ref("point", &places[index]) }
    }
    a.transient(["holes"])
    if a.isReading { holes = places.count { $0 == nil } }
  }
}

extension UprobeState: Archived {
  static func placeholder(_ a: Archive) -> UprobeState { .running }
  mutating func archive(_ a: Archive) {
    var kind: UInt8 = 0
    var point: UprobePoint?
    var at: UInt64 = 0
    var step = UprobeStep.placeholder(a)
    switch self {
    case .running: break
    case .waiting(let place, let va): (kind, point, at) = (1, place, va)
    case .stepping(let under): (kind, step) = (2, under)
    }
    kind = a.choice(kind, below: 3)
    switch kind {
    case 1:
      a.ref("", &point)
      a("", &at)
      if let point { self = .waiting(point, va: at) } else { a.fail("nobody waits for a slot") }
    case 2:
      a("", &step)
      self = .stepping(step)
    default: self = .running
    }
  }
}

extension UprobeStep: Archived {
  static func placeholder(_ a: Archive) -> UprobeStep {
    UprobeStep(
      point: a.placeholder(UprobePoint.self), va: 0, area: a.placeholder(UprobeArea.self), slot: 0,
      length: 0)
  }
  mutating func archive(_ a: Archive) {
    a.ref("point", &point)
    a("va", &va)
    a.ref("area", &area)
    a("slot", &slot)
    a("length", &length)
    a("state", &state)
    let (area, slot) = (area, slot)
    a.afterwards {
      if !area.hasSlot(slot) { a.fail("a step in slot \(slot)") }
    }
  }
}

extension UretprobeCall: Archived {
  static func placeholder(_ a: Archive) -> UretprobeCall {
    UretprobeCall(
      point: a.placeholder(UprobePoint.self), function: 0, sp: 0, returnAddress: 0,
      isChained: false, data: [:])
  }
  mutating func archive(_ a: Archive) {
    a.ref("point", &point)
    a("function", &function)
    a("sp", &sp)
    a("returnAddress", &returnAddress)
    a("isChained", &isChained)
    a.parts("data") { archiveData(a) }
  }

  /// What handlers keep until the return; of probes that are still registered.
  private mutating func archiveData(_ a: Archive) {
    var owners = a.isReading ? [] : point.consumers.filter { data[ObjectIdentifier($0)] != nil }
    a.externals("", &owners)
    for owner in owners {
      var value = data[ObjectIdentifier(owner)]
      a.any("", &value)
      if a.isReading { data[ObjectIdentifier(owner)] = value }
    }
  }
}

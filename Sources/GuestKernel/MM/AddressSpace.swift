import Engine

/// Told about changes of mappings after they were made.
public protocol AddressSpaceObserver: AnyObject {
  /// Something is mapped at `start..<end` that was not, or not so.
  func mapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64)
  /// Nothing is mapped at `start..<end` any more, or something else.
  func unmapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64)
}

/// The memory of a process (`struct mm_struct`): its mappings, and the page tables that follow from
/// them and from what was touched.
///
/// Whatever changes a translation that a hart may have seen is noted in ``flushNeeded``; the guest's
/// own code executes the maintenance instruction when the gate returns (``takeFlush()``).
public final class AddressSpace: UserMemory, Archivable {
  /// Limits that memory calls look at; whoever owns the limits of a process keeps them up to date.
  public struct Limits: Sendable {
    /// `RLIMIT_AS`.
    public var addressSpace = MM.RLIM_INFINITY
    /// `RLIMIT_DATA`.
    public var data = MM.RLIM_INFINITY
    /// `RLIMIT_STACK`.
    public var stack: UInt64 = 8 << 20
    /// `RLIMIT_MEMLOCK`; not looked at, as everybody here is root.
    public var locked: UInt64 = 8 << 20
    /// Linux's defaults.
    public init() {}
  }

  /// Where the parts of the program are (`mm->start_code` … `mm->env_end`).
  public struct Layout: Sendable {
    /// The executable segments.
    public var startCode: UInt64 = 0, endCode: UInt64 = 0
    /// The other ones.
    public var startData: UInt64 = 0, endData: UInt64 = 0
    /// The heap.
    public var startBrk: UInt64 = 0, brk: UInt64 = 0
    /// The stack pointer at the start.
    public var startStack: UInt64 = 0
    /// The strings of `argv`.
    public var argStart: UInt64 = 0, argEnd: UInt64 = 0
    /// The strings of `envp`.
    public var envStart: UInt64 = 0, envEnd: UInt64 = 0
    /// All zero.
    public init() {}
  }

  /// Where it finds who is told about changes of mappings: its kernel's, from exec on.
  var observers: ObserverPlace?
  var observer: (any AddressSpaceObserver)? { observers?.observer }
  /// What probes keep for this address space.
  @exclusivity(unchecked) public var probeState: AnyObject?
  /// The mappings, by ascending address.
  @exclusivity(unchecked) public internal(set) var vmas: [VMA] = []
  /// Where frames come from.
  @exclusivity(unchecked) public private(set) var frames: PageAllocator
  /// The instruction set.
  public let isa: any KernelISA
  /// The limits in force.
  public var limits = Limits()
  /// Where the parts of the program are.
  public var layout = Layout()
  /// What `/proc/pid/auxv` shows.
  public var auxv: [UInt8] = []
  /// Address of the page with the code of `rt_sigreturn`; zero where there is none.
  public var signalPage: UInt64 = 0
  /// Translations that harts must forget.
  @exclusivity(unchecked) public var flushNeeded = FlushKind.none
  /// Instruction fetch must be synchronised: code was mapped that it may not see.
  @exclusivity(unchecked) public var instructionFlushNeeded = false
  /// Pages present now.
  public internal(set) var residentPages = 0 {
    didSet { if residentPages > maxResidentPages { maxResidentPages = residentPages } }
  }
  /// The most pages that ever were present at once.
  public internal(set) var maxResidentPages = 0
  /// Bytes of all mappings.
  public internal(set) var mappedBytes: UInt64 = 0
  /// Bytes of mappings that count towards `RLIMIT_DATA`.
  public internal(set) var dataBytes: UInt64 = 0
  /// Page faults served without and with reading a file (`ru_minflt`, `ru_majflt`).
  public internal(set) var faults: UInt64 = 0
  /// `mlockall(MCL_FUTURE)` is in force.
  public internal(set) var locksFuture = false

  /// Physical address of the kernel's root table.
  public private(set) var kernelRoot: UInt64
  /// The address-space number given to the hardware.
  public private(set) var asid: UInt16

  /// The highest address that mappings are placed below.
  var mmapBase: UInt64

  let table: PageTable
  /// The frames that are kept for its private pages, by which 2 MiB of addresses they are for, and its
  /// name as their owner.
  var runs: [UInt64: UInt64] = [:]
  private(set) var owner: UInt32
  /// What the hardware grants for each of the 8 combinations of `PROT_*`.
  let granted: [PageProtection]

  // The page that was translated last for a software read and a write, and its frame.
  var readPage: UInt64 = .max
  var readFrame: UInt64 = 0
  var writePage: UInt64 = .max
  var writeFrame: UInt64 = 0

  // Top-down search: no hole of `holeAbove` bytes or more between `searchTop` and the mmap base.
  var searchTop: UInt64 = .max
  var holeAbove: UInt64 = 0

  /// Files whose mappings are registered.
  var registered: [Inode] = []
  /// How many tasks use it.
  @exclusivity(unchecked) var users = 0
  @exclusivity(unchecked) private var lastIndex = 0

  /// An address space with no mapping.
  ///
  /// - Parameters:
  ///   - frames: where frames come from.
  ///   - isa: the instruction set.
  ///   - kernelRoot: the table whose upper half its root copies.
  ///   - asid: the address-space number given to the hardware.
  /// - Throws: `ENOMEM`
  public init(
    frames: PageAllocator, isa: any KernelISA, kernelRoot: UInt64, asid: UInt16 = 0
  ) throws(Errno) {
    self.frames = frames
    self.isa = isa
    self.kernelRoot = kernelRoot
    self.asid = asid
    owner = frames.newOwner()
    table = try PageTable(frames: frames, isa: isa, kernelRoot: kernelRoot)
    granted = Self.granted(isa)
    mmapBase = Self.mmapBase(stack: Limits().stack, userEnd: isa.userEnd)
  }

  /// Like another one in all but its mappings: for ``fork(asid:)``.
  init(like other: AddressSpace, asid: UInt16) throws(Errno) {
    frames = other.frames
    isa = other.isa
    kernelRoot = other.kernelRoot
    self.asid = asid
    granted = other.granted
    mmapBase = other.mmapBase
    limits = other.limits
    layout = other.layout
    auxv = other.auxv
    signalPage = other.signalPage
    observers = other.observers
    owner = other.frames.newOwner()
    table = try PageTable(frames: other.frames, isa: other.isa, kernelRoot: other.kernelRoot)
  }

  deinit {
    if frames.isInert {
      for inode in registered { inode.removeMapping(self) }
    } else {
      releaseAll()
    }
  }

  private static func granted(_ isa: any KernelISA) -> [PageProtection] {
    (0..<8).map { prot in
      let entry = isa.leafEntry(
        0, Self.protection(Int32(prot), writable: true), accessed: true, dirty: true)
      if prot != 0, case .leaf(_, let protection, _, _) = isa.classify(entry, level: 0) {
        return protection
      }
      return []
    }
  }

  // MARK: Snapshots

  package init(placeholderFor a: Archive) {
    frames = a.placeholder(PageAllocator.self)
    isa = a.kernel.isa
    (kernelRoot, asid, mmapBase, owner) = (0, 0, 0, 0)
    granted = Self.granted(isa)
    table = PageTable(placeholderFor: a)
    observers = a.kernel.observers
  }

  package func archive(_ a: Archive) {
    a.any("probeState", &probeState)
    a("vmas", &vmas)
    a.ref("frames", &frames)
    a("limits", &limits)
    a("layout", &layout)
    a("auxv", &auxv)
    a("signalPage", &signalPage)
    a("flushNeeded", &flushNeeded)
    a("instructionFlushNeeded", &instructionFlushNeeded)
    a("residentPages", &residentPages)
    a("maxResidentPages", &maxResidentPages)
    a("mappedBytes", &mappedBytes)
    a("dataBytes", &dataBytes)
    a("faults", &faults)
    a("locksFuture", &locksFuture)
    a("kernelRoot", &kernelRoot)
    a("asid", &asid)
    a("mmapBase", &mmapBase)
    a.parts("table") { table.archive(a) }
    a("runs", &runs)
    a("owner", &owner)
    a.refs("registered", &registered)
    a("users", &users)
    a.transient([
      "isa", "observers", "granted", "readPage", "readFrame", "writePage", "writeFrame",
      "searchTop", "holeAbove", "lastIndex",
    ])
    guard a.isReading else { return }
    var last: UInt64 = 0
    for vma in vmas {
      guard vma.start >= last, vma.start < vma.end, vma.end <= isa.userEnd,
        (vma.start | vma.end) & 4095 == 0
      else { return a.fail("mappings in disorder") }
      last = vma.end
    }
  }

  /// What the page-table register holds while it is in force.
  public var rootValue: UInt64 { isa.rootValue(table.root, asid: asid) }

  /// What must be flushed before the guest goes on; it is taken as done.
  public func takeFlush() -> (translations: FlushKind, instructions: Bool) {
    let taken = (translations: flushNeeded, instructions: instructionFlushNeeded)
    flushNeeded = .none
    instructionFlushNeeded = false
    return taken
  }

  // MARK: Mappings

  /// The index of the first mapping that ends behind `va` (`find_vma`); `vmas.count` without one.
  func findIndex(_ va: UInt64) -> Int {
    let last = lastIndex
    if last < vmas.count, vmas[last].end > va, last == 0 || vmas[last - 1].end <= va {
      return last
    }
    var low = 0
    var high = vmas.count
    while low < high {
      let middle = (low + high) / 2
      if vmas[middle].end > va { high = middle } else { low = middle + 1 }
    }
    lastIndex = low
    return low
  }

  /// The mapping that holds `va`.
  public func vma(at va: UInt64) -> VMA? {
    let index = findIndex(va)
    guard index < vmas.count, vmas[index].start <= va else { return nil }
    return vmas[index]
  }

  /// What file's private mapping is at an address, told apart by the file's identity, and where in
  /// the file that is.
  public func privateFile(at va: UInt64) -> (inode: ObjectIdentifier, offset: UInt64)? {
    let index = findIndex(va)
    guard index < vmas.count, vmas[index].start <= va, vmas[index].isPrivate,
      case .file(let file) = vmas[index].backing
    else { return nil }
    return (
      ObjectIdentifier(file.inode), vmas[index].pageOffset << 12 &+ (va &- vmas[index].start)
    )
  }

  /// Whether anything is mapped in `start..<end`.
  func intersects(_ start: UInt64, _ end: UInt64) -> Bool {
    let index = findIndex(start)
    return index < vmas.count && vmas[index].start < end
  }

  /// Makes `va` a border between mappings.
  func split(_ va: UInt64) {
    let index = findIndex(va)
    guard index < vmas.count, vmas[index].start < va else { return }
    let whole = vmas[index]
    vmas[index] = whole.part(whole.start, va)
    vmas.insert(whole.part(va, whole.end), at: index + 1)
  }

  /// Splits mappings so that `start..<end` holds whole ones.
  ///
  /// - Returns: their indices.
  func isolate(_ start: UInt64, _ end: UInt64) -> Range<Int> {
    split(start)
    split(end)
    let first = findIndex(start)
    var last = first
    while last < vmas.count, vmas[last].start < end { last += 1 }
    return first..<last
  }

  /// Whether splitting at both ends of a range stays within `vm.max_map_count`.
  func canSplit(_ start: UInt64, _ end: UInt64) -> Bool {
    vmas.count < MM.maxMapCount || (vmaStarts(start) && vmaStarts(end))
  }

  private func vmaStarts(_ va: UInt64) -> Bool {
    let index = findIndex(va)
    return index >= vmas.count || vmas[index].start >= va
  }

  /// Merges neighbours from the one before `range` to the one behind.
  func merge(_ range: Range<Int>) {
    var index = max(range.lowerBound - 1, 0)
    var last = min(range.upperBound, vmas.count - 1)
    while index < last {
      if vmas[index].merges(with: vmas[index + 1]) {
        vmas[index].end = vmas[index + 1].end
        vmas.remove(at: index + 1)
        last -= 1
      } else {
        index += 1
      }
    }
  }

  /// Adds a mapping to a free range and merges it with its neighbours.
  func insert(_ vma: VMA) {
    let index = findIndex(vma.start)
    mappedBytes &+= vma.count
    if vma.isData { dataBytes &+= vma.count }
    if case .file(let file) = vma.backing { register(file.inode) }
    if index > 0, vmas[index - 1].merges(with: vma) {
      vmas[index - 1].end = vma.end
      if index < vmas.count, vmas[index - 1].merges(with: vmas[index]) {
        vmas[index - 1].end = vmas[index].end
        vmas.remove(at: index)
      }
    } else {
      vmas.insert(vma, at: index)
      merge(index..<(index + 1))
    }
  }

  /// Takes mappings away, which leaves their page-table entries.
  func forget(_ range: Range<Int>) {
    var inodes: [Inode] = []
    for index in range {
      mappedBytes &-= vmas[index].count
      if vmas[index].isData { dataBytes &-= vmas[index].count }
      if let inode = vmas[index].file?.inode, inodes.last !== inode { inodes.append(inode) }
    }
    vmas.removeSubrange(range)
    for inode in inodes where !vmas.contains(where: { $0.file?.inode === inode }) {
      registered.removeAll { $0 === inode }
      inode.removeMapping(self)
    }
    searchTop = .max
    holeAbove = 0
  }

  /// `may_expand_vm`: whether `RLIMIT_AS` and `RLIMIT_DATA` allow so many more bytes.
  func mayExpand(_ bytes: UInt64, data: Bool, replacing: UInt64 = 0) -> Bool {
    let (total, over) = (mappedBytes &- min(replacing, mappedBytes)).addingReportingOverflow(bytes)
    guard !over, total <= limits.addressSpace else { return false }
    guard data else { return true }
    return bytes <= limits.data && dataBytes <= limits.data &- bytes
  }

  /// `security_vm_enough_memory_mm` in its default mode: refuse what can't possibly be there.
  func enoughMemory(_ bytes: UInt64) -> Bool { bytes >> 12 <= UInt64(frames.total) }

  // MARK: Page-table entries

  /// What the tables are asked to allow for `prot`.
  ///
  /// No access at all is a page of the kernel's, so that the entry can keep the frame.
  @inline(__always)
  static func protection(_ prot: Int32, writable: Bool) -> PageProtection {
    if prot & 7 == 0 { return .read }
    var result: PageProtection = .user
    if prot & (MM.PROT_READ | MM.PROT_WRITE) != 0 { result.insert(.read) }
    if prot & MM.PROT_WRITE != 0, writable { result.insert(.write) }
    if prot & MM.PROT_EXEC != 0 { result.insert(.execute) }
    return result
  }

  /// The entry for a frame.
  ///
  /// What may be written is accessed and dirty from the start, so that hardware never faults to
  /// say so.
  @inline(__always)
  func leaf(_ pa: UInt64, _ prot: Int32, writable: Bool) -> UInt64 {
    isa.leafEntry(
      pa, Self.protection(prot, writable: writable), accessed: true,
      dirty: writable && prot & MM.PROT_WRITE != 0)
  }

  /// The frame and protection of an entry; `nil` where it is empty or not a page of ours.
  @inline(__always)
  func present(_ entry: UInt64) -> (pa: UInt64, protection: PageProtection)? {
    guard entry != 0, case .leaf(let pa, let protection, _, _) = isa.classify(entry, level: 0),
      frames.owns(pa)
    else { return nil }
    return (pa, protection)
  }

  /// Notes that a translation changed or went away.
  @inline(__always)
  func changed(_ va: UInt64) {
    flushNeeded.add(va)
    readPage = .max
    writePage = .max
  }

  /// Notes that a page was mapped with this protection: code needs fetch to see it.
  @inline(__always)
  func noteMapped(_ pa: UInt64, _ prot: Int32) {
    if prot & MM.PROT_EXEC != 0, !frames.noteFetchable(pa) { instructionFlushNeeded = true }
  }

  /// Unmaps all pages of a range (`zap_page_range`).
  func zap(_ start: UInt64, _ end: UInt64) {
    readPage = .max
    writePage = .max
    try? table.forEachRun(start, end) { first, va, count in
      for index in 0..<count where first[index] != 0 {
        if let (pa, _) = present(first[index]) { frames.release(pa) }
        first[index] = 0
        residentPages -= 1
        flushNeeded.add(va &+ UInt64(index) << 12)
      }
    }
  }

  /// Frees tables around `start..<end` that serve nothing any more.
  func prune(_ start: UInt64, _ end: UInt64) {
    let index = findIndex(start)
    let floor = index > 0 ? vmas[index - 1].end : 0
    let ceiling = index < vmas.count ? vmas[index].start : isa.userEnd
    // Only what the freed range touches can have become empty.
    let region: UInt64 = 1 << 21
    let from = max(floor, start & ~(region &- 1))
    let to = min(ceiling, (end &+ region &- 1) & ~(region &- 1))
    if from < to, table.prune(pruneFloor(floor, from), pruneCeiling(ceiling, to)) {
      flushNeeded = .all
    }
  }

  /// Upper tables can be freed too where the hole reaches over all they serve.
  private func pruneFloor(_ floor: UInt64, _ from: UInt64) -> UInt64 {
    var aligned = from
    var shift: UInt64 = 30
    while shift <= 48 {
      let lower = from & ~((1 << shift) &- 1)
      if lower < floor { break }
      aligned = lower
      shift += 9
    }
    return aligned
  }

  private func pruneCeiling(_ ceiling: UInt64, _ to: UInt64) -> UInt64 {
    var aligned = to
    var shift: UInt64 = 30
    while shift <= 48 {
      let upper = (to &+ (1 << shift) &- 1) & ~((1 << shift) &- 1)
      if upper > ceiling { break }
      aligned = upper
      shift += 9
    }
    return aligned
  }
}

extension AddressSpace.Limits: Archived {
  package static func placeholder(_ a: Archive) -> AddressSpace.Limits { AddressSpace.Limits() }
  package mutating func archive(_ a: Archive) {
    a("addressSpace", &addressSpace)
    a("data", &data)
    a("stack", &stack)
    a("locked", &locked)
  }
}

extension AddressSpace.Layout: Archived {
  package static func placeholder(_ a: Archive) -> AddressSpace.Layout { AddressSpace.Layout() }
  package mutating func archive(_ a: Archive) {
    a("startCode", &startCode)
    a("endCode", &endCode)
    a("startData", &startData)
    a("endData", &endData)
    a("startBrk", &startBrk)
    a("brk", &brk)
    a("startStack", &startStack)
    a("argStart", &argStart)
    a("argEnd", &argEnd)
    a("envStart", &envStart)
    a("envEnd", &envEnd)
  }
}

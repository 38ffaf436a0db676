import Engine

/// Frames of guest RAM: who holds how many references to which.
///
/// A frame is named by its physical address. Contents are zero when it is handed out.
public final class PageAllocator: Archivable {
  /// The RAM behind the frames.
  public let ram: PhysicalMemory
  /// Its frames belong to a state that is no more, or not yet: nothing is given back.
  ///
  /// Whoever gives frames back when released asks before.
  private(set) var isInert = false
  /// Frames that are handed out now.
  public private(set) var used = 0 {
    didSet { peak = max(peak, used) }
  }
  /// Most frames that were handed out at once.
  public private(set) var peak = 0
  /// All frames.
  public let total: Int

  /// Gives back frames that can be filled again, when none is left: clean pages of files.
  ///
  /// Returns how many came free.
  public var reclaim: (() -> Int)?

  private let first: UInt64
  private var references: [UInt32] = []
  private var marks: [Marks] = []
  private var zero: UInt64?
  private var free = FrameBlocks()
  private var runs: [Run] = []
  private var owners: UInt32 = 0

  /// What is known of a frame besides its references.
  private struct Marks: OptionSet {
    let rawValue: UInt8
    /// Instruction fetch sees what it holds.
    static let fetchClean = Marks(rawValue: 1)
    /// Nobody has it, but it is kept for the owner of its run.
    static let kept = Marks(rawValue: 2)
    /// It was handed out before: it may hold something.
    static let dirty = Marks(rawValue: 4)
  }

  /// Whose the 512 adjoining frames are that are kept together, and how many of them are still to be
  /// handed out; owner zero: nobody's.
  private struct Run {
    var owner: UInt32 = 0
    var kept: UInt32 = 0
  }

  /// The frames of `ram` from physical address `first` (page-aligned) to the end.
  public init(ram: PhysicalMemory, from first: UInt64) {
    precondition(first >= ram.base && first & 4095 == 0, "frames start on a page of RAM")
    self.ram = ram
    self.first = first
    let end = ram.base &+ ram.size
    total = first < end ? Int((end &- first) / PhysicalMemory.pageSize) : 0
  }

  // MARK: Snapshots

  package init(placeholderFor a: Archive) {
    let frames = a.kernel.frames
    ram = frames.ram
    first = frames.first
    total = frames.total
    reclaim = frames.reclaim
    isInert = true
  }

  package func archive(_ a: Archive) {
    a("used", &used)
    a("peak", &peak)
    a.numbers("references", &references)
    var bytes = marks.map(\.rawValue)
    a.parts("marks") { a.raw(&bytes) }
    a("zero", &zero)
    var lists = free.lists
    a.parts("free") { for order in lists.indices { a.raw(numbers: &lists[order]) } }
    var of = runs.map(\.owner)
    a.parts("runs") { a.raw(numbers: &of) }
    a("owners", &owners)
    a.transient(["ram", "isInert", "total", "first", "reclaim"])
    guard a.isReading else { return }
    guard references.count <= total, bytes.count == references.count,
      of.count == Self.runs(references.count),
      let blocks = FrameBlocks(lists: lists, count: references.count)
    else { return a.fail("frames outside RAM") }
    free = blocks
    marks = bytes.map { Marks(rawValue: $0 & 7) }
    runs = of.map { Run(owner: $0) }
    // Each frame is free, kept or somebody's: one of the three.
    for (index, isFree) in blocks.isFree.enumerated() {
      let kept = marks[index].contains(.kept)
      let states = (isFree ? 1 : 0) + (kept ? 1 : 0) + (references[index] > 0 ? 1 : 0)
      guard states == 1 else { return a.fail("a frame that is free and in use, or neither") }
      if kept { runs[index >> FrameBlocks.largest].kept += 1 }
    }
    guard zero.map({ owns($0) }) ?? true, runs.allSatisfy({ $0.owner != 0 || $0.kept == 0 })
    else { return a.fail("frames outside RAM") }
    a.afterwards { self.isInert = false }
  }

  /// Its state is no more.
  func retire() { isInert = true }

  // MARK: Frames

  private func index(_ pa: UInt64) -> Int { Int((pa &- first) / PhysicalMemory.pageSize) }
  private func address(_ index: Int) -> UInt64 {
    first &+ UInt64(index) &* PhysicalMemory.pageSize
  }
  private static func runs(_ frames: Int) -> Int {
    (frames + Self.runPages - 1) >> FrameBlocks.largest
  }

  /// Hands out a zeroed frame with one reference.
  ///
  /// - Throws: `ENOMEM` where none is left.
  public func allocate() throws(Errno) -> UInt64 { try allocate(pages: 1) }

  /// Hands out `pages` adjoining zeroed frames (up to 512); they are given back together with
  /// ``free(_:pages:)``.
  ///
  /// - Throws: `ENOMEM` where they can't be had.
  public func allocate(pages: Int) throws(Errno) -> UInt64 {
    guard 1...Self.runPages ~= pages else { throw .ENOMEM }
    let order = Int.bitWidth - (pages - 1).leadingZeroBitCount
    var block = take(order: order)
    while block == nil, breakRun() { block = take(order: order) }
    if block == nil, let reclaim, reclaim() > 0 { block = take(order: order) }
    guard let block else { throw .ENOMEM }
    if pages < 1 << order { free.free(block + pages..<block + 1 << order) }
    for frame in block..<block + pages { handOut(frame) }
    return address(block)
  }

  /// A free block, of frames never used where all others are in use.
  private func take(order: Int) -> Int? {
    while true {
      if let block = free.take(order: order) { return block }
      let known = references.count
      guard known < total else { return nil }
      let more = min(total - known, Self.runPages)
      references.append(contentsOf: repeatElement(0, count: more))
      marks.append(contentsOf: repeatElement([], count: more))
      free.grow(by: more)
      runs.append(contentsOf: repeatElement(Run(), count: Self.runs(known + more) - runs.count))
    }
  }

  /// Makes a frame that nobody has somebody's.
  private func handOut(_ index: Int) {
    if marks[index].contains(.dirty) { ram.zero(address(index), PhysicalMemory.pageSize) }
    references[index] = 1
    marks[index] = .dirty
    used += 1
  }

  /// Takes back a frame without references.
  private func takeBack(_ index: Int) {
    used -= 1
    let run = index >> FrameBlocks.largest
    if runs[run].owner != 0 {
      marks[index].insert(.kept)
      runs[run].kept += 1
    } else {
      free.free(index, order: 0)
    }
  }

  /// Gives back what ``allocate(pages:)`` handed out.
  public func free(_ pa: UInt64, pages: Int) {
    guard !isInert else { return }
    let index = index(pa)
    used -= pages
    for frame in index..<index + pages { references[frame] = 0 }
    free.free(index..<index + pages)
  }

  // MARK: Runs
  //
  // A program's pages are touched in any order, and frames handed out in that order would lie anywhere.
  // Whoever looks for translations (the JIT's remembered pages; a host's own TLB) is better off with
  // frames that lie as their pages do. So an address space can keep 512 frames for 2 MiB of its
  // addresses, and take each when its page is touched. Where frames get scarce those not taken are
  // anybody's.
  //
  // - SeeAlso: FreeBSD, `sys/vm/vm_reserv.c`, "Superpage reservation management"

  /// Frames of a run: 2 MiB.
  static let runPages = 1 << FrameBlocks.largest

  /// A name for somebody who keeps runs.
  func newOwner() -> UInt32 {
    owners &+= 1
    if owners == 0 { owners = 1 }
    return owners
  }

  /// Keeps a run for `owner`; returns where it starts, or `nil` where there is none to be had
  /// without taking it from somebody.
  func keepRun(for owner: UInt32) -> UInt64? {
    guard let block = take(order: FrameBlocks.largest) else { return nil }
    for frame in block..<block + Self.runPages { marks[frame].insert(.kept) }
    runs[block >> FrameBlocks.largest] = Run(owner: owner, kept: UInt32(Self.runPages))
    return address(block)
  }

  /// Hands out the frame at `pa`, zeroed and with one reference, if it is still kept for `owner`.
  func takeKept(_ pa: UInt64, for owner: UInt32) -> Bool {
    let index = index(pa)
    let run = index >> FrameBlocks.largest
    guard pa >= first, index < marks.count, runs[run].owner == owner,
      marks[index].contains(.kept)
    else { return false }
    marks[index].remove(.kept)
    runs[run].kept -= 1
    handOut(index)
    return true
  }

  /// Ends the run that starts at `pa`, if it is still kept for `owner`.
  func dropRun(_ pa: UInt64, of owner: UInt32) {
    let run = index(pa) >> FrameBlocks.largest
    guard !isInert, pa >= first, run < runs.count, runs[run].owner == owner else { return }
    end(run)
  }

  private func end(_ run: Int) {
    let frames = run << FrameBlocks.largest..<(run + 1) << FrameBlocks.largest
    runs[run] = Run()
    var from: Int?
    for frame in frames {
      if marks[frame].contains(.kept) {
        marks[frame].remove(.kept)
        if from == nil { from = frame }
      } else if let start = from {
        free.free(start..<frame)
        from = nil
      }
    }
    if let start = from { free.free(start..<frames.upperBound) }
  }

  /// Ends a run of which frames are left, when there are no others.
  private func breakRun() -> Bool {
    guard let run = runs.firstIndex(where: { $0.kept > 0 }) else { return false }
    end(run)
    return true
  }

  // MARK: References

  /// Adds a reference.
  public func retain(_ pa: UInt64) { references[index(pa)] += 1 }

  /// Drops a reference; the last one frees the frame.
  public func release(_ pa: UInt64) {
    guard !isInert else { return }
    let index = index(pa)
    precondition(references[index] > 0, "a frame is released once too often")
    references[index] -= 1
    if references[index] == 0 { takeBack(index) }
  }

  /// How many references a frame has.
  public func references(_ pa: UInt64) -> Int { Int(references[index(pa)]) }

  /// Whether `pa` is in a frame that this allocator handed out.
  public func owns(_ pa: UInt64) -> Bool {
    pa >= first && index(pa) < references.count && references[index(pa)] > 0
  }

  /// A frame of zeroes that many pages share for reading; nobody writes to it.
  ///
  /// - Throws: `ENOMEM` where there is none yet and none can be had.
  public func zeroFrame() throws(Errno) -> UInt64 {
    if let zero { return zero }
    let pa = try allocate()
    zero = pa
    return pa
  }

  /// Whether `pa` is ``zeroFrame()``.
  @inline(__always)
  public func isZeroFrame(_ pa: UInt64) -> Bool { zero == pa }

  /// Notes that instruction fetch will see what the frame holds now.
  ///
  /// - Returns: whether that was so before: nothing has to be flushed.
  /// - SeeAlso: Linux, `arch/riscv/mm/cacheflush.c`, `flush_icache_pte`; `PG_dcache_clean`
  public func noteFetchable(_ pa: UInt64) -> Bool {
    let index = index(pa)
    let before = marks[index].contains(.fetchClean)
    marks[index].insert(.fetchClean)
    return before
  }

  /// Notes that the kernel wrote to a frame (`flush_dcache_page`), so that instruction fetch has to
  /// be synchronised when it is next mapped as code.
  public func noteWritten(_ pa: UInt64) { marks[index(pa)].remove(.fetchClean) }

  /// Frames that can still be had.
  public var available: Int { total - used }
}

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
  private var references: [UInt32]
  private var fetchClean: [Bool] = []
  private var zero: UInt64?
  private var next = 0
  private var free: [UInt32] = []
  private var freeBlocks: [Int: [UInt32]] = [:]

  /// The frames of `ram` from physical address `first` (page-aligned) to the end.
  public init(ram: PhysicalMemory, from first: UInt64) {
    precondition(first >= ram.base && first & 4095 == 0, "frames start on a page of RAM")
    self.ram = ram
    self.first = first
    let end = ram.base &+ ram.size
    total = first < end ? Int((end &- first) / PhysicalMemory.pageSize) : 0
    references = []
  }

  package init(placeholderFor a: Archive) {
    let frames = a.kernel.frames
    ram = frames.ram
    first = frames.first
    total = frames.total
    references = []
    reclaim = frames.reclaim
    isInert = true
  }

  package func archive(_ a: Archive) {
    a("used", &used)
    a("peak", &peak)
    a.numbers("references", &references)
    var clean: [UInt8] = fetchClean.map { $0 ? 1 : 0 }
    a.parts("fetchClean") { a.raw(&clean) }
    a("zero", &zero)
    a("next", &next)
    a.numbers("free", &free)
    a("freeBlocks", &freeBlocks)
    a.transient(["ram", "isInert", "total", "first", "reclaim"])
    guard a.isReading else { return }
    fetchClean = clean.map { $0 != 0 }
    let places = free + freeBlocks.values.joined()
    guard next >= 0, next <= total, references.count == next, fetchClean.count == next,
      places.allSatisfy({ $0 < next }),
      freeBlocks.allSatisfy({ size, blocks in
        size > 1 && size <= next && blocks.allSatisfy { Int($0) <= next - size }
      }), zero.map({ owns($0) }) ?? true
    else {
      a.fail("frames outside RAM")
      return
    }
    a.afterwards { self.isInert = false }
  }

  /// Its state is no more.
  func retire() { isInert = true }

  private func index(_ pa: UInt64) -> Int { Int((pa &- first) / PhysicalMemory.pageSize) }
  private func address(_ index: Int) -> UInt64 {
    first &+ UInt64(index) &* PhysicalMemory.pageSize
  }

  /// Hands out a zeroed frame with one reference.
  ///
  /// - Throws: `ENOMEM` where none is left.
  public func allocate() throws(Errno) -> UInt64 {
    if let index = free.popLast() {
      references[Int(index)] = 1
      fetchClean[Int(index)] = false
      used += 1
      let pa = address(Int(index))
      ram.zero(pa, PhysicalMemory.pageSize)
      return pa
    }
    return try allocate(pages: 1)
  }

  /// Hands out `pages` adjoining zeroed frames; they are given back together with
  /// ``free(_:pages:)``.
  ///
  /// - Throws: `ENOMEM` where they can't be had.
  public func allocate(pages: Int) throws(Errno) -> UInt64 {
    if pages > 1, let index = freeBlocks[pages]?.popLast() {
      let pa = address(Int(index))
      ram.zero(pa, UInt64(pages) &* PhysicalMemory.pageSize)
      for page in 0..<pages {
        references[Int(index) + page] = 1
        fetchClean[Int(index) + page] = false
      }
      used += pages
      return pa
    }
    guard pages > 0 else { throw .ENOMEM }
    guard next + pages <= total else {
      guard pages == 1, let reclaim, reclaim() > 0, !free.isEmpty else { throw .ENOMEM }
      return try allocate()
    }
    let index = next
    next += pages
    references.append(contentsOf: repeatElement(1, count: pages))
    fetchClean.append(contentsOf: repeatElement(false, count: pages))
    used += pages
    return address(index)
  }

  /// Gives back what ``allocate(pages:)`` handed out.
  public func free(_ pa: UInt64, pages: Int) {
    guard !isInert else { return }
    let index = index(pa)
    for page in 0..<pages { references[index + page] = 0 }
    used -= pages
    if pages == 1 {
      free.append(UInt32(index))
    } else {
      freeBlocks[pages, default: []].append(UInt32(index))
    }
  }

  /// Adds a reference.
  public func retain(_ pa: UInt64) { references[index(pa)] += 1 }

  /// Drops a reference; the last one frees the frame.
  public func release(_ pa: UInt64) {
    guard !isInert else { return }
    let index = index(pa)
    precondition(references[index] > 0, "a frame is released once too often")
    references[index] -= 1
    if references[index] == 0 {
      used -= 1
      free.append(UInt32(index))
    }
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
    let before = fetchClean[index]
    fetchClean[index] = true
    return before
  }

  /// Notes that the kernel wrote to a frame (`flush_dcache_page`), so that instruction fetch has to
  /// be synchronised when it is next mapped as code.
  public func noteWritten(_ pa: UInt64) { fetchClean[index(pa)] = false }

  /// Frames that can still be had.
  public var available: Int { total - used }
}

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Guest RAM: one contiguous range of physical addresses, taken from the host page by page as the
/// guest touches it.
///
/// Writes by devices and by the kernel model go through here and keep translated code coherent;
/// writes by a hart go through its TLB and reach here only for pages that need watching.
public final class PhysicalMemory {
  /// Bytes in a page.
  public static let pageSize: UInt64 = 4096

  /// The largest RAM: the host's address space must have room for it and for what is kept about
  /// every page.
  public static let maxSize: UInt64 = 1 << 45

  /// The first physical address.
  public let base: UInt64
  /// Size in bytes, a multiple of the page size.
  public let size: UInt64
  /// Where the first byte lies in this process.
  public let host: UnsafeMutableRawPointer

  /// Why stores to a page take the slow path.
  ///
  /// One byte a page.
  let flags: UnsafeMutablePointer<UInt8>
  /// The harts whose TLBs and translations depend on this memory.
  private(set) var harts: [AttachedHart] = []

  /// Told of every store to a monitored page, after it: address and size in bytes.
  public var onMonitoredStore: ((UInt64, UInt64) -> Void)?

  /// Which pages were written, or may have been, since they were last taken note of: one byte a page.
  let dirty: UnsafeMutablePointer<UInt8>
  /// Those pages, by number, in the order in which they became so.
  var dirtyPages: [UInt32] = []
  /// What RAM held when its dirty pages were last taken note of (``image()``, ``restore(_:)``).
  var latest = RAMImage()

  private let flagBytes: Int

  /// Reserves `size` bytes (rounded up to a page) at physical address `base`.
  ///
  /// - Returns: `nil` where the host refuses the reservation, `size` is zero or above ``maxSize``,
  ///   `base` is not the start of a page or the range wraps.
  public init?(base: UInt64, size: UInt64) {
    guard size > 0, size <= Self.maxSize, base % Self.pageSize == 0 else { return nil }
    let rounded = (size &+ Self.pageSize &- 1) & ~(Self.pageSize &- 1)
    guard base <= UInt64.max - rounded else { return nil }
    flagBytes = Int(rounded / Self.pageSize)
    guard let ram = reservePages(Int(rounded)) else { return nil }
    guard let flags = reservePages(2 * flagBytes) else {
      releasePages(ram, Int(rounded))
      return nil
    }
    self.base = base
    self.size = rounded
    host = ram
    self.flags = flags.assumingMemoryBound(to: UInt8.self)
    dirty = self.flags + flagBytes
  }

  deinit {
    munmap(host, Int(size))
    munmap(flags, 2 * flagBytes)
  }

  /// Why a page is watched.
  struct PageFlags: OptionSet {
    let rawValue: UInt8
    /// Holds translated code.
    static let code = PageFlags(rawValue: 1)
    /// Was read as a page table (coherent mode).
    static let pageTable = PageFlags(rawValue: 2)
    /// Holds a reservation of a hart that is not running.
    static let reserved = PageFlags(rawValue: 4)
    /// Somebody wants to know of stores (``PhysicalMemory/monitor(_:)``).
    static let monitored = PageFlags(rawValue: 8)
  }

  func attach(_ hart: Hart) { harts.append(AttachedHart(hart)) }

  func detach(_ hart: ObjectIdentifier) { harts.removeAll { $0.id == hart } }

  /// Whether all of `count` bytes at `pa` are RAM.
  @inline(__always)
  public func contains(_ pa: UInt64, _ count: UInt64 = 1) -> Bool {
    let offset = pa &- base
    return offset < size && count <= size &- offset
  }

  /// The host address of a physical address that ``contains(_:_:)`` holds for.
  @inline(__always)
  public func pointer(_ pa: UInt64) -> UnsafeMutableRawPointer { host + Int(pa &- base) }

  /// Reads a little-endian value.
  ///
  /// `nil` outside RAM.
  @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(_ pa: UInt64, as: T.Type) -> T? {
    guard contains(pa, UInt64(MemoryLayout<T>.size)) else { return nil }
    return pointer(pa).loadUnaligned(as: T.self)
  }

  /// Writes a little-endian value.
  ///
  /// `false` outside RAM.
  @inline(__always) @discardableResult
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ pa: UInt64, _ value: T) -> Bool {
    guard contains(pa, UInt64(MemoryLayout<T>.size)) else { return false }
    pointer(pa).storeBytes(of: value, as: T.self)
    noteWrite(pa, UInt64(MemoryLayout<T>.size))
    return true
  }

  /// Copies bytes into RAM.
  ///
  /// `false`, and nothing written, unless all of the range is RAM.
  @discardableResult
  public func write(_ pa: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard contains(pa, UInt64(bytes.count)) else { return false }
    if let from = bytes.baseAddress, bytes.count > 0 {
      memcpy(pointer(pa), from, bytes.count)
      noteWrite(pa, UInt64(bytes.count))
    }
    return true
  }

  /// Copies bytes into RAM.
  ///
  /// `false`, and nothing written, unless all of the range is RAM.
  @discardableResult
  public func write(_ pa: UInt64, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { write(pa, $0) }
  }

  /// Copies bytes out of RAM.
  ///
  /// `false`, and nothing read, unless all of the range is RAM.
  public func read(_ pa: UInt64, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard contains(pa, UInt64(bytes.count)) else { return false }
    if let to = bytes.baseAddress, bytes.count > 0 { memcpy(to, pointer(pa), bytes.count) }
    return true
  }

  /// `count` bytes at `pa`, or `nil` unless all of the range is RAM.
  public func bytes(_ pa: UInt64, _ count: Int) -> [UInt8]? {
    guard count >= 0, contains(pa, UInt64(count)) else { return nil }
    return Array(UnsafeRawBufferPointer(start: pointer(pa), count: count))
  }

  /// Fills `count` bytes with zero.
  ///
  /// `false` unless all of the range is RAM.
  @discardableResult
  public func zero(_ pa: UInt64, _ count: UInt64) -> Bool {
    guard contains(pa, count) else { return false }
    memset(pointer(pa), 0, Int(count))
    noteWrite(pa, count)
    return true
  }

  /// Tells whoever depends on the bytes at `pa` that they were written by other means than a hart.
  @inline(__always)
  public func noteWrite(_ pa: UInt64, _ count: UInt64) {
    guard count > 0 else { return }
    let first = (pa &- base) / Self.pageSize
    let last = (pa &- base &+ count &- 1) / Self.pageSize
    var page = first
    while page <= last {
      markDirty(page: Int(page))
      page &+= 1
    }
    page = first
    while page <= last {
      if flags[Int(page)] != 0 {
        // A device writes while a hart runs: that hart must not go on with what was dropped.
        if flaggedWrite(pa, count) {
          for attached in harts { attached.hart.lookAround() }
        }
        return
      }
      page &+= 1
    }
  }

  @inline(__always)
  func markDirty(page: Int) {
    if dirty[page] == 0 { becomeDirty(page) }
  }

  @inline(never)
  private func becomeDirty(_ page: Int) {
    dirty[page] = 1
    dirtyPages.append(UInt32(truncatingIfNeeded: page))
  }

  /// Says that the page of `pa`, which must be RAM, is about to be written through ``pointer(_:)`` by
  /// somebody on whose stores no translation depends.
  ///
  /// Such a writer must say so anew after each time that the guest has run.
  @inline(__always)
  public func willWrite(_ pa: UInt64) { markDirty(page: Int((pa &- base) / Self.pageSize)) }

  /// ``willWrite(_:)`` for what lies at `pointer`, inside RAM.
  @inline(__always)
  public func willWrite(at pointer: UnsafeRawPointer) {
    markDirty(page: (pointer - UnsafeRawPointer(host)) / Int(Self.pageSize))
  }

  /// Writes accessed and dirty bits into a page-table entry, whose address ``contains(_:_:)`` holds
  /// for: of no consequence to translations, but the page may be watched for other reasons too.
  public func updateTableEntry(_ pa: UInt64, _ entry: UInt64, by hart: Hart) {
    pointer(pa).storeBytes(of: entry, as: UInt64.self)
    willWrite(pa)
    let others = PageFlags(rawValue: flags[Int((pa &- base) / Self.pageSize)])
    guard !others.subtracting(.pageTable).isEmpty else { return }
    if flaggedWrite(pa, 8, by: hart, asTable: false) { hart.lookAround() }
  }

  /// A store hit a watched page: drop what depended on the bytes.
  ///
  /// Bytes of a restored image are nobody's store: who monitors is not told, and reservations are
  /// those that were restored.
  ///
  /// - Returns: whether something was dropped, so that a running block must be left.
  @inline(never) @discardableResult
  func flaggedWrite(
    _ pa: UInt64, _ count: UInt64, by writer: Hart? = nil, asTable: Bool = true,
    isRestored: Bool = false
  ) -> Bool {
    var dropped = false
    var page = (pa &- base) / Self.pageSize
    let last = (pa &- base &+ count &- 1) / Self.pageSize
    while page <= last {
      let index = Int(page)
      let here = PageFlags(rawValue: flags[index])
      let start = max(pa, base &+ page &* Self.pageSize)
      let end = min(pa &+ count, base &+ (page &+ 1) &* Self.pageSize)
      if here.contains(.code) {
        var empty = true
        var seen: BlockCache?
        for attached in harts where attached.hart.blocks !== seen {
          let hart = attached.hart
          seen = hart.blocks
          if hart.blocks.invalidate(start, end &- start, harts) { dropped = true }
          if !hart.blocks.isEmpty(page: index) { empty = false }
        }
        if empty { flags[index] &= ~PageFlags.code.rawValue }
      }
      if asTable, here.contains(.pageTable) {
        flags[index] &= ~PageFlags.pageTable.rawValue
        for attached in harts { attached.hart.flushTLB() }
        dropped = true
      }
      if here.contains(.reserved), !isRestored {
        for attached in harts where attached.hart !== writer {
          attached.hart.reservationWritten(start, end &- start)
        }
        let address = page &* Self.pageSize &+ base
        if !harts.contains(where: { $0.hart.holdsReservation(inPage: address) }) {
          flags[index] &= ~PageFlags.reserved.rawValue
        }
      }
      page &+= 1
      if here.contains(.monitored), !isRestored { onMonitoredStore?(start, end &- start) }
    }
    return dropped
  }

  /// Has ``onMonitoredStore`` told of stores to the page of `pa`, which must be RAM.
  public func monitor(_ pa: UInt64) { watch(pa, .monitored) }

  /// Makes stores to the page of `pa` take the slow path, for `reason`.
  func watch(_ pa: UInt64, _ reason: PageFlags) {
    let index = Int((pa &- base) / Self.pageSize)
    let before = flags[index]
    flags[index] = before | reason.rawValue
    guard before == 0 else { return }
    let page = host + index * Int(Self.pageSize)
    for attached in harts { attached.hart.forgetWritable(hostPage: page) }
  }

  /// Whether the page of `pa` is marked as written since dirty pages were last taken note of.
  @inline(__always)
  func isDirty(_ pa: UInt64) -> Bool { dirty[Int((pa &- base) / Self.pageSize)] != 0 }

  /// Whether stores to the page of `pa` must take the slow path.
  @inline(__always)
  func isWatched(_ pa: UInt64) -> Bool { flags[Int((pa &- base) / Self.pageSize)] != 0 }
}

/// A hart that is told of writes.
///
/// It owns its RAM, so RAM must not own it; it detaches itself.
struct AttachedHart {
  let id: ObjectIdentifier
  unowned(unsafe) let hart: Hart

  init(_ hart: Hart) {
    id = ObjectIdentifier(hart)
    self.hart = hart
  }
}

/// Address space from the host, zero-filled and not backed until touched.
func reservePages(_ count: Int) -> UnsafeMutableRawPointer? {
  let got = mmap(
    nil, max(count, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
  return got == MAP_FAILED ? nil : got
}

/// Gives address space back to the host.
func releasePages(_ pages: UnsafeMutableRawPointer, _ count: Int) { munmap(pages, max(count, 1)) }

import Engine

/// The page tables of one address space: where entries are, not what they should be.
///
/// Entries are written straight to RAM, as a kernel's stores would be: nothing but the guest's
/// maintenance instruction makes a hart forget what it has seen. An entry of zero is empty on every
/// instruction set.
final class PageTable {
  let ram: PhysicalMemory
  private(set) var frames: PageAllocator
  let isa: any KernelISA
  /// Physical address of the root table; zero after ``free(_:)``.
  private(set) var root: UInt64
  /// Tables, the root included.
  private(set) var tables = 1

  private let levels: Int
  private let userEnd: UInt64
  /// The leaf table that was used last, and which 2 MiB it serves.
  private var lastRegion: UInt64 = .max
  private var lastTable: UnsafeMutablePointer<UInt64>?

  typealias Entries = UnsafeMutablePointer<UInt64>

  /// A root table with `kernelRoot`'s upper half and nothing below.
  init(frames: PageAllocator, isa: any KernelISA, kernelRoot: UInt64) throws(Errno) {
    ram = frames.ram
    self.frames = frames
    self.isa = isa
    levels = isa.pageTableLevels
    userEnd = isa.userEnd
    root = try frames.allocate()
    let shift = UInt64(12 + 9 * (levels - 1))
    let first = Int(min((userEnd &+ (1 << shift) &- 1) >> shift, 512))
    if ram.contains(kernelRoot, 4096) {
      let to = entries(root)
      let from = ram.pointer(kernelRoot).assumingMemoryBound(to: UInt64.self)
      (to + first).update(from: from + first, count: 512 - first)
    }
  }

  /// No table.
  init(placeholderFor a: Archive) {
    ram = a.kernel.ram
    frames = a.placeholder(PageAllocator.self)
    isa = a.kernel.isa
    levels = isa.pageTableLevels
    userEnd = isa.userEnd
    root = 0
    tables = 0
  }

  func archive(_ a: Archive) {
    a.ref("frames", &frames)
    a("root", &root)
    a("tables", &tables)
    guard a.isReading else { return }
    lastRegion = .max
    a.afterwards { [self] in
      if root != 0, root & 4095 != 0 || !frames.owns(root) { a.fail("a page table outside RAM") }
    }
  }

  /// The entries of a table, which may be about to be written.
  @inline(__always)
  private func entries(_ pa: UInt64) -> Entries {
    ram.willWrite(pa)
    return ram.pointer(pa).assumingMemoryBound(to: UInt64.self)
  }

  @inline(__always)
  private func shift(_ level: Int) -> UInt64 { UInt64(12 + 9 * level) }

  @inline(__always)
  private func index(_ va: UInt64, _ level: Int) -> Int {
    Int(truncatingIfNeeded: (va >> shift(level)) & 511)
  }

  /// The table that an entry of an upper level leads to.
  @inline(__always)
  private func next(_ entry: UInt64, _ level: Int) -> UInt64? {
    guard entry != 0, case .table(let pa) = isa.classify(entry, level: level), frames.owns(pa)
    else { return nil }
    return pa
  }

  /// The leaf-table entry of a user address, if its table exists.
  @inline(__always)
  func entry(_ va: UInt64) -> Entries? {
    if va >> 21 == lastRegion, let lastTable {
      ram.willWrite(at: lastTable)
      return lastTable + index(va, 0)
    }
    return find(va)
  }

  private func find(_ va: UInt64) -> Entries? {
    guard va < userEnd, root != 0 else { return nil }
    var table = root
    var level = levels - 1
    while level > 0 {
      guard let below = next(entries(table)[index(va, level)], level) else { return nil }
      table = below
      level -= 1
    }
    lastRegion = va >> 21
    lastTable = entries(table)
    return entries(table) + index(va, 0)
  }

  /// The leaf-table entry of a user address; missing tables are made.
  ///
  /// - Throws: `ENOMEM`
  func makeEntry(_ va: UInt64) throws(Errno) -> Entries {
    if let found = entry(va) { return found }
    guard va < userEnd, root != 0 else { throw .EFAULT }
    var table = root
    var level = levels - 1
    while level > 0 {
      let slot = entries(table) + index(va, level)
      if let below = next(slot.pointee, level) {
        table = below
      } else {
        let below = try frames.allocate()
        tables += 1
        slot.pointee = isa.tableEntry(below)
        table = below
      }
      level -= 1
    }
    lastRegion = va >> 21
    lastTable = entries(table)
    return entries(table) + index(va, 0)
  }

  /// Calls `body` with the entries of each leaf table that exists in `start..<end`: the first entry,
  /// its address, and how many.
  func forEachRun(
    _ start: UInt64, _ end: UInt64,
    _ body: (_ first: Entries, _ va: UInt64, _ count: Int) throws(Errno) -> Void
  ) throws(Errno) {
    guard start < end, end <= userEnd, root != 0 else { return }
    try visit(root, levels - 1, start, end, body)
  }

  private func visit(
    _ table: UInt64, _ level: Int, _ start: UInt64, _ end: UInt64,
    _ body: (Entries, UInt64, Int) throws(Errno) -> Void
  ) throws(Errno) {
    let slots = entries(table)
    if level == 0 {
      let first = index(start, 0)
      try body(slots + first, start, Int(truncatingIfNeeded: (end &- start) >> 12))
      return
    }
    var va = start
    while va < end {
      let stop = min(end, ((va >> shift(level)) &+ 1) << shift(level))
      let entry = slots[index(va, level)]
      if entry != 0, let below = next(entry, level) {
        try visit(below, level - 1, va, stop, body)
      }
      va = stop
    }
  }

  /// Frees the tables that serve nothing outside `floor..<ceiling`, where nothing is mapped any
  /// more.
  ///
  /// - Returns: whether a table was freed.
  /// - SeeAlso: Linux, `mm/memory.c`, `free_pgtables`
  func prune(_ floor: UInt64, _ ceiling: UInt64) -> Bool {
    guard floor < ceiling, root != 0 else { return false }
    let before = tables
    prune(root, levels - 1, floor, min(ceiling, userEnd))
    if tables == before { return false }
    lastRegion = .max
    return true
  }

  private func prune(_ table: UInt64, _ level: Int, _ floor: UInt64, _ ceiling: UInt64) {
    let slots = entries(table)
    let size: UInt64 = 1 << shift(level)
    var va = floor
    while va < ceiling {
      let start = va & ~(size &- 1)
      let stop = start &+ size
      let slot = slots + index(va, level)
      if slot.pointee != 0, let below = next(slot.pointee, level) {
        if level > 1 { prune(below, level - 1, va, min(stop, ceiling)) }
        // The last partial table of user space also ends where user space ends.
        if start >= floor, stop <= ceiling || ceiling == userEnd {
          slot.pointee = 0
          frames.release(below)
          tables -= 1
        }
      }
      va = stop
    }
  }

  /// Gives back every table, the root too; `leaf` sees each entry of a leaf table that is not empty.
  func free(_ leaf: (UInt64) -> Void) {
    guard root != 0 else { return }
    lastRegion = .max
    let top = levels - 1
    free(root, top, Int((userEnd &+ (1 << shift(top)) &- 1) >> shift(top)), leaf)
    frames.release(root)
    root = 0
    tables = 0
  }

  private func free(_ table: UInt64, _ level: Int, _ count: Int, _ leaf: (UInt64) -> Void) {
    let slots = entries(table)
    for index in 0..<min(count, 512) {
      let entry = slots[index]
      if entry == 0 { continue }
      if level == 0 {
        leaf(entry)
      } else if let below = next(entry, level) {
        free(below, level - 1, 512, leaf)
        frames.release(below)
      }
    }
  }
}

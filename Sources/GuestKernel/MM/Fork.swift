import Engine

// fork and the end of an address space.
//
// - SeeAlso: Linux, `kernel/fork.c`, `dup_mmap`; `mm/memory.c`, `copy_page_range`; `mm/mmap.c`,
//   `exit_mmap`

extension AddressSpace {
  /// A copy for a child: private pages are shared until one side writes to them.
  ///
  /// - Throws: `ENOMEM`
  /// - Note: Deviation: pages of files are copied too, which Linux leaves to the child's faults.
  public func fork(asid: UInt16 = 0) throws(Errno) -> AddressSpace {
    let child = try AddressSpace(like: self, asid: asid)
    // The arrays stay one until a side changes its mappings.
    child.vmas = vmas
    child.mappedBytes = mappedBytes
    child.dataBytes = dataBytes
    var special = false
    for index in vmas.indices {
      let flags = vmas[index].flags
      if flags.intersection([.dontFork, .wipeOnFork, .locked]) != [] {
        special = true
        if flags.intersection([.dontFork, .wipeOnFork]) != [] { continue }
      }
      do throws(Errno) {
        try copyPages(
          vmas[index].start, vmas[index].end,
          protecting: vmas[index].isPrivate ? vmas[index].prot : nil, to: child)
      } catch {
        child.releaseAll()
        throw error
      }
    }
    for inode in registered { child.register(inode) }
    if special {
      let without = child.vmas.indices.filter { child.vmas[$0].flags.contains(.dontFork) }
      for index in without.reversed() { child.forget(index..<(index + 1)) }
      for index in child.vmas.indices { child.vmas[index].flags.remove(.locked) }
    }
    return child
  }

  /// Copies the entries of a range; `prot` is that of a private mapping, whose writable pages become
  /// read-only on both sides.
  private func copyPages(
    _ start: UInt64, _ end: UInt64, protecting prot: Int32?, to child: AddressSpace
  ) throws(Errno) {
    var copied = 0
    var demoted = false
    defer {
      child.residentPages += copied
      if demoted {
        flushNeeded = .all
        writePage = .max
      }
    }
    try table.forEachRun(start, end) { (first, va, count) throws(Errno) in
      var target: UnsafeMutablePointer<UInt64>?
      for index in 0..<count where first[index] != 0 {
        guard let (pa, protection) = present(first[index]) else { continue }
        let to: UnsafeMutablePointer<UInt64>
        if let target {
          to = target
        } else {
          to = try child.table.makeEntry(va)
          target = to
        }
        if let prot, protection.contains(.write) {
          first[index] = leaf(pa, prot, writable: false)
          demoted = true
        }
        to[index] = first[index]
        frames.retain(pa)
        copied += 1
      }
    }
  }

  /// Gives back all frames and tables.
  ///
  /// The root must not be in force any more.
  public func releaseAll() {
    for inode in registered { inode.removeMapping(self) }
    registered = []
    vmas = []
    readPage = .max
    writePage = .max
    table.free { entry in
      if let (pa, _) = present(entry) { frames.release(pa) }
    }
    // In order: which frames are handed out next must not depend on the hashes of this run.
    for (_, run) in runs.sorted(by: { $0.key < $1.key }) { frames.dropRun(run, of: owner) }
    runs = [:]
    residentPages = 0
    mappedBytes = 0
    dataBytes = 0
  }

  /// Tells a file that this address space maps it.
  func register(_ inode: Inode) {
    if registered.contains(where: { $0 === inode }) { return }
    registered.append(inode)
    inode.addMapping(self)
  }
}

import Engine

// mremap.
//
// - SeeAlso: Linux, `mm/mremap.c`; mremap(2)

extension AddressSpace {
  /// `mremap`: makes a mapping longer, shorter, or moves it.
  ///
  /// - Parameters:
  ///   - addr: where it is.
  ///   - oldLength: its bytes; 0: a second mapping of the same shared pages.
  ///   - newLength: the bytes it shall have.
  ///   - flags: `MREMAP_*`.
  ///   - newAddr: looked at with `MREMAP_FIXED` and `MREMAP_DONTUNMAP`.
  /// - Returns: where it is now.
  /// - Throws: what mremap(2) says.
  public func mremap(
    _ addr: UInt64, _ oldLength: UInt64, _ newLength: UInt64, flags: Int32, newAddr: UInt64 = 0
  ) throws(Errno) -> UInt64 {
    let fixed = flags & MM.MREMAP_FIXED != 0
    let keep = flags & MM.MREMAP_DONTUNMAP != 0
    let mayMove = flags & MM.MREMAP_MAYMOVE != 0
    guard flags & ~(MM.MREMAP_MAYMOVE | MM.MREMAP_FIXED | MM.MREMAP_DONTUNMAP) == 0,
      mayMove || !(fixed || keep), !keep || oldLength == newLength, addr & 4095 == 0
    else { throw .EINVAL }
    var old = MM.pageAlign(oldLength)
    let new = MM.pageAlign(newLength)
    guard new > 0 else { throw .EINVAL }
    guard vma(at: addr) != nil else { throw .EFAULT }
    if fixed || keep {
      return try moveTo(addr, &old, new, newAddr, fixed: fixed, keep: keep)
    }
    if old >= new {
      if old > new { try munmap(addr &+ new, old &- new) }
      return addr
    }
    let vma = try resizable(addr, old, new, keep: false)
    if old == vma.end &- addr, canExtend(vma, new &- old) {
      try place(tail(of: vma, new &- old))
      observer?.mapped(self, addr &+ old, addr &+ new)
      if vma.flags.contains(.locked) { prefault(addr &+ old, addr &+ new) }
      return addr
    }
    guard mayMove else { throw .ENOMEM }
    let target = try unmappedArea(0, new, fixed: false)
    return try move(vma, addr, old, target, new, keep: false)
  }

  private func moveTo(
    _ addr: UInt64, _ old: inout UInt64, _ new: UInt64, _ newAddr: UInt64, fixed: Bool, keep: Bool
  ) throws(Errno) -> UInt64 {
    let limit = isa.userEnd
    guard newAddr & 4095 == 0, new <= limit, newAddr <= limit &- new else { throw .EINVAL }
    guard addr &+ old <= newAddr || newAddr &+ new <= addr, addr &+ old >= addr
    else { throw .EINVAL }
    guard vmas.count + 2 < MM.maxMapCount else { throw .ENOMEM }
    if fixed { try munmap(newAddr, new) }
    if old > new {
      try munmap(addr &+ new, old &- new)
      old = new
    }
    let vma = try resizable(addr, old, new, keep: keep)
    if keep, !mayExpand(old, data: vma.isData) { throw .ENOMEM }
    let target = try unmappedArea(newAddr, new, fixed: fixed)
    return try move(vma, addr, old, target, new, keep: keep)
  }

  /// The mapping at `addr`, if it may become `new` bytes long (`vma_to_resize`).
  private func resizable(
    _ addr: UInt64, _ old: UInt64, _ new: UInt64, keep: Bool
  ) throws(Errno) -> VMA {
    guard let vma = vma(at: addr) else { throw .EFAULT }
    // A length of zero asks for a second mapping of the same pages: only shared ones have any.
    if old == 0, vma.isPrivate { throw .EINVAL }
    if keep, vma.flags.contains(.dontExpand) { throw .EINVAL }
    guard old <= vma.end &- addr else { throw .EFAULT }
    if new == old { return vma }
    let pages = vma.index(addr)
    guard pages &+ (new >> 12) >= pages else { throw .EINVAL }
    if vma.flags.contains(.dontExpand) { throw .EFAULT }
    guard mayExpand(new &- old, data: vma.isData) else { throw .ENOMEM }
    if vma.prot & MM.PROT_WRITE != 0, vma.isPrivate, !vma.flags.contains(.noReserve),
      !enoughMemory(new &- old)
    {
      throw .ENOMEM
    }
    return vma
  }

  private func canExtend(_ vma: VMA, _ bytes: UInt64) -> Bool {
    let (end, over) = vma.end.addingReportingOverflow(bytes)
    guard !over, end <= isa.userEnd else { return false }
    return !intersects(vma.end, end)
  }

  /// What makes `vma` longer by `bytes`; it merges with it unless its backing never does.
  private func tail(of vma: VMA, _ bytes: UInt64) -> VMA {
    var tail = vma
    tail.pageOffset = vma.pageOffset &+ (vma.count >> 12)
    tail.start = vma.end
    tail.end = vma.end &+ bytes
    return tail
  }

  /// `move_vma`: a mapping of `new` bytes at `target` with the pages that are at `addr`.
  private func move(
    _ vma: VMA, _ addr: UInt64, _ old: UInt64, _ target: UInt64, _ new: UInt64, keep: Bool
  ) throws(Errno) -> UInt64 {
    guard vmas.count < MM.maxMapCount - 3 else { throw .ENOMEM }
    // All tables first: then nothing fails halfway.
    do throws(Errno) {
      try table.forEachRun(addr, addr &+ old) { (first, va, count) throws(Errno) in
        for index in 0..<count where first[index] != 0 {
          _ = try table.makeEntry(target &+ (va &- addr) &+ UInt64(index) << 12)
        }
      }
    } catch {
      prune(target, target &+ new)
      throw error
    }
    var moved = vma
    moved.pageOffset = vma.index(addr)
    moved.start = target
    moved.end = target &+ new
    if keep { moved.flags.remove(.locked) }
    if moved.isAnonymousPrivate { moved.name = nil }
    insert(moved)
    if old > 0 {
      movePages(addr, old, target)
      if keep {
        for index in isolate(addr, addr &+ old) { vmas[index].flags.remove(.locked) }
      } else {
        forget(isolate(addr, addr &+ old))
      }
      prune(addr, addr &+ old)
    }
    observer?.unmapped(self, addr, addr &+ old)
    observer?.mapped(self, target, target &+ new)
    if moved.flags.contains(.locked) { prefault(target, target &+ new) }
    return target
  }

  private func movePages(_ addr: UInt64, _ length: UInt64, _ target: UInt64) {
    readPage = .max
    writePage = .max
    try? table.forEachRun(addr, addr &+ length) { first, va, count in
      for index in 0..<count where first[index] != 0 {
        let from = va &+ UInt64(index) << 12
        if let slot = table.entry(target &+ (from &- addr)) {
          slot.pointee = first[index]
          first[index] = 0
          flushNeeded.add(from)
        }
      }
    }
  }
}

import Engine

// madvise, msync, mincore, mlock: calls that walk over mappings and change no address.
//
// - SeeAlso: Linux, `mm/madvise.c`, `mm/msync.c`, `mm/mincore.c`, `mm/mlock.c`

extension AddressSpace {
  /// What `madvise` may be asked for.
  ///
  /// - SeeAlso: Linux, `include/uapi/asm-generic/mman-common.h`, `MADV_*`
  private enum Advice: Int32 {
    case normal = 0
    case random, sequential, willNeed, dontNeed
    case free = 8
    case remove, dontFork, doFork, mergeable, unmergeable, hugePage, noHugePage, dontDump, doDump
    case wipeOnFork, keepOnFork, cold, pageOut, populateRead, populateWrite, dontNeedLocked
    case collapse
  }

  /// `madvise`.
  ///
  /// - Note: Deviation: `MADV_FREE` drops the pages at once, where Linux waits until memory is short.
  public func madvise(_ addr: UInt64, _ length: UInt64, _ advice: Int32) throws(Errno) {
    guard let advice = Advice(rawValue: advice), addr & 4095 == 0 else { throw .EINVAL }
    let rounded = MM.pageAlign(length)
    guard length == 0 || rounded > 0, addr &+ rounded >= addr else { throw .EINVAL }
    if rounded == 0 { return }
    let end = addr &+ rounded
    var position = addr
    var unmapped = false
    while position < end {
      let index = findIndex(position)
      guard index < vmas.count, vmas[index].start < end else {
        unmapped = true
        break
      }
      if vmas[index].start > position {
        unmapped = true
        position = vmas[index].start
      }
      let stop = min(end, vmas[index].end)
      try advise(advice, position, stop)
      position = stop
    }
    if unmapped { throw .ENOMEM }
  }

  private func advise(_ advice: Advice, _ start: UInt64, _ end: UInt64) throws(Errno) {
    let vma = vmas[findIndex(start)]
    switch advice {
    case .normal, .random, .sequential, .willNeed, .mergeable, .unmergeable, .hugePage, .noHugePage,
      .cold:
      break
    case .pageOut: break
    case .dontNeed, .dontNeedLocked:
      if vma.flags.contains(.locked), advice == .dontNeed { throw .EINVAL }
      zap(start, end)
    case .free:
      guard vma.isAnonymousPrivate else { throw .EINVAL }
      zap(start, end)
    case .remove:
      if vma.flags.contains(.locked) { throw .EINVAL }
      if vma.isAnonymousPrivate { throw .EINVAL }
      guard !vma.isPrivate, vma.prot & MM.PROT_WRITE != 0 else { throw .EACCES }
      throw .EOPNOTSUPP
    case .dontFork: setFlag(.dontFork, true, start, end)
    case .doFork:
      if case .special = vma.backing { throw .EINVAL }
      setFlag(.dontFork, false, start, end)
    case .wipeOnFork:
      guard vma.isAnonymousPrivate else { throw .EINVAL }
      setFlag(.wipeOnFork, true, start, end)
    case .keepOnFork: setFlag(.wipeOnFork, false, start, end)
    case .dontDump: setFlag(.dontDump, true, start, end)
    case .doDump:
      if case .special = vma.backing { throw .EINVAL }
      setFlag(.dontDump, false, start, end)
    case .populateRead, .populateWrite:
      let access: Access = advice == .populateWrite ? .store : .load
      var va = start
      while va < end {
        guard allows(vma.prot, access) else { throw .EINVAL }
        switch populate(findIndex(va), va, write: access == .store) {
        case .handled: va &+= 4096
        case .signal: throw .EFAULT
        case .outOfMemory: throw .ENOMEM
        }
      }
    case .collapse: throw .EINVAL
    }
  }

  private func setFlag(_ flag: VMAFlags, _ on: Bool, _ start: UInt64, _ end: UInt64) {
    if vmas[findIndex(start)].flags.contains(flag) == on { return }
    let range = isolate(start, end)
    for index in range {
      if on { vmas[index].flags.insert(flag) } else { vmas[index].flags.remove(flag) }
    }
    merge(range)
  }

  /// Whether all of a range is mapped.
  func isMapped(_ start: UInt64, _ end: UInt64) -> Bool {
    var position = start
    while position < end {
      let index = findIndex(position)
      guard index < vmas.count, vmas[index].start <= position else { return false }
      position = vmas[index].end
    }
    return true
  }

  /// `msync`: checks, as the pages of a file are always those that `read` sees.
  public func msync(_ addr: UInt64, _ length: UInt64, flags: Int32) throws(Errno) {
    guard flags & ~(MM.MS_ASYNC | MM.MS_INVALIDATE | MM.MS_SYNC) == 0, addr & 4095 == 0,
      flags & (MM.MS_ASYNC | MM.MS_SYNC) != MM.MS_ASYNC | MM.MS_SYNC
    else { throw .EINVAL }
    let end = addr &+ MM.pageAlign(length)
    guard end >= addr else { throw .ENOMEM }
    if flags & MM.MS_INVALIDATE != 0 {
      var index = findIndex(addr)
      while index < vmas.count, vmas[index].start < end {
        if vmas[index].flags.contains(.locked) { throw .EBUSY }
        index += 1
      }
    }
    guard isMapped(addr, end) else { throw .ENOMEM }
  }

  /// `mincore`: one byte a page; bit 0 says that it is present.
  ///
  /// - Note: Deviation: a file's page that this process never touched counts as absent even where the
  ///   page cache has it.
  public func mincore(_ addr: UInt64, _ length: UInt64) throws(Errno) -> [UInt8] {
    guard addr & 4095 == 0 else { throw .EINVAL }
    guard addr <= isa.userEnd, length <= isa.userEnd &- addr else { throw .ENOMEM }
    let end = addr &+ MM.pageAlign(length)
    guard isMapped(addr, end) else { throw .ENOMEM }
    var result: [UInt8] = []
    var va = addr
    while va < end {
      let entry = table.entry(va)?.pointee ?? 0
      result.append(present(entry) == nil ? 0 : 1)
      va &+= 4096
    }
    return result
  }

  /// `mlock` and `mlock2`.
  public func mlock(_ addr: UInt64, _ length: UInt64, onFault: Bool = false) throws(Errno) {
    let (start, end) = try lockRange(addr, length)
    if start == end { return }
    guard isMapped(start, end) else { throw .ENOMEM }
    setFlagEverywhere(.locked, true, start, end)
    if !onFault { prefault(start, end) }
  }

  /// `munlock`.
  public func munlock(_ addr: UInt64, _ length: UInt64) throws(Errno) {
    let (start, end) = try lockRange(addr, length)
    if start == end { return }
    guard isMapped(start, end) else { throw .ENOMEM }
    setFlagEverywhere(.locked, false, start, end)
  }

  private func lockRange(
    _ addr: UInt64, _ length: UInt64
  ) throws(Errno) -> (start: UInt64, end: UInt64) {
    let start = addr & MM.pageMask
    let bytes = MM.pageAlign(length &+ (addr & 4095))
    let end = start &+ bytes
    guard end >= start, length <= UInt64.max &- 8191 else { throw .EINVAL }
    return (start, end)
  }

  private func setFlagEverywhere(_ flag: VMAFlags, _ on: Bool, _ start: UInt64, _ end: UInt64) {
    var position = start
    while position < end {
      let index = findIndex(position)
      guard index < vmas.count, vmas[index].start < end else { return }
      let from = max(position, vmas[index].start)
      let stop = min(end, vmas[index].end)
      setFlag(flag, on, from, stop)
      position = stop
    }
  }

  /// `mlockall`.
  public func mlockall(_ flags: Int32) throws(Errno) {
    guard flags & ~(MM.MCL_CURRENT | MM.MCL_FUTURE | MM.MCL_ONFAULT) == 0, flags != 0,
      flags != MM.MCL_ONFAULT
    else { throw .EINVAL }
    locksFuture = flags & MM.MCL_FUTURE != 0
    guard flags & MM.MCL_CURRENT != 0 else { return }
    setFlagEverywhere(.locked, true, 0, isa.userEnd)
    if flags & MM.MCL_ONFAULT == 0 { prefault(0, isa.userEnd) }
  }

  /// `munlockall`.
  public func munlockall() {
    locksFuture = false
    setFlagEverywhere(.locked, false, 0, isa.userEnd)
  }
}

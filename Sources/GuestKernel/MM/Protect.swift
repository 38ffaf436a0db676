import Engine

// mprotect.
//
// - SeeAlso: Linux, `mm/mprotect.c`; mprotect(2)

extension AddressSpace {
  /// `mprotect`: what lies before the first obstacle is changed even where the call fails, as on Linux.
  public func mprotect(_ addr: UInt64, _ length: UInt64, _ prot: Int32) throws(Errno) {
    let grows = prot & (MM.PROT_GROWSDOWN | MM.PROT_GROWSUP)
    let prot = prot & ~(MM.PROT_GROWSDOWN | MM.PROT_GROWSUP)
    guard grows != MM.PROT_GROWSDOWN | MM.PROT_GROWSUP, addr & 4095 == 0 else { throw .EINVAL }
    if length == 0 { return }
    let end = addr &+ MM.pageAlign(length)
    guard end > addr else { throw .ENOMEM }
    // PROT_SEM (8) says nothing.
    guard prot & ~15 == 0 else { throw .EINVAL }
    let first = findIndex(addr)
    guard first < vmas.count else { throw .ENOMEM }
    var start = addr
    if grows & MM.PROT_GROWSDOWN != 0 {
      guard vmas[first].start < end else { throw .ENOMEM }
      guard vmas[first].flags.contains(.growsDown) else { throw .EINVAL }
      start = vmas[first].start
    } else {
      guard vmas[first].start <= addr else { throw .ENOMEM }
      // Nothing here grows upwards.
      if grows & MM.PROT_GROWSUP != 0 { throw .EINVAL }
    }
    guard canSplit(start, end) else { throw .ENOMEM }
    var position = start
    while position < end {
      let index = findIndex(position)
      guard index < vmas.count, vmas[index].start <= position else { throw .ENOMEM }
      let stop = min(end, vmas[index].end)
      if vmas[index].prot != prot & 7 { try change(position, stop, prot & 7) }
      position = stop
    }
    // Merge once, over all that changed.
    let low = findIndex(start)
    merge(low..<min(findIndex(end) + 1, vmas.count))
    observer?.mapped(self, start, end)
  }

  /// Gives one mapping's part another protection.
  private func change(_ start: UInt64, _ end: UInt64, _ prot: Int32) throws(Errno) {
    let old = vmas[findIndex(start)]
    let writes = prot & MM.PROT_WRITE != 0
    if writes, old.flags.contains(.neverWritable) { throw .EACCES }
    let bytes = end &- start
    if writes, old.prot & MM.PROT_WRITE == 0, old.isPrivate {
      guard mayExpand(0, data: false), old.flags.contains(.growsDown) || dataFits(bytes),
        old.flags.contains(.noReserve) || enoughMemory(bytes)
      else { throw .ENOMEM }
    }
    for index in isolate(start, end) {
      if vmas[index].isData { dataBytes &-= vmas[index].count }
      vmas[index].prot = prot
      if vmas[index].isData { dataBytes &+= vmas[index].count }
    }
    var any = false
    try table.forEachRun(start, end) { first, va, count in
      for index in 0..<count where first[index] != 0 {
        guard let (pa, protection) = present(first[index]) else { continue }
        // What is not writable now may be shared: the next write fault decides.
        let entry = leaf(pa, prot, writable: protection.contains(.write))
        guard entry != first[index] else { continue }
        first[index] = entry
        any = true
        flushNeeded.add(va &+ UInt64(index) << 12)
        noteMapped(pa, prot)
      }
    }
    if any {
      readPage = .max
      writePage = .max
    }
  }

  private func dataFits(_ bytes: UInt64) -> Bool {
    bytes <= limits.data && dataBytes <= limits.data &- bytes
  }
}

import Engine

// mmap, munmap, brk and the search for free addresses.
//
// - SeeAlso: Linux, `mm/mmap.c`, `mm/vma.c`; mmap(2), brk(2)

extension AddressSpace {
  /// The highest address that mappings are placed below: the stack and its gap are above.
  ///
  /// - SeeAlso: Linux, `mm/util.c`, `mmap_base`
  /// - Note: Deviation: an unlimited stack does not bring back the bottom-up layout.
  static func mmapBase(stack: UInt64, userEnd: UInt64) -> UInt64 {
    let (padded, over) = stack.addingReportingOverflow(MM.stackGuardGap)
    let most = userEnd / 6 &* 5
    let gap = min(max(over ? most : padded, 128 << 20), most)
    return MM.pageAlign(userEnd &- gap)
  }

  /// `mmap`: maps `length` bytes of a file or of zeroes.
  ///
  /// - Parameters:
  ///   - hint: where, with `MAP_FIXED`; else where it would be welcome.
  ///   - length: bytes, rounded up to pages.
  ///   - prot: `PROT_*`.
  ///   - flags: `MAP_*`.
  ///   - file: what is mapped; not looked at with `MAP_ANONYMOUS`.
  ///   - offset: in bytes; not a multiple of the page size: `EINVAL`.
  /// - Returns: where.
  /// - Throws: what mmap(2) says.
  /// - SeeAlso: Linux, `mm/mmap.c`, `do_mmap`
  public func mmap(
    _ hint: UInt64, _ length: UInt64, prot: Int32, flags: Int32, file: OpenFile? = nil,
    offset: UInt64 = 0
  ) throws(Errno) -> UInt64 {
    guard offset & 4095 == 0 else { throw .EINVAL }
    let anonymous = flags & MM.MAP_ANONYMOUS != 0
    if !anonymous, file == nil { throw .EBADF }
    // No huge pages are set aside, as on a system where nobody did so.
    if flags & MM.MAP_HUGETLB != 0 { throw anonymous ? .ENOMEM : .EINVAL }
    guard length > 0 else { throw .EINVAL }
    let fixed = flags & (MM.MAP_FIXED | MM.MAP_FIXED_NOREPLACE) != 0
    var addr = hint
    if !fixed {
      addr &= MM.pageMask
      if addr != 0, addr < MM.minAddress { addr = MM.minAddress }
    }
    let length = MM.pageAlign(length)
    guard length > 0 else { throw .ENOMEM }
    guard (offset >> 12).addingReportingOverflow(length >> 12).partialValue <= UInt64.max >> 12
    else { throw .EOVERFLOW }
    guard vmas.count <= MM.maxMapCount else { throw .ENOMEM }
    addr = try unmappedArea(addr, length, fixed: fixed)
    if flags & MM.MAP_FIXED_NOREPLACE != 0, intersects(addr, addr &+ length) { throw .EEXIST }

    var vma = VMA(
      start: addr, end: addr &+ length, prot: prot & 7, flags: [], backing: .anonymous,
      pageOffset: addr >> 12, name: nil)
    if flags & MM.MAP_GROWSDOWN != 0 { vma.flags.insert(.growsDown) }
    if flags & MM.MAP_LOCKED != 0 || locksFuture { vma.flags.insert(.locked) }
    if flags & MM.MAP_NORESERVE != 0 { vma.flags.insert(.noReserve) }
    if anonymous {
      try setAnonymous(&vma, flags)
    } else if let file {
      try setFile(&vma, flags, file, offset)
    }
    try place(vma)
    observer?.mapped(self, addr, addr &+ length)
    let populate = flags & (MM.MAP_POPULATE | MM.MAP_NONBLOCK) == MM.MAP_POPULATE
    if populate || vma.flags.contains(.locked) { prefault(addr, addr &+ length) }
    return addr
  }

  private func setAnonymous(_ vma: inout VMA, _ flags: Int32) throws(Errno) {
    switch flags & MM.MAP_TYPE {
    case MM.MAP_PRIVATE: break
    case MM.MAP_SHARED:
      if vma.flags.contains(.growsDown) { throw .EINVAL }
      guard vma.flags.contains(.noReserve) || enoughMemory(vma.count) else { throw .ENOMEM }
      vma.flags.insert(.shared)
      vma.pageOffset = 0
      vma.backing = .shared(SharedMemory(frames: frames))
    default: throw .EINVAL
    }
  }

  private func setFile(
    _ vma: inout VMA, _ flags: Int32, _ file: OpenFile, _ offset: UInt64
  ) throws(Errno) {
    let readable = file.isReadable
    let writable = file.isWritable
    switch flags & MM.MAP_TYPE {
    case MM.MAP_SHARED_VALIDATE, MM.MAP_SHARED:
      let known =
        MM.MAP_TYPE | MM.MAP_FIXED | MM.MAP_ANONYMOUS | MM.MAP_DENYWRITE | MM.MAP_EXECUTABLE
        | MM.MAP_UNINITIALIZED | MM.MAP_GROWSDOWN | MM.MAP_LOCKED | MM.MAP_NORESERVE
        | MM.MAP_POPULATE | MM.MAP_NONBLOCK | MM.MAP_STACK | MM.MAP_HUGETLB
        | MM.MAP_FIXED_NOREPLACE
      if flags & MM.MAP_TYPE == MM.MAP_SHARED_VALIDATE, flags & ~known != 0 { throw .EOPNOTSUPP }
      if vma.prot & MM.PROT_WRITE != 0, !writable { throw .EACCES }
      vma.flags.insert(.shared)
      if !writable { vma.flags.insert(.neverWritable) }
    case MM.MAP_PRIVATE: break
    default: throw .EINVAL
    }
    guard readable else { throw .EACCES }
    guard file.inode.isMappable || file.inode.isZeroDevice else { throw .ENODEV }
    if vma.flags.contains(.growsDown) { throw .EINVAL }
    vma.pageOffset = offset >> 12
    vma.backing = .file(file)
    // /dev/zero: as if there were no file.
    if file.inode.isZeroDevice {
      vma.flags.remove(.neverWritable)
      vma.backing = vma.isPrivate ? .anonymous : .shared(SharedMemory(frames: frames))
      if vma.isPrivate { vma.pageOffset = vma.start >> 12 }
    }
  }

  /// Puts a mapping where it says, in place of what is there (`mmap_region`).
  func place(_ vma: VMA) throws(Errno) {
    let replaced = overlap(vma.start, vma.end)
    guard mayExpand(vma.count, data: vma.isData, replacing: replaced) else { throw .ENOMEM }
    let accountable =
      vma.prot & MM.PROT_WRITE != 0 && vma.isPrivate && !vma.flags.contains(.noReserve)
    if accountable, !enoughMemory(vma.count) { throw .ENOMEM }
    if replaced > 0 { try munmap(vma.start, vma.count) }
    insert(vma)
  }

  /// Bytes of a range that are mapped.
  private func overlap(_ start: UInt64, _ end: UInt64) -> UInt64 {
    var index = findIndex(start)
    var sum: UInt64 = 0
    while index < vmas.count, vmas[index].start < end {
      sum &+= min(vmas[index].end, end) &- max(vmas[index].start, start)
      index += 1
    }
    return sum
  }

  /// `get_unmapped_area`: the address asked for if it is free or fixed, else a free one.
  func unmappedArea(_ addr: UInt64, _ length: UInt64, fixed: Bool) throws(Errno) -> UInt64 {
    let end = isa.userEnd
    guard length <= end &- MM.minAddress else { throw .ENOMEM }
    if fixed {
      guard addr <= end &- length else { throw .ENOMEM }
      guard addr & 4095 == 0 else { throw .EINVAL }
      return addr
    }
    if addr >= MM.minAddress, addr <= end &- length {
      let index = findIndex(addr)
      if index >= vmas.count || addr &+ length <= vmas[index].startGap { return addr }
    }
    return try search(length)
  }

  /// The highest hole below the mmap base that is large enough; failing that, the lowest one above
  /// a third of user space.
  private func search(_ length: UInt64) throws(Errno) -> UInt64 {
    if searchTop == .max || length <= holeAbove {
      searchTop = mmapBase
      holeAbove = 0
    }
    var top = min(searchTop, mmapBase)
    // The mapping that holds or follows `top`, and then the ones below.
    var index = findIndex(top &- 1)
    if index < vmas.count { top = min(top, vmas[index].startGap) }
    while true {
      let bottom = max(index > 0 ? vmas[index - 1].end : 0, MM.minAddress)
      if top >= bottom, top &- bottom >= length {
        // The hole itself stays in the search: the caller may fail before something is there.
        searchTop = top
        return top &- length
      }
      if top > bottom { holeAbove = max(holeAbove, top &- bottom) }
      guard index > 0 else { break }
      index -= 1
      top = vmas[index].startGap
    }
    searchTop = .max
    return try searchUp(length)
  }

  private func searchUp(_ length: UInt64) throws(Errno) -> UInt64 {
    var bottom = MM.pageAlign(isa.userEnd / 3)
    var index = findIndex(bottom)
    while true {
      let top = index < vmas.count ? vmas[index].startGap : isa.userEnd
      if top >= bottom, top &- bottom >= length { return bottom }
      guard index < vmas.count else { throw .ENOMEM }
      bottom = max(bottom, vmas[index].end)
      index += 1
    }
  }

  /// `munmap`.
  ///
  /// - SeeAlso: Linux, `mm/vma.c`, `do_vmi_munmap`
  public func munmap(_ addr: UInt64, _ length: UInt64) throws(Errno) {
    let limit = isa.userEnd
    guard addr & 4095 == 0, addr <= limit, length <= limit &- addr else { throw .EINVAL }
    let end = addr &+ MM.pageAlign(length)
    guard end > addr else { throw .EINVAL }
    guard intersects(addr, end) else { return }
    // A hole inside one mapping makes two of it.
    let index = findIndex(addr)
    if vmas.count >= MM.maxMapCount, vmas[index].start < addr, vmas[index].end > end {
      throw .ENOMEM
    }
    forget(isolate(addr, end))
    zap(addr, end)
    prune(addr, end)
    observer?.unmapped(self, addr, end)
  }

  /// `brk`: moves the end of the heap.
  ///
  /// - Returns: the break after the call, unchanged where it can't be moved.
  /// - SeeAlso: Linux, `mm/mmap.c`, `brk`
  public func brk(_ addr: UInt64) -> UInt64 {
    let old = layout.brk
    guard addr >= layout.startBrk, addr <= isa.userEnd else { return old }
    if limits.data < .max {
      let data = layout.endData &- layout.startData
      let (size, over) = (addr &- layout.startBrk).addingReportingOverflow(data)
      guard !over, size <= limits.data else { return old }
    }
    let from = MM.pageAlign(old)
    let to = MM.pageAlign(addr)
    if to < from {
      guard (try? munmap(to, from &- to)) != nil else { return old }
    } else if to > from {
      guard to <= isa.userEnd &- 4096 else { return old }
      // One page stays free between the heap and what follows.
      let index = findIndex(from)
      if index < vmas.count, vmas[index].startGap < to &+ 4096 { return old }
      var vma = VMA(
        start: from, end: to, prot: MM.PROT_READ | MM.PROT_WRITE, flags: [], backing: .anonymous,
        pageOffset: from >> 12, name: "[heap]")
      if locksFuture { vma.flags.insert(.locked) }
      guard mayExpand(to &- from, data: true), vmas.count <= MM.maxMapCount,
        enoughMemory(to &- from)
      else { return old }
      insert(vma)
      if locksFuture { prefault(from, to) }
    }
    layout.brk = addr
    return addr
  }

  /// Maps pages of the kernel's, `[vdso]` and the like, which are shared by whoever maps them.
  ///
  /// - Parameters:
  ///   - name: what `/proc/pid/maps` calls them.
  ///   - hint: where; 0: anywhere free.
  ///   - pages: the frames.
  ///   - prot: `PROT_*`.
  ///   - flags: properties besides.
  /// - Returns: where.
  /// - Throws: `ENOMEM`; `EEXIST` where something is mapped there.
  /// - SeeAlso: Linux, `mm/mmap.c`, `_install_special_mapping`
  public func insertSpecial(
    name: String, at hint: UInt64 = 0, pages: SpecialPages,
    prot: Int32 = MM.PROT_READ | MM.PROT_EXEC, flags: VMAFlags = []
  ) throws(Errno) -> UInt64 {
    let length = UInt64(pages.pages.count) << 12
    let addr = try unmappedArea(hint, length, fixed: hint != 0)
    if hint != 0, intersects(addr, addr &+ length) { throw .EEXIST }
    try place(
      VMA(
        start: addr, end: addr &+ length, prot: prot & 7, flags: flags.union(.dontExpand),
        backing: .special(pages), pageOffset: 0, name: name))
    return addr
  }

  /// Maps pages of the kernel's that hold `bytes`.
  public func insertSpecial(
    name: String, at hint: UInt64 = 0, bytes: [UInt8],
    prot: Int32 = MM.PROT_READ | MM.PROT_EXEC
  ) throws(Errno) -> UInt64 {
    try insertSpecial(
      name: name, at: hint, pages: try SpecialPages(bytes, frames: frames), prot: prot)
  }

  /// Faults pages in as `MAP_POPULATE` and `mlock` do: as far as it goes, and for writing where
  /// that is private and allowed.
  func prefault(_ start: UInt64, _ end: UInt64) {
    var va = start
    while va < end {
      let index = findIndex(va)
      guard index < vmas.count, vmas[index].start < end else { return }
      va = max(va, vmas[index].start)
      let stop = min(end, vmas[index].end)
      let prot = vmas[index].prot
      let write = prot & MM.PROT_WRITE != 0
      guard prot & 7 != 0 else {
        va = stop
        continue
      }
      while va < stop {
        guard populate(index, va, write: write) == .handled else { return }
        va &+= 4096
      }
    }
  }
}

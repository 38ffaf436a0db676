import Engine

// Page faults: demand-zero, files, copy-on-write, stack growth.
//
// - SeeAlso: Linux, `mm/memory.c`, `handle_mm_fault`; `arch/*/mm/fault.c`

extension AddressSpace {
  /// Serves a page fault.
  ///
  /// - Parameters:
  ///   - va: the address of the access.
  ///   - access: what it is for.
  ///   - user: taken in user mode; a fault on a kernel address is never served.
  /// - Returns: what becomes of the access.
  public func handleFault(_ va: UInt64, _ access: Access, user: Bool) -> FaultOutcome {
    guard va < isa.userEnd else { return .mapError }
    faults &+= 1
    var index = findIndex(va)
    guard index < vmas.count else { return .mapError }
    if vmas[index].start > va {
      guard vmas[index].flags.contains(.growsDown) else { return .mapError }
      guard growStack(index, to: va & MM.pageMask) else { return .mapError }
      index = findIndex(va)
      guard index < vmas.count, vmas[index].start <= va else { return .mapError }
    }
    guard allows(vmas[index].prot, access) else { return .accessError }
    return populate(index, va, write: access == .store)
  }

  /// Whether a mapping with this protection may be accessed so: as far as the hardware would let it.
  @inline(__always)
  func allows(_ prot: Int32, _ access: Access) -> Bool {
    switch access {
    case .load: granted[Int(prot & 7)].contains(.read)
    case .store: prot & MM.PROT_WRITE != 0
    case .fetch: granted[Int(prot & 7)].contains(.execute)
    }
  }

  /// Extends a stack downwards (`expand_downwards`).
  ///
  /// - SeeAlso: Linux, `mm/mmap.c`, `expand_downwards`, `acct_stack_growth`
  private func growStack(_ index: Int, to va: UInt64) -> Bool {
    let vma = vmas[index]
    guard va >= MM.minAddress, vma.end &- va <= limits.stack else { return false }
    if index > 0 {
      let below = vmas[index - 1]
      if below.prot & 7 != 0, !below.flags.contains(.growsDown),
        va &- below.end < MM.stackGuardGap
      {
        return false
      }
    }
    let growth = vma.start &- va
    guard mayExpand(growth, data: false), enoughMemory(growth) else { return false }
    vmas[index].start = va
    vmas[index].pageOffset &-= growth >> 12
    mappedBytes &+= growth
    return true
  }

  /// Makes one page of a mapping present, and writable if need be.
  ///
  /// The access is known to be allowed.
  func populate(_ index: Int, _ va: UInt64, write: Bool) -> FaultOutcome {
    do throws(Errno) {
      let slot = try table.makeEntry(va)
      if let (pa, protection) = present(slot.pointee) {
        return try again(index, va, write, slot, pa, protection)
      }
      return try first(index, va, write, slot)
    } catch .ENOMEM {
      return .outOfMemory
    } catch {
      return .busError
    }
  }

  /// A fault on a page that is not present.
  private func first(
    _ index: Int, _ va: UInt64, _ write: Bool, _ slot: UnsafeMutablePointer<UInt64>
  ) throws(Errno) -> FaultOutcome {
    let vma = vmas[index]
    var writable = write
    let pa: UInt64
    switch vma.backing {
    case .anonymous:
      if write {
        pa = try frame(for: va, in: vma)
      } else {
        pa = try frames.zeroFrame()
        frames.retain(pa)
      }
    case .shared(let memory):
      pa = try memory.page(vma.index(va))
      frames.retain(pa)
      writable = true
    case .file(let file):
      let page = vma.index(va)
      guard page < filePages(file.inode) else { return .busError }
      let cached = try file.inode.page(page, forWrite: write && !vma.isPrivate)
      if write, vma.isPrivate {
        pa = try copy(of: cached, for: va, in: vma)
      } else {
        pa = cached
        frames.retain(pa)
      }
    case .special(let pages):
      let page = vma.index(va)
      guard page < UInt64(pages.pages.count) else { return .busError }
      let source = pages.pages[Int(page)]
      if write, vma.isPrivate {
        pa = try copy(of: source, for: va, in: vma)
      } else {
        pa = source
        frames.retain(pa)
      }
    }
    // Reading a file may have made this very page present (a file that is the guest's own tables).
    slot.pointee = leaf(pa, vma.prot, writable: writable)
    residentPages += 1
    readPage = .max
    noteMapped(pa, vma.prot)
    return .handled
  }

  /// A fault on a page that is present: a write to what was mapped for reading, or a translation
  /// that the hart remembered from before.
  private func again(
    _ index: Int, _ va: UInt64, _ write: Bool, _ slot: UnsafeMutablePointer<UInt64>, _ old: UInt64,
    _ protection: PageProtection
  ) throws(Errno) -> FaultOutcome {
    let vma = vmas[index]
    guard write, !protection.contains(.write) else {
      if !protection.contains(.user) { slot.pointee = leaf(old, vma.prot, writable: false) }
      changed(va)
      return .handled
    }
    var pa = old
    if vma.isPrivate {
      // The last owner need not copy.
      if frames.references(old) != 1 { pa = try copy(of: old, for: va, in: vma) }
    } else if case .file(let file) = vma.backing {
      let page = vma.index(va)
      guard page < filePages(file.inode) else { return .busError }
      pa = try file.inode.page(page, forWrite: true)
      if pa != old { frames.retain(pa) }
    }
    slot.pointee = leaf(pa, vma.prot, writable: true)
    if pa != old { frames.release(old) }
    changed(va)
    noteMapped(pa, vma.prot)
    return .handled
  }

  /// A new frame for the private page at `va`: where it can be had, one that lies to the frames of
  /// the pages around as the pages do.
  ///
  /// Small mappings keep no runs, for the sake of short programs; stacks neither, of which few
  /// pages are touched.
  private func frame(for va: UInt64, in vma: VMA) throws(Errno) -> UInt64 {
    let region = va / Self.runBytes
    if let run = runs[region] {
      if frames.takeKept(run &+ va % Self.runBytes & MM.pageMask, for: owner) {
        return run &+ va % Self.runBytes & MM.pageMask
      }
    } else if wantsRun(vma), let run = frames.keepRun(for: owner) {
      runs[region] = run
      return try frame(for: va, in: vma)
    }
    return try frames.allocate()
  }

  /// Initialised data counts with the zeroes behind it.
  private func wantsRun(_ vma: VMA) -> Bool {
    if vma.flags.contains(.growsDown) { return false }
    if vma.count >= Self.leastForRun { return true }
    let next = findIndex(vma.end)
    return next < vmas.count && vmas[next].start == vma.end
      && vmas[next].isAnonymousPrivate && vma.count &+ vmas[next].count >= Self.leastForRun
  }

  private static let runBytes = UInt64(PageAllocator.runPages) &* MM.pageSize
  private static let leastForRun: UInt64 = 65536

  /// A new frame for the page at `va` with the contents of another.
  @inline(__always)
  private func copy(of pa: UInt64, for va: UInt64, in vma: VMA) throws(Errno) -> UInt64 {
    // The allocator may take back clean pages of files: not this one.
    frames.retain(pa)
    defer { frames.release(pa) }
    let new = try frame(for: va, in: vma)
    if !frames.isZeroFrame(pa), frames.ram.contains(pa, 4096) {
      frames.ram.willWrite(new)
      frames.ram.pointer(new).copyMemory(from: frames.ram.pointer(pa), byteCount: 4096)
    }
    return new
  }

  /// Pages of a file, the last one perhaps in part.
  @inline(__always)
  func filePages(_ inode: Inode) -> UInt64 {
    let size = inode.size
    return size >> 12 &+ (size & 4095 != 0 ? 1 : 0)
  }

  /// Unmaps what lies behind the end of a file that became shorter, copies of it too.
  ///
  /// - Parameters:
  ///   - inode: the file.
  ///   - index: the first page that is gone.
  /// - SeeAlso: Linux, `mm/memory.c`, `unmap_mapping_pages`
  public func unmapPages(of inode: Inode, from index: UInt64) {
    for vma in vmas {
      guard case .file(let file) = vma.backing, file.inode === inode else { continue }
      if vma.pageOffset >= index {
        zap(vma.start, vma.end)
      } else if index &- vma.pageOffset < vma.count >> 12 {
        zap(vma.start &+ (index &- vma.pageOffset) << 12, vma.end)
      }
    }
  }
}

#if arch(x86_64) && os(Linux)
/// What compiled code says of a group of accesses of a loop that met a page which it does not remember.
struct SiteMiss {
  /// The first byte of the group, from the base address, and how many there are.
  var low: Int32
  var span: UInt16
  var site: UInt8
  var reads: Bool
  var writes: Bool
  /// It is a single access.
  var alone: Bool
  var mode: UInt8

  init(
    low: Int32, span: UInt16, site: UInt8, reads: Bool, writes: Bool, alone: Bool, mode: UInt8
  ) {
    self.low = low
    self.span = span
    self.site = site
    self.reads = reads
    self.writes = writes
    self.alone = alone
    self.mode = mode
  }

  /// As one number, for a host register.
  var packed: UInt64 {
    UInt64(UInt32(bitPattern: low)) | UInt64(span) << 32 | UInt64(site) << 48
      | (reads ? 1 << 56 : 0) | (writes ? 1 << 57 : 0) | (alone ? 1 << 58 : 0)
      | UInt64(mode) << 60
  }

  init(packed: UInt64) {
    low = Int32(bitPattern: UInt32(truncatingIfNeeded: packed))
    span = UInt16(truncatingIfNeeded: packed >> 32)
    site = UInt8(truncatingIfNeeded: packed >> 48)
    reads = packed >> 56 & 1 != 0
    writes = packed >> 57 & 1 != 0
    alone = packed >> 58 & 1 != 0
    mode = UInt8(truncatingIfNeeded: packed >> 60)
  }

  /// Whether two ranges can serve it: one access that, if aligned, is never in both.
  var canHaveTwo: Bool { alone && low % Int32(span) == 0 && span & (span - 1) == 0 }

  /// Pages that are looked at in each direction.
  private static let reach = 128

  /// Has the site remember the page of `address` and what lies around it on the host alike.
  ///
  /// - Returns: `false` where the TLB does not know the page for such accesses.
  func remember(
    _ record: UnsafeMutablePointer<UInt64>, _ address: UInt64, _ tlb: UnsafePointer<TLBEntry>
  ) -> Bool {
    let distance = UInt64(bitPattern: Int64(low))
    let first = address &+ distance
    let page = first & TLB.pageMask
    let last = UInt64(span) &- 1
    let lastPage = (first &+ last) & TLB.pageMask
    guard mode != SiteState.Mode.twoRanges || first % UInt64(span) == 0,
      let found = addend(page, tlb),
      lastPage == page || lastPage > page && addend(lastPage, tlb) == found
    else { return false }
    var start = below(page, found, tlb)
    var end = above(lastPage, found, tlb)
    var (lower, upper, middle) = (found, found, UInt64.max)
    if mode == SiteState.Mode.twoRanges {
      if start >= 4096, let other = addend(start &- 4096, tlb) {
        middle = start &- distance
        lower = other
        start = below(start &- 4096, other, tlb)
      } else if end < TLB.pageMask, let other = addend(end &+ 4096, tlb) {
        middle = end &+ 4096 &- distance
        upper = other
        end = above(end &+ 4096, other, tlb)
      }
    }
    // From the base's point of view, where the range may wrap; but not if there are two.
    let least = start &- distance
    let count = end &- start &+ 4096 &- last
    guard address &- least < count, middle == .max || least < middle && least < least &+ count
    else {
      return false
    }
    record[0] = least
    record[1] = count
    record[2] = lower
    record[3] = middle
    record[4] = upper
    return true
  }

  private func addend(_ page: UInt64, _ tlb: UnsafePointer<TLBEntry>) -> UInt64? {
    let entry = tlb + TLB.index(page)
    guard !reads || entry.pointee.read == page, !writes || entry.pointee.write == page else {
      return nil
    }
    return entry.pointee.addend
  }

  /// The first and the last page around `page` that lie so on the host; the range does not wrap.
  private func below(_ page: UInt64, _ delta: UInt64, _ tlb: UnsafePointer<TLBEntry>) -> UInt64 {
    var low = page
    for _ in 0..<Self.reach {
      guard low >= 4096, addend(low &- 4096, tlb) == delta else { break }
      low &-= 4096
    }
    return low
  }

  private func above(_ page: UInt64, _ delta: UInt64, _ tlb: UnsafePointer<TLBEntry>) -> UInt64 {
    var high = page
    for _ in 0..<Self.reach {
      guard high < TLB.pageMask, addend(high &+ 4096, tlb) == delta else { break }
      high &+= 4096
    }
    return high
  }
}
#endif

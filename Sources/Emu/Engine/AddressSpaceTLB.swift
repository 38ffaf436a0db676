/// The translations of one address space: what a hart's TLBs hold, and which jump-cache entries rest on
/// it.
///
/// A hart works on the space in force and puts the others aside (``Hart/switchSpace(from:to:)``). What must
/// be forgotten of those is forgotten when they are taken up again.
struct SpaceTLB {
  /// While put aside: the page-table register that names the space, with the root and the ASID or PCID
  /// in it.
  var key: UInt64
  /// The TLBs, one for each mode in turn.
  let tlbs: UnsafeMutablePointer<TLBEntry>
  /// Entries filled since the last flush, as far as they are remembered: flushing and searching
  /// cost what was filled and not the size of the TLB.
  let filled: UnsafeMutablePointer<Int32>
  var filledCount = 0
  /// Which pages (by TLB index) code was found in since the last flush.
  var executed: [UInt64]
  /// What the jump cache's entries, and what compiled loops remember, must carry to be valid.
  var generation: UInt64
  var pagesGeneration: UInt64
  /// While put aside: everything is to be forgotten; or the right to write.
  var isStale = false
  var hasStaleWrites = false
  /// When it was put aside.
  var putAside: UInt64 = 0

  static let filledLimit = 512
  /// Spaces that a hart keeps translations of.
  static let limit = 4

  /// With nothing in it.
  init(count: Int, generation: UInt64) {
    key = .max
    tlbs = .allocate(capacity: TLB.entries * count)
    tlbs.initialize(repeating: .empty, count: TLB.entries * count)
    filled = .allocate(capacity: Self.filledLimit)
    executed = Array(repeating: 0, count: TLB.entries / 64)
    self.generation = generation
    pagesGeneration = generation
  }

  /// Gives the memory back; the value is not to be used again.
  func deallocate() {
    tlbs.deallocate()
    filled.deallocate()
  }
}

/// One entry of a software TLB: three page tags and what to add to a guest virtual address to get
/// the host address.
///
/// A tag that is not a page address never matches.
struct TLBEntry {
  var read: UInt64
  var write: UInt64
  var execute: UInt64
  var addend: UInt64

  /// Not page-aligned, so that no access matches it.
  static let never: UInt64 = 1
  static let empty = TLBEntry(read: never, write: never, execute: never, addend: 0)

  /// Set in the write tag of a page that may be stored to, but was not since dirty pages were last
  /// taken note of: no access matches it, and the slow path marks the page and takes it away.
  static let clean: UInt64 = 2
}

/// The size and the index function of the software TLBs.
///
/// The index is the page number's low bits, so that compiled code has it in two instructions. Neighbouring
/// pages never share an entry, so comparing the page of an access's *last* byte also catches every
/// page crossing.
enum TLB {
  static let bits: UInt64 = 10
  static let entries = 1 << Int(bits)
  static let pageMask = ~UInt64(4095)

  @inline(__always)
  static func index(_ va: UInt64) -> Int {
    Int(truncatingIfNeeded: (va &>> 12) & (UInt64(entries) &- 1))
  }
}

/// One entry of the jump cache: where a virtual pc was found translated.
struct JumpEntry {
  var pc: UInt64
  var tag: UInt64
  var block: UnsafeMutablePointer<Block>?
  /// Its host code, or what leaves compiled code for want of it.
  var code: UInt

  static var none: JumpEntry { JumpEntry(pc: 1, tag: 0, block: nil, code: 0) }
  static let bits = 11
  static let entries = 1 << bits

  @inline(__always)
  static func index(_ pc: UInt64) -> Int {
    Int(truncatingIfNeeded: ((pc &>> 1) ^ (pc &>> 12)) & (UInt64(entries) &- 1))
  }
}

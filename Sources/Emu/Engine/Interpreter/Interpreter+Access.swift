// Loads and stores of the interpreter: in line where the TLB knows the page, by the hart where not.

/// An address in the host's memory: unlike a pointer's, its optional is not told by a null.
struct HostAddress {
  fileprivate var raw: UInt64

  @inline(__always)
  private var pointer: UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: UInt(raw)).unsafelyUnwrapped
  }

  @inline(__always)
  func loadUnaligned<T: BitwiseCopyable>(fromByteOffset offset: Int = 0, as type: T.Type) -> T {
    pointer.loadUnaligned(fromByteOffset: offset, as: type)
  }

  @inline(__always)
  func storeBytes<T: BitwiseCopyable>(
    of value: T, toByteOffset offset: Int = 0, as type: T.Type
  ) {
    pointer.storeBytes(of: value, toByteOffset: offset, as: type)
  }
}

/// Where `size` bytes at `va` lie, if they may be read without further ado.
@inline(__always)
func readable(
  _ tlb: UnsafeMutablePointer<TLBEntry>, _ va: UInt64, _ size: UInt64
) -> HostAddress? {
  let entry = tlb + TLB.index(va)
  guard _fastPath(entry.pointee.read == (va &+ (size &- 1)) & TLB.pageMask) else { return nil }
  return HostAddress(raw: entry.pointee.addend &+ va)
}

/// Where `size` bytes at `va` lie, if they may be written without further ado.
@inline(__always)
func writable(
  _ tlb: UnsafeMutablePointer<TLBEntry>, _ va: UInt64, _ size: UInt64
) -> HostAddress? {
  let entry = tlb + TLB.index(va)
  guard _fastPath(entry.pointee.write == (va &+ (size &- 1)) & TLB.pageMask) else { return nil }
  return HostAddress(raw: entry.pointee.addend &+ va)
}

/// Makes `Hart.count` and `Hart.pc` exact for whoever is called now.
@inline(__always)
func spill(
  _ x: UnsafeMutablePointer<UInt64>, _ block: UnsafeMutablePointer<Block>,
  _ ip: UnsafeMutablePointer<MicroOp>, _ left: Int64
) {
  x[Slot.left] = UInt64(bitPattern: left)
  x[Slot.block] = UInt64(UInt(bitPattern: block))
  x[Slot.op] = UInt64(UInt(bitPattern: ip))
}

@inline(__always)
func raw(_ ip: UnsafeMutablePointer<MicroOp>) -> UnsafePointer<MicroOpRaw> {
  UnsafeRawPointer(ip).assumingMemoryBound(to: MicroOpRaw.self)
}

/// Loads a `T` at `va` and widens it by its own signedness into the micro-op's `d`.
///
/// - Returns: whether the block must be left.
@inline(__always)
func load<T: FixedWidthInteger & BitwiseCopyable>(
  _: T.Type, _ x: UnsafeMutablePointer<UInt64>, _ tlb: UnsafeMutablePointer<TLBEntry>,
  _ va: UInt64, _ block: UnsafeMutablePointer<Block>, _ ip: UnsafeMutablePointer<MicroOp>,
  _ left: Int64
) -> Bool {
  let size = UInt64(MemoryLayout<T>.size)
  if let from = readable(tlb, va, size) {
    x[Int(ip.pointee.d)] = UInt64(truncatingIfNeeded: from.loadUnaligned(as: T.self))
    return false
  }
  spill(x, block, ip, left)
  return loadSlow(x, va, size, T.isSigned ? .signed : .unsigned, Int(ip.pointee.d))
}

/// Stores the low bits of `value` as a `T` at `va`.
///
/// - Returns: whether the block must be left.
@inline(__always)
func store<T: FixedWidthInteger & BitwiseCopyable>(
  _: T.Type, _ x: UnsafeMutablePointer<UInt64>, _ tlb: UnsafeMutablePointer<TLBEntry>,
  _ va: UInt64, _ value: UInt64, _ block: UnsafeMutablePointer<Block>,
  _ ip: UnsafeMutablePointer<MicroOp>, _ left: Int64
) -> Bool {
  let size = UInt64(MemoryLayout<T>.size)
  if let to = writable(tlb, va, size) {
    to.storeBytes(of: T(truncatingIfNeeded: value), as: T.self)
    return false
  }
  spill(x, block, ip, left)
  return storeSlow(x, va, size, value)
}

enum Extension { case signed, unsigned, boxed }

/// - Returns: whether the block must be left.
@inline(never)
func loadSlow(
  _ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ size: UInt64, _ how: Extension, _ d: Int
) -> Bool {
  let value = Hart.of(x)._withUnsafeGuaranteedRef { $0.load(va, size) }
  if x[Slot.pending] == Pending.exception.rawValue { return true }
  switch how {
  case .unsigned: x[d] = value
  case .signed:
    let shift = 64 &- size &* 8
    x[d] = unsigned(signed(value &<< shift) &>> signed(shift))
  case .boxed: x[d] = value | 0xffff_ffff_0000_0000
  }
  return x[Slot.pending] != 0
}

/// - Returns: whether the block must be left.
@inline(never)
func storeSlow(
  _ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ size: UInt64, _ value: UInt64
) -> Bool {
  Hart.of(x)._withUnsafeGuaranteedRef { $0.store(va, size, value) }
  return x[Slot.pending] != 0
}

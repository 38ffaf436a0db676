import Engine

/// Memory of which some bytes are known: addresses are those of the log, each page has a frame of its
/// own.
final class CheckMemory {
  /// RAM behind the frames.
  let ram: PhysicalMemory
  /// More pages were touched than there is room for.
  private(set) var isFull = false
  private var frames: [UInt64: UInt64] = [:]
  /// Every byte is known: what was never said is zero.
  var isWhole = false
  /// For each page a bit a byte.
  private var known: [UInt64: [UInt64]] = [:]
  private var next: UInt64

  private static let base: UInt64 = 0x8000_0000
  /// Bytes of pages that a log may touch.
  static let size: UInt64 = 8 << 30

  init?() {
    guard let ram = PhysicalMemory(base: Self.base, size: Self.size) else { return nil }
    self.ram = ram
    // The first page takes what does not fit.
    next = Self.base + PhysicalMemory.pageSize
  }

  /// The physical address of a byte.
  func physical(_ va: UInt64) -> UInt64 {
    let page = va >> 12
    if let frame = frames[page] { return frame | va & 4095 }
    guard ram.contains(next, PhysicalMemory.pageSize) else {
      isFull = true
      return ram.base | va & 4095
    }
    defer { next += PhysicalMemory.pageSize }
    frames[page] = next
    return next | va & 4095
  }

  /// Whether all of some bytes are known.
  func isKnown(_ va: UInt64, _ count: Int) -> Bool {
    if isWhole { return true }
    for index in 0..<UInt64(count) {
      let at = va &+ index
      guard let bits = known[at >> 12], bits[Int(at & 4095) >> 6] >> (at & 63) & 1 == 1 else {
        return false
      }
    }
    return true
  }

  /// Bytes are as they are.
  func setKnown(_ va: UInt64, _ count: Int) {
    if isWhole { return }
    for index in 0..<UInt64(count) {
      let at = va &+ index
      known[at >> 12, default: Array(repeating: 0, count: 64)][Int(at & 4095) >> 6] |=
        1 << (at & 63)
    }
  }

  /// Bytes are anything.
  func setUnknown(_ va: UInt64, _ count: Int) {
    if isWhole { return }
    for index in 0..<UInt64(count) {
      let at = va &+ index
      known[at >> 12]?[Int(at & 4095) >> 6] &= ~(1 << (at & 63))
    }
  }

  /// What is known may have been changed by others.
  func forget() { known.removeAll(keepingCapacity: true) }

  /// Writes bytes, which are known then.
  func write(_ va: UInt64, _ bytes: [UInt8]) {
    if bytes.count == Int(PhysicalMemory.pageSize), va & 4095 == 0 {
      let pa = physical(va)
      if page(va) != bytes { _ = ram.write(pa, bytes) }
      setKnown(va, bytes.count)
      return
    }
    for (index, byte) in bytes.enumerated() {
      let pa = physical(va &+ UInt64(index))
      if ram.load(pa, as: UInt8.self) != byte { ram.store(pa, byte) }
    }
    setKnown(va, bytes.count)
  }

  /// The bytes of a page.
  func page(_ va: UInt64) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Int(PhysicalMemory.pageSize)) { buffer, used in
      used = ram.read(physical(va & ~4095), into: UnsafeMutableRawBufferPointer(buffer)) ? 4096 : 0
    }
  }

  /// A value of up to eight bytes.
  func value(_ va: UInt64, _ count: Int) -> UInt64 {
    (0..<UInt64(min(count, 8))).reversed().reduce(0) {
      $0 << 8 | UInt64(ram.load(physical(va &+ $1), as: UInt8.self) ?? 0)
    }
  }
}

/// An instruction set whose addresses are translated by ``CheckMemory``, whatever its own tables say.
final class CheckISA: GuestISA {
  private let inner: any GuestISA
  private let memory: CheckMemory
  /// The last instruction raised an exception.
  var raised = false
  /// Exceptions enter the guest's own vector.
  var takesTraps = false

  init(_ inner: any GuestISA, _ memory: CheckMemory) {
    self.inner = inner
    self.memory = memory
  }

  func translate(_ builder: BlockBuilder, for hart: Hart) { inner.translate(builder, for: hart) }

  func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation? {
    Translation(pa: memory.physical(va), readable: true, writable: true, executable: true)
  }

  func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool { true }

  func accessFault(_ va: UInt64, _ access: Access, for hart: Hart) {
    inner.accessFault(va, access, for: hart)
  }

  func takeException(_ hart: Hart) {
    raised = true
    if takesTraps { inner.takeException(hart) }
  }

  func takeInterrupt(_ hart: Hart) -> Bool { false }
  func wakes(_ hart: Hart) -> Bool { true }
  func archive(_ archive: Archive, for hart: Hart) { inner.archive(archive, for: hart) }
  func restored(_ hart: Hart) { inner.restored(hart) }
  var nativeFloat: [(helper: Helper, float: NativeFloat)] { inner.nativeFloat }
}

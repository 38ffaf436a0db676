import Engine
import TraceFile

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

extension PhysicalMemory {
  /// Digests of the pages that are not zero, with their addresses.
  func appendDigests(_ bytes: inout ByteWriter) {
    let pages = Int(size / Self.pageSize)
    var resident = [UInt8](repeating: 0, count: pages)
    // Pages that the host never gave are zero.
    if mincore(host, Int(size), &resident) != 0 { resident = Array(repeating: 1, count: pages) }
    let zero = XXH64.hash([UInt8](repeating: 0, count: Int(Self.pageSize)))
    for page in 0..<pages where resident[page] & 1 != 0 {
      let raw = UnsafeRawBufferPointer(
        start: host + page * Int(Self.pageSize), count: Int(Self.pageSize))
      let digest = XXH64.hash(raw)
      guard digest != zero else { continue }
      bytes.number(UInt64(page))
      bytes.fixed(digest)
    }
  }
}

extension Hart {
  /// The registers and system registers, less what holds addresses of this process.
  func appendState(_ bytes: inout ByteWriter) {
    for slots in [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total] {
      for slot in slots { bytes.fixed(x[slot]) }
    }
    for value in [pc, count, x[Slot.exceptions], x[Slot.reservation]] { bytes.fixed(value) }
  }
}

extension BareMachine {
  /// A digest of the registers of all harts, of RAM and of guest time.
  public func stateHash() -> StateHash {
    var bytes = ByteWriter()
    for hart in harts { hart.appendState(&bytes) }
    ram.appendDigests(&bytes)
    bytes.fixed(time)
    return StateHash(bytes.data)
  }
}

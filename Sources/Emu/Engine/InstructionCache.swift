/// A hart's own copy of the instruction bytes that it has fetched (architectural mode).
///
/// Lines are kept until the guest executes the ISA's instruction-fetch fence on this hart: a store
/// without a fence is then not seen, as on hardware at its least helpful. There are never more than
/// RAM has, so none is forgotten for want of room: what is translated is always what lines hold.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, '"Zifencei" Extension for Instruction-Fetch Fence'.
final class InstructionCache {
  /// Bytes in a line: there are 64 in a page.
  static let lineSize: UInt64 = 64

  private struct Page {
    /// Which lines were fetched.
    var fetched: UInt64 = 0
    var bytes = [UInt8](repeating: 0, count: Int(PhysicalMemory.pageSize))
  }
  private var pages: [UInt64: Page] = [:]

  /// The 16 bits at the even physical address `pa`.
  func fetch16(_ pa: UInt64, _ ram: PhysicalMemory) -> UInt16 {
    let at = pa & (PhysicalMemory.pageSize &- 1)
    let line = at / Self.lineSize
    let start = pa &- at &+ line &* Self.lineSize
    guard ram.contains(start, Self.lineSize) else { return 0 }
    let key = pa &- at
    let offset = Int(at)
    if let page = pages[key], page.fetched >> line & 1 != 0 {
      return UInt16(page.bytes[offset]) | UInt16(page.bytes[offset + 1]) << 8
    }
    var page = pages.removeValue(forKey: key) ?? Page()
    page.fetched |= 1 << line
    let first = Int(line &* Self.lineSize)
    page.bytes.withUnsafeMutableBytes {
      let to = UnsafeMutableRawBufferPointer(
        rebasing: $0[first..<(first + Int(Self.lineSize))])
      _ = ram.read(start, into: to)
    }
    pages[key] = page
    return UInt16(page.bytes[offset]) | UInt16(page.bytes[offset + 1]) << 8
  }

  /// Forgets every line.
  func clear() { pages.removeAll(keepingCapacity: true) }

  /// The lines, by address.
  func archive(_ archive: Archive, _ ram: PhysicalMemory) {
    var keys = archive.isReading ? [] : pages.keys.sorted()
    archive("pages", &keys)
    if archive.isReading { pages = [:] }
    for key in keys where archive.problem == nil {
      var page = pages[key] ?? Page()
      archive.raw(&page.fetched)
      for line in 0..<64 where page.fetched >> UInt64(line) & 1 != 0 {
        let first = line * Int(Self.lineSize)
        var bytes = Array(page.bytes[first..<(first + Int(Self.lineSize))])
        archive.raw(&bytes)
        guard archive.isReading else { continue }
        guard bytes.count == Int(Self.lineSize), key & 4095 == 0, ram.contains(key, 4096) else {
          archive.fail("an instruction-cache line outside RAM")
          return
        }
        page.bytes.replaceSubrange(first..<(first + bytes.count), with: bytes)
      }
      if archive.isReading { pages[key] = page }
    }
  }
}

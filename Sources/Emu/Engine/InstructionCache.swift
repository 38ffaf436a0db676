/// A hart's own copy of the instruction bytes that it has fetched (architectural mode).
///
/// Lines are kept until the guest executes the ISA's instruction-fetch fence on this hart: a store
/// without a fence is then not seen, as on hardware at its least helpful.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, '"Zifencei" Extension for Instruction-Fetch Fence'.
final class InstructionCache {
  /// Bytes in a line.
  static let lineSize: UInt64 = 64
  /// Most lines; what is translated stays so when they are forgotten.
  static let limit = 1 << 14
  private var lines: [UInt64: [UInt8]] = [:]

  /// The 16 bits at the even physical address `pa`.
  func fetch16(_ pa: UInt64, _ ram: PhysicalMemory) -> UInt16 {
    let start = pa & ~(Self.lineSize &- 1)
    let offset = Int(pa &- start)
    let line: [UInt8]
    if let kept = lines[start] {
      line = kept
    } else {
      line = ram.bytes(start, Int(Self.lineSize)) ?? []
      if lines.count >= Self.limit { clear() }
      lines[start] = line
    }
    guard offset + 1 < line.count else { return 0 }
    return UInt16(line[offset]) | UInt16(line[offset + 1]) << 8
  }

  /// Forgets every line.
  func clear() { lines.removeAll(keepingCapacity: true) }
}

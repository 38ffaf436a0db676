import RISCV
import Testing

/// ELF files made by hand, good and bad.
struct TinyELF {
  struct Segment {
    var address: UInt64
    var flags: UInt32 = 5
    var bytes: [UInt8] = []
    /// Instead of the number of `bytes`.
    var fileSize: UInt64?
    var memorySize: UInt64?
  }

  var segments: [Segment]
  var entry: UInt64
  var machine: UInt16 = 243

  /// A program of instructions, at an address that Linux accepts.
  init(_ insns: [Insn] = [], address: UInt64 = 0x10000) throws {
    var bytes: [UInt8] = []
    for insn in insns {
      let bits = try #require(Encoder.encode(insn), "no encoding: \(insn)")
      for byte in 0..<insn.length { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * byte))) }
    }
    segments = [Segment(address: address, bytes: bytes)]
    entry = address
  }

  /// The file.
  ///
  /// - SeeAlso: elf(5)
  var bytes: [UInt8] {
    var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    func put<T: FixedWidthInteger>(_ value: T) {
      for byte in 0..<(T.bitWidth / 8) {
        file.append(UInt8(truncatingIfNeeded: value >> T(8 * byte)))
      }
    }
    put(UInt16(2))
    put(machine)
    put(UInt32(1))
    put(entry)
    put(UInt64(64))
    put(UInt64(0))
    put(UInt32(0))
    for half in [64, 56, segments.count, 0, 0, 0] { put(UInt16(half)) }
    // Offset and address agree within a page.
    var offset: UInt64 = 4096
    for segment in segments {
      put(UInt32(1))
      put(segment.flags)
      let size = segment.fileSize ?? UInt64(segment.bytes.count)
      for word in [
        offset + segment.address % 4096, segment.address, segment.address, size,
        segment.memorySize ?? size, 4096,
      ] {
        put(word)
      }
      offset += 4096
    }
    for (index, segment) in segments.enumerated() {
      let start = 4096 * (index + 1) + Int(segment.address % 4096)
      file += [UInt8](repeating: 0, count: max(start - file.count, 0)) + segment.bytes
    }
    return file
  }
}

extension Insn {
  /// `addi rd, x0, value`.
  static func li(_ name: String, _ value: Int64) -> Insn {
    Insn(op: .addi, rd: Registers.x(named: name) ?? 0, imm: value)
  }

  /// A Linux system call: its number and arguments, then `ecall`.
  static func call(_ number: Int64, _ arguments: Int64...) -> [Insn] {
    arguments.enumerated().map { li("a\($0.offset)", $0.element) }
      + [li("a7", number), Insn(op: .ecall)]
  }

  /// A jump to itself.
  static let forever = Insn(op: .jal)
}

/// Where the parts of a random program lie, in its own addresses.
enum Layout {
  static let code: UInt64 = 0x1_0000
  static let codeLimit: UInt64 = 0x10_0000
  /// Edge-biased values, never written.
  static let pool: UInt64 = 0x20_0000
  static let poolWords = 512
  /// What loads and stores work on.
  static let scratch: UInt64 = 0x20_2000
  static let scratchBytes = 0x4000
  /// Checkpoint records, then written out.
  static let dump: UInt64 = 0x40_0000
  static let dumpBytes: UInt64 = 0x80_0000
  static let end = dump + dumpBytes

  /// Bytes of a record: fcsr, x1 to x31, f0 to f31.
  static let recordBytes = 512
}

/// A part of an executable file.
struct Segment {
  var address: UInt64
  var bytes: [UInt8]
  /// Bytes in memory, if more.
  var size: UInt64 = 0
  var executable = false
}

/// An executable file for `qemu-riscv64`, written byte by byte.
///
/// - SeeAlso: System V Application Binary Interface, 'Object Files'; RISC-V ABIs Specification,
///   'File Header'.
enum ELFImage {
  static func bytes(_ segments: [Segment], entry: UInt64) -> [UInt8] {
    var file: [UInt8] = []
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { file += $0 }
    }
    file += [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    put(UInt16(2))  // ET_EXEC
    put(UInt16(243))  // EM_RISCV
    put(UInt32(1))
    put(entry)
    put(UInt64(64))
    put(UInt64(0))
    put(UInt32(0x5))  // EF_RISCV_RVC, EF_RISCV_FLOAT_ABI_DOUBLE
    put(UInt16(64))
    put(UInt16(56))
    put(UInt16(segments.count))
    put(UInt16(64))
    put(UInt16(0))
    put(UInt16(0))
    var at = 4096
    for segment in segments {
      put(UInt32(1))  // PT_LOAD
      // Code is writable too: programs patch themselves.
      put(UInt32(segment.executable ? 7 : 6))
      put(UInt64(at))
      put(segment.address)
      put(segment.address)
      put(UInt64(segment.bytes.count))
      put(max(segment.size, UInt64(segment.bytes.count)))
      put(UInt64(4096))
      at = (at + segment.bytes.count + 4095) & ~4095
    }
    for segment in segments {
      file += [UInt8](repeating: 0, count: (4096 - file.count & 4095) & 4095)
      file += segment.bytes
    }
    return file
  }
}

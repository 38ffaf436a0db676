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

/// An executable file for `qemu-riscv64`, written byte by byte.
///
/// - SeeAlso: System V Application Binary Interface, 'Object Files'; RISC-V ABIs Specification,
///   'File Header'.
enum ELFImage {
  static func bytes(code: [UInt8], data: [UInt8]) -> [UInt8] {
    var file: [UInt8] = []
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { file += $0 }
    }
    file += [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    put(UInt16(2))  // ET_EXEC
    put(UInt16(243))  // EM_RISCV
    put(UInt32(1))
    put(Layout.code)
    put(UInt64(64))
    put(UInt64(0))
    put(UInt32(0x5))  // EF_RISCV_RVC, EF_RISCV_FLOAT_ABI_DOUBLE
    put(UInt16(64))
    put(UInt16(56))
    put(UInt16(3))
    put(UInt16(64))
    put(UInt16(0))
    put(UInt16(0))
    let codeAt = 4096
    let dataAt = (codeAt + code.count + 4095) & ~4095
    // Code is writable too: programs patch themselves.
    let segments: [(flags: UInt32, at: Int, address: UInt64, size: Int, memory: UInt64)] = [
      (7, codeAt, Layout.code, code.count, UInt64(code.count)),
      (6, dataAt, Layout.pool, data.count, UInt64(data.count)),
      (6, 0, Layout.dump, 0, Layout.dumpBytes),
    ]
    for segment in segments {
      put(UInt32(1))  // PT_LOAD
      put(segment.flags)
      put(UInt64(segment.at))
      put(segment.address)
      put(segment.address)
      put(UInt64(segment.size))
      put(segment.memory)
      put(UInt64(4096))
    }
    file += [UInt8](repeating: 0, count: codeAt - file.count)
    file += code
    file += [UInt8](repeating: 0, count: dataAt - file.count)
    return file + data
  }
}

import Glibc

/// A RISC-V program that is nothing but blocks in a row, each run once.
enum ColdCode {
  private static let base: UInt64 = 0x10000

  /// The ELF file: seven additions and a branch to the next insn for each block, then `exit(0)`.
  static func program(blocks: Int) -> [UInt8] {
    var code: [UInt32] = []
    for block in 0..<blocks {
      for insn in 0..<7 {
        let rd = UInt32(5 + (block + insn) % 3)
        let rs = UInt32(10 + (block &* 7 + insn) % 6)
        code.append(UInt32(insn + block % 1000) << 20 | rs << 15 | rd << 7 | 0x13)
      }
      // beq zero, zero, .+4
      code.append(0x0000_0263)
    }
    // li a7, 93; li a0, 0; ecall
    code += [0x05d0_0893, 0x0000_0513, 0x0000_0073]
    let bytes = code.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    return header(bytes.count) + bytes
  }

  private static func header(_ count: Int) -> [UInt8] {
    var out: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { out += $0 }
    }
    let headers: UInt64 = 64 + 56
    put(UInt16(2))  // ET_EXEC
    put(UInt16(243))  // EM_RISCV
    put(UInt32(1))
    put(base + headers)
    put(UInt64(64))
    put(UInt64(0))
    put(UInt32(0))
    for value in [64, 56, 1, 64, 0, 0] { put(UInt16(value)) }
    put(UInt32(1))  // PT_LOAD
    put(UInt32(5))  // R, X
    put(UInt64(0))
    put(base)
    put(base)
    put(headers + UInt64(count))
    put(headers + UInt64(count))
    put(UInt64(4096))
    return out
  }
}

/// A folder that goes when this does.
final class ScratchFolder {
  private let path: String
  private var files: [String] = []

  init() throws {
    var name = Array("/tmp/emu-bench-XXXXXX".utf8CString)
    guard let made = mkdtemp(&name) else { throw BenchFailure("no folder in /tmp") }
    path = String(cString: made)
  }

  deinit {
    for file in files { unlink(file) }
    rmdir(path)
  }

  /// Writes a file that may be executed.
  ///
  /// - Returns: its path.
  func add(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = path + "/" + name
    let out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o755)
    guard out >= 0 else { throw BenchFailure("\(file) can't be written") }
    defer { close(out) }
    files.append(file)
    guard write(out, bytes, bytes.count) == bytes.count else {
      throw BenchFailure("\(file) can't be written")
    }
    return file
  }
}

import Foundation

/// `qemu-riscv64`, with the extensions that random programs use.
struct QEMU {
  let path: String
  static let cpu = "rv64,zba=true,zbb=true,zbs=true"

  init() throws {
    path = try HostProcess.require("qemu-riscv64", package: "qemu-user")
  }

  func start(_ image: [UInt8], _ options: [String] = []) throws -> QEMURun {
    try QEMURun(self, image, options)
  }

  /// The addresses of all instructions executed, in order, by its log.
  func path(_ program: RandomProgram) throws -> [UInt64] {
    let log = FileManager.default.temporaryDirectory.appendingPathComponent(
      "emu-conformance-\(UUID().uuidString).log")
    defer { try? FileManager.default.removeItem(at: log) }
    let single = try start(program.file, ["-singlestep", "-d", "exec,nochain", "-D", log.path])
    _ = try single.finish()
    var path: [UInt64] = []
    // Trace 0: 0x7f.. [00000000/0000000000010000/00000000/ff000201]
    for line in try Data(contentsOf: log).split(separator: 0x0a) {
      guard line.starts(with: Array("Trace".utf8)),
        let bracket = line.firstIndex(of: UInt8(ascii: "["))
      else { continue }
      let fields = line[bracket...].split(separator: UInt8(ascii: "/"))
      guard fields.count > 1, let pc = UInt64(String(decoding: fields[1], as: UTF8.self), radix: 16)
      else { continue }
      path.append(pc)
    }
    return path
  }
}

/// A program that runs under QEMU.
final class QEMURun {
  private let process: HostProcess
  private let file: URL

  init(_ qemu: QEMU, _ image: [UInt8], _ options: [String]) throws {
    file = FileManager.default.temporaryDirectory.appendingPathComponent(
      "emu-conformance-\(UUID().uuidString).elf")
    try Data(image).write(to: file)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    process = try HostProcess(qemu.path, ["-cpu", QEMU.cpu] + options + [file.path])
  }

  deinit { try? FileManager.default.removeItem(at: file) }

  func finish() throws -> Outcome { try process.finish() }
}

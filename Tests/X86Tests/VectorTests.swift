import CHostX86
import Foundation
import Testing

@testable import Engine
@testable import X86

/// The instructions, case by case, as hardware executed them (`Vectors/*.ins`).
@Suite struct Vectors {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "Vectors")

  static let files: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (names ?? []).filter { $0.hasSuffix(".ins") }.sorted()
  }()

  static func load(_ name: String) throws -> [HardwareVector] {
    try HardwareVector.parse(
      String(contentsOf: folder.appending(path: name), encoding: .utf8), file: name)
  }

  /// What depends on the host's kernel or processor has cases of its own in `SystemTests` and
  /// `SystemModeTests`.
  static let elsewhere: Set<X86.Op> = [
    .syscall, .cpuid, .rdtsc, .rdtscp, .rdpid, .xgetbv, .int1, .fxsave, .fxrstor, .xsave, .xsaveopt,
    .xrstor,
  ]

  @Test func everyRowHasACase() throws {
    var rows = Set(
      Encodings.allRows.indices.filter {
        let row = Encodings.allRows[$0]
        return !Self.elsewhere.contains(row.op) && !row.traits.contains(.system)
      })
    for file in Self.files {
      for vector in try Self.load(file) {
        if case .insn(let insn) = Decoder.decode(vector.bytes) { rows.remove(Int(insn.row)) }
      }
    }
    #expect(rows.isEmpty, "\(rows.map { Encodings.allRows[$0].pattern })")
  }

  @Test(arguments: files)
  func bytesAreTheDisassembly(file: String) throws {
    for vector in try Self.load(file) {
      guard case .insn(let insn) = Decoder.decode(vector.bytes) else {
        Issue.record("\(vector.place): not an instruction")
        continue
      }
      #expect(
        Disassembler.text(insn, pc: vector.pc) == vector.disassembly, "\(vector.place)")
      #expect(Int(insn.length) == vector.bytes.count, "\(vector.place)")
    }
  }

  @Test(arguments: files, CacheModel.allCases)
  func instructionsDoAsTheHardwareDid(file: String, caches: CacheModel) throws {
    let bench = try #require(Bench(caches))
    for vector in try Self.load(file) {
      for complaint in bench.run(vector) { Issue.record("\(vector.place): \(complaint)") }
    }
  }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

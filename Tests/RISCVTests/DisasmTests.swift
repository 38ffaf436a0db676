import Foundation
import Testing

@testable import RISCV

/// GNU objdump, as the judge of the disassembler.
private enum Objdump {
  static let path: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/riscv64-linux-gnu-objdump" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  /// What objdump prints of each, in order; each is put at the address that `address` says.
  static func texts(of instructions: [UInt32]) throws -> [String] {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "emu-objdump-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "text.elf")
    try Data(elf(instructions)).write(to: file)
    let process = Process()
    process.executableURL = URL(filePath: try #require(path))
    process.arguments = ["-d", "-z", file.path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)

    var texts: [UInt64: String] = [:]
    for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
      let columns = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
      guard columns.count == 3 else { continue }
      let place = columns[0].drop { $0 == " " }
      guard place.last == ":", let at = UInt64(place.dropLast(), radix: 16) else { continue }
      texts[at] = String(columns[2])
    }
    return addresses(of: instructions).map { texts[$0] ?? "" }
  }

  /// Where each is: one after another from `base`.
  static func addresses(of instructions: [UInt32]) -> [UInt64] {
    var next = base
    return instructions.map { bits in
      defer { next &+= bits & 3 == 3 ? 4 : 2 }
      return next
    }
  }

  private static let base: UInt64 = 0x10_0000

  /// An ELF file with the instructions in .text, whose attributes switch all extensions on.
  private static func elf(_ instructions: [UInt32]) -> [UInt8] {
    var text: [UInt8] = []
    for bits in instructions {
      text += (0..<(bits & 3 == 3 ? 4 : 2)).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
    }
    func word<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let arch =
      "rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zifencei2p0_zba1p0_zbb1p0_zbs1p0"
    let tag = [5] + Array(arch.utf8) + [0]
    let file = [1] + word(UInt32(tag.count + 5)) + tag
    let vendor = Array("riscv".utf8) + [0] + file
    let attributes: [UInt8] = [0x41] + word(UInt32(vendor.count + 4)) + vendor
    let names = Array("\0.text\0.riscv.attributes\0.shstrtab\0".utf8)

    let contents = [text, attributes, names]
    var offsets: [UInt64] = []
    var body: [UInt8] = []
    for content in contents {
      offsets.append(64 + UInt64(body.count))
      body += content
      while body.count % 8 != 0 { body.append(0) }
    }
    var header: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    header += word(UInt16(1)) + word(UInt16(243)) + word(UInt32(1))
    header += word(UInt64(0)) + word(UInt64(0)) + word(64 + UInt64(body.count))
    // RVC, double-float ABI.
    header += word(UInt32(5)) + word(UInt16(64)) + word(UInt16(0)) + word(UInt16(0))
    header += word(UInt16(64)) + word(UInt16(4)) + word(UInt16(3))
    var sections = [UInt8](repeating: 0, count: 64)
    let kinds: [(name: UInt32, type: UInt32, flags: UInt64, address: UInt64)] = [
      (1, 1, 6, base), (7, 0x7000_0003, 0, 0), (25, 3, 0, 0),
    ]
    for (index, kind) in kinds.enumerated() {
      sections += word(kind.name) + word(kind.type) + word(kind.flags) + word(kind.address)
      sections += word(offsets[index]) + word(UInt64(contents[index].count))
      sections += word(UInt32(0)) + word(UInt32(0)) + word(UInt64(1)) + word(UInt64(0))
    }
    return header + body + sections
  }
}

/// Where objdump is knowingly not followed.
private struct Deviation: Sendable {
  let name: String
  let reason: String
  let applies: @Sendable (_ row: Row?, _ insn: Insn?, _ objdump: String) -> Bool
}

private let deviations: [Deviation] = []

@Suite struct DisasmTests {
  @Test(.enabled(if: Objdump.path != nil, "riscv64-linux-gnu-objdump is not installed"))
  func objdumpAgrees() throws {
    var rng = SplitMix(state: 4)
    var instructions: [UInt32] = []
    for row in Encodings.allRows where row.length == 4 {
      for _ in 0..<300 { instructions.append(row.sampleBits(using: &rng)) }
      for _ in 0..<300 { instructions.append(corner(row, using: &rng)) }
    }
    instructions += (UInt32(0)...0xffff).filter { $0 & 3 != 3 }
    // A csrr of every number, and csrw and csrwi.
    for number in UInt32(0)..<4096 {
      instructions += [0x2573, 0x1073, 0x15573].map { $0 | number << 20 }
    }
    let texts = try Objdump.texts(of: instructions)
    let addresses = Objdump.addresses(of: instructions)
    var wrong: [String: (count: Int, example: String)] = [:]
    var used: [String: Int] = [:]
    for (index, bits) in instructions.enumerated() {
      // objdump adds what it thinks the address is.
      let theirs = String(texts[index].prefix { $0 != "#" }).trimmingSuffix()
      let insn = Decoder.decode(bits)
      let ours = insn.map { Disassembler.text($0, pc: addresses[index]) } ?? "illegal"
      if ours == theirs { continue }
      let row = Encodings.row(of: bits)
      if let deviation = deviations.first(where: { $0.applies(row, insn, theirs) }) {
        used[deviation.name, default: 0] += 1
        continue
      }
      wrong[row?.mnemonic ?? "none", default: (0, "")].count += 1
      wrong[row?.mnemonic ?? "none"]?.example =
        "\(String(bits, radix: 16)): \(ours.debugDescription), not \(theirs.debugDescription)"
    }
    for (name, (count, example)) in wrong.sorted(by: { $0.key < $1.key }) {
      Issue.record("\(name): \(count), such as \(example)")
    }
    for deviation in deviations where used[deviation.name] == nil {
      Issue.record("nothing needs the deviation '\(deviation.name)' any more")
    }
  }

  /// A sample whose operand fields are often all 0 or all 1, where aliases are.
  private func corner(_ row: Row, using rng: inout SplitMix) -> UInt32 {
    var bits = row.sampleBits(using: &rng)
    for (shift, width) in [(7, 5), (12, 3), (15, 5), (20, 5), (25, 7), (20, 12)] {
      let field = ((UInt32(1) << width) - 1) << shift & ~row.mask
      switch UInt32.random(in: 0..<6, using: &rng) {
      case 0: bits &= ~field
      case 1: bits |= field
      case 2: bits = bits & ~field | (1 << shift) & field
      default: break
      }
    }
    return bits
  }
}

extension String {
  fileprivate func trimmingSuffix() -> String {
    var text = Substring(self)
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return String(text)
  }
}

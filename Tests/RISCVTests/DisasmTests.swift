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

  /// What objdump prints of each, in order; each is put where `addresses` says.
  static func texts(of instructions: [UInt32]) throws -> [String] {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "emu-objdump-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "text.elf")
    try Data(elf(instructions)).write(to: file)

    var texts: [UInt64: String] = [:]
    for line in try run(["-d", "-z", file.path]).split(separator: "\n") {
      let columns = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
      guard columns.count == 3 else { continue }
      let place = columns[0].drop { $0 == " " }
      guard place.last == ":", let at = UInt64(place.dropLast(), radix: 16) else { continue }
      texts[at] = String(columns[2])
    }
    return addresses(of: instructions).map { texts[$0] ?? "" }
  }

  static func run(_ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: try #require(path))
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return String(decoding: output, as: UTF8.self)
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
  let reason: String
  let applies: @Sendable (_ insn: Insn?, _ ours: String, _ theirs: String) -> Bool
}

/// What objdump prints of bits that it does not know; since 2.41 the latter.
private func isData(_ text: String) -> Bool {
  text.hasPrefix(".2byte\t") || text.hasPrefix(".4byte\t") || text.hasPrefix(".insn\t")
}

/// Of binutils 2.40; with that version each must be needed.
private let deviations = [
  Deviation(reason: "a nil has no text, and objdump prints data") { insn, _, theirs in
    insn == nil && isData(theirs)
  },
  Deviation(reason: "nor has the halfword 0, an illegal one with a name of its own") {
    insn, _, theirs in
    insn == nil && theirs == "unimp"
  },
  Deviation(reason: "c.addi16sp of 0 is reserved, but not to objdump") { insn, _, theirs in
    insn == nil && theirs == "add\tsp,sp,0"
  },
  Deviation(reason: "these were withdrawn before the privileged manual was ratified") {
    insn, _, theirs in
    insn == nil && ["uret", "hret", "sfence.vm"].contains(theirs)
  },
  Deviation(reason: "2.40 calls addi add; later versions and the manual do not") {
    insn, ours, theirs in
    let mnemonics = [
      "addi": "add", "andi": "and", "ori": "or", "xori": "xor", "slli": "sll", "srli": "srl",
      "srai": "sra", "addiw": "addw", "slliw": "sllw", "srliw": "srlw", "sraiw": "sraw",
      "csrrwi": "csrrw", "csrrsi": "csrrs", "csrrci": "csrrc",
      "csrwi": "csrw", "csrsi": "csrs", "csrci": "csrc",
      "bclri": "bclr", "bexti": "bext", "binvi": "binv", "bseti": "bset",
      "rori": "ror", "roriw": "rorw",
    ]
    let ours = ours.split(separator: "\t"), theirs = theirs.split(separator: "\t")
    return ours.count == 2 && theirs.count == 2 && ours[1] == theirs[1]
      && mnemonics[String(ours[0])] == String(theirs[0])
  },
  Deviation(reason: "2.40 does not know Zicond") { insn, _, theirs in
    [.czero_eqz, .czero_nez].contains(insn?.op) && isData(theirs)
  },
  Deviation(reason: "objdump wants rounding mode 0 where the result is exact") { insn, _, theirs in
    [.fcvt_d_s, .fcvt_d_w, .fcvt_d_wu].contains(insn?.op) && insn?.rm != 0
      && isData(theirs)
  },
  Deviation(reason: "objdump wants 0 in the fields of fences that the manual says to ignore") {
    insn, _, theirs in
    guard let insn, isData(theirs) else { return false }
    let ignored = insn.rd != 0 || insn.rs1 != 0
    return insn.op == .fence && (ignored || insn.imm >> 8 != 0)
      || insn.op == .fence_i && (ignored || insn.imm != 0)
  },
]

@Suite struct DisasmTests {
  /// So that something is tested where objdump is not installed.
  private static let known: [(bits: UInt32, text: String)] = [
    (0x0000_0013, "nop"), (0x8082, "ret"), (0x0005_0513, "mv\ta0,a0"),
    (0xff01_0113, "addi\tsp,sp,-16"), (0x7139, "addi\tsp,sp,-64"), (0x4501, "li\ta0,0"),
    (0x0001_25b7, "lui\ta1,0x12"), (0xffff_f517, "auipc\ta0,0xfffff"),
    (0x0080_00ef, "jal\t0x1008"), (0xa001, "j\t0x1000"), (0xffdf_f06f, "j\t0xffc"),
    (0x0005_0463, "beqz\ta0,0x1008"), (0x00b5_4463, "blt\ta0,a1,0x1008"),
    (0x0085_00e7, "jalr\t8(a0)"), (0x0085_3583, "ld\ta1,8(a0)"),
    (0x02a5_f553, "fadd.d\tfa0,fa1,fa0"), (0x02a5_9553, "fadd.d\tfa0,fa1,fa0,rtz"),
    (0xc025_9553, "fcvt.l.s\ta0,fa1,rtz"), (0xd205_8553, "fcvt.d.w\tfa0,a1"),
    (0xd205_f553, "fcvt.d.w\tfa0,a1,dyn"),
    (0x06a5_a52f, "amoadd.w.aqrl\ta0,a0,(a1)"), (0x1005_b52f, "lr.d\ta0,(a1)"),
    (0x3000_2573, "csrr\ta0,mstatus"), (0x7ff0_5073, "csrwi\t0x7ff,0"),
    (0xc000_2573, "rdcycle\ta0"), (0x0ff0_000f, "fence"), (0x0330_000f, "fence\trw,rw"),
    (0x8330_000f, "fence.tso"), (0x0100_000f, "pause"), (0x1200_0073, "sfence.vma"),
    (0x0e05_d533, "czero.eqz\ta0,a1,zero"),
  ]

  @Test(arguments: known.indices)
  func knownText(index: Int) {
    let (bits, text) = Self.known[index]
    #expect(Decoder.decode(bits).map { Disassembler.text($0, pc: 0x1000) } == text)
  }

  @Test func targetsHaveNames() {
    let jump = Insn(op: .jal, imm: -16)
    #expect(Disassembler.text(jump, pc: 0) == "j\t0xfffffffffffffff0")
    #expect(
      Disassembler.text(jump, pc: 0x1010) { $0 == 0x1000 ? "main+0x4" : nil }
        == "j\t1000 <main+0x4>")
  }

  /// Operands that no row can hold have some text, and stop nothing.
  @Test func nonsenseHasText() {
    for op in Op.allCases {
      for imm in [Int64.min, -1, 0, 0xc00, .max] {
        let insn = Insn(
          op: op, rd: 255, rs1: 77, rs2: 32, rs3: 200, rm: 255, length: 3, imm: imm)
        #expect(!Disassembler.text(insn, pc: .max).isEmpty)
      }
    }
  }

  @Test(.enabled(if: Objdump.path != nil, "riscv64-linux-gnu-objdump is not installed"))
  func objdumpAgrees() throws {
    var rng = SplitMix(state: 4)
    var instructions: [UInt32] = []
    for row in Encodings.allRows where row.length == 4 {
      for _ in 0..<250 { instructions.append(row.sampleBits(using: &rng)) }
      for _ in 0..<250 { instructions.append(corner(row, using: &rng)) }
    }
    // What is legal to only one of the two shows among words one bit from a row's...
    for row in Encodings.allRows where row.length == 4 {
      for bit in 2..<32 {
        let near = row.sampleBits(using: &rng) ^ 1 << UInt32(bit)
        // Five ones begin longer instructions.
        if near & 0x1f != 0x1f { instructions.append(near) }
      }
    }
    // ...and among all halfwords.
    instructions += (UInt32(0)...0xffff).filter { $0 & 3 != 3 }
    // Every CSR number with every CSR operation, rd and rs1 each zero or not.
    for number in UInt32(0)..<4096 {
      for function in [UInt32(1), 2, 3, 5, 6, 7] {
        for registers in [UInt32(0), 0x500, 0x58000, 0x58500] {
          instructions.append(number << 20 | registers | function << 12 | 0x73)
        }
      }
    }
    let texts = try Objdump.texts(of: instructions)
    let addresses = Objdump.addresses(of: instructions)
    var wrong: [String: (count: Int, example: String)] = [:]
    var used = Set<String>()
    for (index, bits) in instructions.enumerated() {
      // objdump adds what it thinks the address is.
      let theirs = String(texts[index].prefix { $0 != "#" }).withoutTrailingSpace()
      let insn = Decoder.decode(bits)
      let ours = insn.map { Disassembler.text($0, pc: addresses[index]) } ?? "illegal"
      if ours == theirs { continue }
      let row = Encodings.row(of: bits)
      if let deviation = deviations.first(where: { $0.applies(insn, ours, theirs) }) {
        used.insert(deviation.reason)
        continue
      }
      wrong[row?.mnemonic ?? "none", default: (0, "")].count += 1
      wrong[row?.mnemonic ?? "none"]?.example =
        "\(String(bits, radix: 16)): \(ours.debugDescription), not \(theirs.debugDescription)"
    }
    for (name, (count, example)) in wrong.sorted(by: { $0.key < $1.key }) {
      Issue.record("\(name): \(count), such as \(example)")
    }
    if try Objdump.run(["--version"]).contains(" 2.40\n") {
      for deviation in deviations where !used.contains(deviation.reason) {
        Issue.record("no longer needed: \(deviation.reason)")
      }
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
  fileprivate func withoutTrailingSpace() -> String {
    var text = Substring(self)
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return String(text)
  }
}

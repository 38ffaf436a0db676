import Testing

@testable import RISCV

/// A small seeded generator, so that a failure repeats.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z &>> 31)
  }
}

@Suite struct EncodingTests {
  @Test func everyOperationHasOneWideRow() {
    for op in Op.allCases {
      let wide = Encodings.allRows.filter { $0.op == op && $0.length == 4 }
      #expect(wide.count == 1, "\(op)")
      #expect(wide.first?.mnemonic == "\(op)".replacing("_", with: "."), "\(op)")
    }
  }

  @Test func operationsAreDeclaredInTheOrderOfTheirRows() {
    #expect(Encodings.allRows.filter { $0.length == 4 }.map(\.op) == Op.allCases)
  }

  @Test func namesAreUnique() {
    let wide = Encodings.allRows.filter { $0.length == 4 }.map(\.mnemonic)
    #expect(Set(wide).count == wide.count)
    let narrow = Encodings.allRows.filter { $0.length == 2 }.map(\.mnemonic)
    #expect(narrow.allSatisfy { $0.hasPrefix("c.") })
    // The two HINT rows.
    #expect(narrow.count - Set(narrow).count == 2)
  }

  @Test func wideRowsDoNotOverlap() {
    let rows = Encodings.allRows.filter { $0.length == 4 }
    #expect(rows.allSatisfy { $0.layout.forbidden.isEmpty && $0.match & 3 == 3 })
    for (index, one) in rows.enumerated() {
      for other in rows[(index + 1)...] {
        let common = one.mask & other.mask
        #expect(
          one.match & common != other.match & common, "\(one.mnemonic) and \(other.mnemonic)")
      }
    }
  }

  @Test func compressedRowsDoNotOverlap() {
    let rows = Encodings.allRows.filter { $0.length == 2 }
    for bits in UInt32(0)...0xffff where bits & 3 != 3 {
      let hits = rows.filter { $0.matches(bits) }.map(\.mnemonic)
      if hits.count > 1 { Issue.record("\(String(bits, radix: 16)): \(hits)") }
      // The index finds what comparing with every row finds.
      let found = Encodings.row(of: bits)?.mnemonic
      if found != hits.first { Issue.record("\(String(bits, radix: 16)): \(found ?? "none")") }
    }
    for bits in UInt32(0)...0xffff where bits & 3 == 3 {
      if rows.contains(where: { $0.matches(bits) }) {
        Issue.record("\(String(bits, radix: 16)) is not compressed")
      }
    }
  }

  @Test(arguments: Encodings.allRows.indices)
  func formatSaysWhatThePatternHas(index: Int) {
    let row = Encodings.allRows[index]
    let words = row.pattern.split(separator: " ").map(String.init)
    func has(_ word: String) -> Bool { words.contains { $0.hasPrefix(word) } }
    let immediate = words.contains { $0.contains("[") }
    switch row.format {
    case .r: #expect(has("rs1") || has("frs1"))
    case .i: #expect(has("imm[11:0]") && has("rs1"))
    case .s: #expect(has("imm[11:5]") && has("imm[4:0]") && (has("rs2") || has("frs2")))
    case .b: #expect(has("imm[12|10:5]") && has("imm[4:1|11]"))
    case .u: #expect(has("imm[31:12]"))
    case .j: #expect(has("imm[20|10:1|11|19:12]"))
    case .r4: #expect(has("frs3") && has("rm"))
    case .shamt5: #expect(has("shamt[4:0]"))
    case .shamt6: #expect(has("shamt[5:0]"))
    case .csr: #expect(has("csr") && has("rs1"))
    case .csri: #expect(has("csr") && has("uimm"))
    case .amo: #expect(has("aq") && has("rl") && row.traits.contains(.atomic))
    case .fence: #expect(has("fm") && has("pred") && has("succ"))
    case .fixed: #expect(row.mask == 0xffff_ffff)
    case .cr: #expect(row.length == 2 && !immediate)
    case .ca: #expect(row.length == 2 && !immediate && has("rd'/rs1'") && has("rs2'"))
    case .ci, .css, .ciw, .cl, .cs, .cb, .cj: #expect(row.length == 2 && immediate)
    }
  }

  @Test(arguments: Encodings.allRows.indices)
  func traitsFollowFromTheRow(index: Int) {
    let row = Encodings.allRows[index]
    let kinds = [row.rdKind, row.rs1Kind, row.rs2Kind, row.rs3Kind]
    #expect(row.traits.contains(.fp) == kinds.contains(.f))
    let opcode = row.match & 0x7f
    let wide = row.length == 4
    #expect(row.traits.contains(.atomic) == (wide && opcode == 0x2f))
    #expect(
      row.traits.contains(.system) == (wide ? opcode == 0x73 : row.mnemonic == "c.ebreak"))
    let load: Set<Op> = [.lb, .lh, .lw, .lbu, .lhu, .lwu, .ld, .flw, .fld, .lr_w, .lr_d]
    let store: Set<Op> = [.sb, .sh, .sw, .sd, .fsw, .fsd, .sc_w, .sc_d]
    let amo = row.traits.contains(.atomic) && !row.traits.contains(.exclusive)
    #expect(row.traits.contains(.load) == (load.contains(row.op) || amo))
    #expect(row.traits.contains(.store) == (store.contains(row.op) || amo))
    #expect(
      row.traits.contains(.exclusive) == [.lr_w, .lr_d, .sc_w, .sc_d].contains(row.op))
    // What a compressed row expands to has the same traits.
    let base = Encodings.allRows.first { $0.op == row.op && $0.length == 4 }
    #expect(base?.traits == row.traits)
  }

  /// As `riscv_probe_decode_insn` decides, by opcode and name instead of by row; lr and sc besides.
  @Test(arguments: Encodings.allRows.indices)
  func probeClassIsThatOfLinux(index: Int) {
    let row = Encodings.allRows[index]
    let simulated: Set<String> = [
      "jal", "jalr", "auipc", "beq", "bne", "blt", "bge", "bltu", "bgeu",
      "c.j", "c.jr", "c.jalr", "c.beqz", "c.bnez",
    ]
    let opcode = row.match & 0x7f
    let refused =
      row.length == 4
      ? opcode == 0x73 || opcode == 0x0f || row.traits.contains(.exclusive)
      : row.mnemonic == "c.ebreak"
    let expected: ProbeClass =
      refused ? .refuse : simulated.contains(row.mnemonic) ? .simulate : .outOfLine
    #expect(row.probe == expected)
  }

  @Test func registersAreFoundByEitherName() {
    #expect(Registers.x(named: "x10") == 10 && Registers.x(named: "a0") == 10)
    #expect(Registers.x(named: "fp") == 8 && Registers.x(named: "s0") == 8)
    #expect(Registers.f(named: "fa0") == 10 && Registers.f(named: "f31") == 31)
    for bad in ["", "x", "x32", "x01", "x+1", "x-1", "x256", "f1", "a8"] {
      #expect(Registers.x(named: bad) == nil)
    }
    for number in UInt8(0)..<32 {
      #expect(Registers.x(named: Registers.xName(number)) == number)
      #expect(Registers.f(named: Registers.fName(number)) == number)
    }
    #expect(Registers.xName(32) == "x?32" && Registers.fName(255) == "f?255")
  }
}

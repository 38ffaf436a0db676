import Assembly
import Testing

@testable import RISCV

/// The assembler: what the disassembler prints becomes the same bytes again.
struct AssembleTests {
  /// An instruction's own length is asked for by `.option`.
  private func bytes(_ insn: Insn, _ pc: UInt64) throws -> [UInt8] {
    let text = Disassembler.text(insn, pc: pc)
    return try RISCVAssembler.assemble(text, compressed: insn.length == 2, origin: pc).bytes()
  }

  /// Why a row's text does not lead back to its bytes, where that is so.
  private func isLost(_ insn: Insn) -> Bool {
    switch insn.op {
    // Fields that the manual says to ignore are not printed; empty sets have no name.
    case .fence:
      return insn.rd != 0 || insn.rs1 != 0
        || ![0x0ff, 0x010, 0x833].contains(insn.imm)
          && (insn.imm >> 8 != 0 || insn.imm & 15 == 0 || insn.imm >> 4 & 15 == 0)
    case .fence_i: return insn.rd != 0 || insn.rs1 != 0 || insn.imm != 0
    default: break
    }
    let row = Disassembler.wideRows[Int(insn.op.rawValue)]
    // Reserved rounding modes have no name. Where nothing is rounded GNU as takes no mode.
    if row.layout.rm.mask == 7, [5, 6].contains(insn.rm) { return true }
    guard insn.length == 2 else { return false }
    // HINTs that print as something that is no HINT.
    switch insn.op {
    case .addi where insn.rm == 0: return insn.imm == 0 && insn.rd != 0 && insn.rs1 == insn.rd
    // Both forms do, and GNU as takes c.addi too.
    case .addi where insn.rd == 2: return (-32..<32).contains(insn.imm)
    default: return false
    }
  }

  @Test(arguments: Encodings.allRows.indices)
  func roundTrip(_ index: Int) throws {
    let row = Encodings.allRows[index]
    var random = SystemRandomNumberGenerator()
    var lost = 0
    for _ in 0..<64 {
      let insn = row.sample(using: &random)
      if isLost(insn) {
        lost += 1
        continue
      }
      let bits = try #require(Encoder.encode(insn))
      let wanted = RISCVAssembler.bytes(bits, Int(insn.length))
      let text = Disassembler.text(insn, pc: 0x8000_0000)
      do {
        let made = try bytes(insn, 0x8000_0000)
        #expect(made == wanted, "\(row.mnemonic): \(text)")
      } catch {
        Issue.record("\(row.mnemonic): \(text): \(error)")
      }
    }
    // Most of a row's instructions are not lost.
    #expect(lost < 64 || [.fence, .fence_i].contains(row.op))
  }

  /// The names that are lost come back from what is left of them.
  @Test(arguments: [
    "fence", "fence rw,w", "fence.tso", "pause", "fence.i", "fence iorw,iorw", "fence r,rw",
  ])
  func fences(_ text: String) throws {
    let image = try RISCVAssembler.assemble(text)
    let bits = image.bytes().reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let insn = try #require(Decoder.decode(bits))
    let printed = Disassembler.text(insn, pc: 0).replacing("\t", with: " ")
    #expect(printed == (text == "fence iorw,iorw" ? "fence" : text))
  }

  @Test func labelsAndData() throws {
    let image = try RISCVAssembler.assemble(
      """
      # a loop
      _start: li   t0, 3        // three times
      1:      addi t0, t0, -1
              bnez t0, 1b
              la   a1, text
              ld   a2, number   /* by its name */
              j    end
              .balign 8
      end:    ebreak
              .section .rodata
      text:   .asciz "h\\n\\x41\\101"
              .data
      number: .dword 0x1122334455667788, end, here = 0x10, text - number
      """.replacing(", here = 0x10", with: ""))
    #expect(image.entry == 0x10000)
    #expect(image.sections.map(\.name) == [".text", ".rodata", ".data"])
    #expect(image.sections.map(\.address) == [0x10000, 0x11000, 0x12000])
    #expect(image.bytes(of: ".rodata") == [0x68, 10, 0x41, 0x41, 0])
    let data = image.bytes(of: ".data")
    #expect(data.prefix(8) == [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
    let end = try #require(image.value(of: "end"))
    #expect(end % 8 == 0)
    #expect(data[8] == UInt8(truncatingIfNeeded: end))
    #expect(Array(data[16...]) == [0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    #expect(image.symbols.first { $0.name == "number" }?.isFunction == false)
    #expect(image.symbols.first { $0.name == "_start" }?.isFunction == true)
  }

  /// A branch takes the shortest form that reaches.
  @Test(arguments: [(100, 2), (300, 4), (5000, 8)])
  func branchesGrow(distance: Int, size: Int) throws {
    let text = "start: beqz a0, end\n.zero \(distance)\nend: ebreak\n"
    let image = try RISCVAssembler.assemble(text)
    #expect(image.value(of: "end") == 0x10000 + UInt64(distance + size))
  }

  @Test(
    arguments: [
      (0, 1), (2047, 1), (-2048, 1), (2048, 2), (0x7fff_ffff, 2), (-0x8000_0000, 1),
      (0x8000_0000, 2), (Int64.max, 3), (Int64.min, 2), (0x1234_5678_9abc_def0, 8),
    ] as [(Int64, Int)])
  func constants(value: Int64, most: Int) throws {
    let image = try RISCVAssembler.assemble("li a0, \(value)", compressed: false)
    let bytes = image.bytes()
    #expect(bytes.count <= most * 4)
    var result: Int64 = 0
    for at in stride(from: 0, to: bytes.count, by: 4) {
      let bits = bytes[at..<(at + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let insn = try #require(Decoder.decode(bits))
      let source = insn.rs1 == 0 ? 0 : result
      switch insn.op {
      case .lui: result = insn.imm
      case .addi: result = source &+ insn.imm
      case .addiw: result = Int64(Int32(truncatingIfNeeded: source &+ insn.imm))
      case .slli: result = source << insn.imm
      default: Issue.record("\(insn)")
      }
    }
    #expect(result == value)
  }

  @Test(arguments: [
    ("nop\nadd a0, a1", "2:1: add wants 3 operands, not 2"),
    ("  addi a0, a0, 5000", "1:16: 5000 does not fit: -2048 to 2047"),
    ("frob a0", "1:1: unknown instruction 'frob'"),
    ("ld a0, 8(q1)", "1:10: an integer register is wanted"),
    ("fadd.s fa0, fa1, a2", "1:18: a floating-point register is wanted"),
    ("j nowhere", "1:3: there is no symbol 'nowhere'"),
    ("a: nop\na: nop", "2:1: 'a' is defined a second time"),
    (".word 1,,2", "1:9: a value is missing"),
    (".asciz \"abc", "1:8: this string has no end"),
    (".frob", "1:1: unknown directive '.frob'"),
    (".zero 0x7fffffffffffffff", "1:1: this comes to more than 16 MiB"),
    ("csrr a0, nocsr", "1:10: there is no CSR 'nocsr'"),
    (".equ a, b\n.equ b, a\n.zero a", "3:7: a number is wanted that no address enters"),
    ("/* no end", "1:1: this comment has no end"),
    ("beq a0, a1, 0x10001", "1:13: the target is 1 bytes away: -4096 to 4094 can be reached"),
    ("addi a0, a0, a1", "1:14: a number is wanted, not a register"),
    ("1: j 2f", "1:6: there is no label 2: behind this"),
    ("lui a0, 0x100000", "1:9: 1048576 does not fit: 0 to 1048575"),
    ("ebreak \u{7f}", "1:8: byte 0x7f is no part of any statement"),
    (".option pop", "1:9: .option pop without push"),
    (".byte 256", "1:1: 256 does not fit into 1 bytes"),
  ])
  func errors(text: String, message: String) throws {
    let error = #expect(throws: AssemblyError.self) { try RISCVAssembler.assemble(text) }
    #expect(error?.description == message)
  }

  /// Texts that are made to take long, or deep stacks, or to lead in circles.
  @Test func hostileTexts() throws {
    var laughs = ".equ a0x, 1\n"
    for level in 1...60 { laughs += ".equ a\(level)x, a\(level - 1)x + a\(level - 1)x\n" }
    #expect(throws: Never.self) { try RISCVAssembler.assemble(laughs + ".dword a60x") }
    let deep = String(repeating: "(", count: 50_000)
    #expect(throws: AssemblyError.self) { try RISCVAssembler.assemble(".word " + deep) }
    let signs = String(repeating: "-", count: 50_000)
    #expect(throws: AssemblyError.self) { try RISCVAssembler.assemble(".word \(signs)1") }
    let long = String(repeating: "x", count: AssemblyLimit.text + 1)
    #expect(throws: AssemblyError.self) { try RISCVAssembler.assemble(long) }
    // Each branch reaches only while the ones before it are short.
    let many = (0..<3000).map { "beqz a0, l\($0 + 20)\nl\($0): .zero 6\n" }.joined()
    let ends = (3000..<3020).map { "l\($0):\n" }.joined()
    #expect(throws: Never.self) { try RISCVAssembler.assemble(many + ends) }
    var random = SystemRandomNumberGenerator()
    let signsOfAll = Array("abc019xf.,:;()%+-*/<>~'\"\\ \n\t#=$@".utf8)
    let words = ["li ", "a0", ", ", ".word ", ".zero ", "1b", "1:", "j ", "ld ", "la ", "%hi("]
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
        Bool.random(using: &random)
          ? words.randomElement(using: &random) ?? ""
          : String(UnicodeScalar(signsOfAll.randomElement(using: &random) ?? 0))
      }.joined()
      _ = try? RISCVAssembler.assemble(text)
    }
  }
}
